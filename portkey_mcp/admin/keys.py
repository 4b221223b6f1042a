"""API keys over the API: members make and end their own, owners and admins also those of service accounts.

A key is never worth more than whoever makes it. Nobody makes a key that is somebody else: what is done with it would be
told of them. Owners and admins end anybody's who is not above them.
"""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from fastapi import Path
from pydantic import BaseModel, Field

from portkey_mcp.admin.acting import acting
from portkey_mcp.admin.desk import Asker, Asking, Body
from portkey_mcp.admin.visiting import Services, workspace_of
from portkey_mcp.errors import Forbidden, Mistake, NotFound
from portkey_mcp.identity.keys import ApiKey
from portkey_mcp.model import Role, folded_email, label_problem, outranks
from portkey_mcp.policy.access import hidden_from

Ident = Annotated[str, Path(description="Of the key, `key:…`.")]


class NewKey(Body):
    """What the key is to be. `mine`: it comes as you; `service`: as an account of its own, for owners and admins.

    `role` is the most that it may do, yours if not given; `scopes` null: all that its role does; `server`: the only
    server that it is good for; `days` null: it never expires.
    """

    name: str
    whose: Literal["mine", "service"] = "mine"
    role: Role | None = None
    scopes: list[Literal["mcp:read", "mcp:call"]] | None = None
    server: str = ""
    days: Annotated[int, Field(ge=1, le=3650)] | None = None


class Key(BaseModel):
    """A key, without itself. `person` is the e-mail address of whose it is; empty: a service account's.

    `managed`: a configuration file declares it, and it ends there only.
    """

    id: str
    name: str
    person: str
    role: Role
    scopes: list[str] | None
    server: str
    managed: bool
    created: datetime
    expires: datetime | None
    last_used: datetime | None


class Made(Key):
    """One that was just made: the only time that `key` is seen."""

    key: str


class KeysDesk:
    """Answers requests about API keys."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._identity = services.identity

    async def list_keys(self, asker: Asking) -> list[Key]:
        """The keys that are yours; for owners and admins all of the workspace."""
        return [Key(**_facts(one)) for one in await self._seen(asker)]

    async def create_key(self, asker: Asking, body: NewKey) -> Made:
        """Make a key, and tell it once. Takes the role member; for a service account's, owner or admin."""
        role = body.role or asker.role
        with acting(self._services.note, asker, "key_made", body.name, whose=body.whose, role=role):
            asker.must_take_part("make keys")
            if body.whose == "service":
                asker.must_rule("make keys of service accounts")
            elif asker.principal.kind != "person":
                raise Forbidden(
                    "Only people have keys of their own; an owner or admin can make one with whose: service."
                )
            if outranks(role, asker.role):
                raise Forbidden(f"To make a key of the role {role} takes that role; yours is {asker.role}.")
            await self._check(asker, body)
            key = await self._identity.create_key(
                asker.workspace,
                body.name,
                role,
                origin="api",
                expires=None if body.days is None else datetime.now(UTC) + timedelta(days=body.days),
                person=asker.principal.email if body.whose == "mine" else "",
                scopes=body.scopes,
                server=body.server,
            )
        made = next(one for one in await self._identity.list_keys(asker.workspace) if one.name == body.name)
        return Made(**_facts(made), key=key)

    async def revoke_key(self, asker: Asking, ident: Ident) -> Key:
        """End a key: one of yours, or as owner or admin one of anybody's who is not above you.

        409 where a configuration file manages it.
        """
        with acting(self._services.note, asker, "key_ended", ident):
            asker.must_take_part("end keys")
            found = next((one for one in await self._seen(asker) if one.id == ident), None)
            if found is None:
                raise NotFound("There is no such key here, or it is not yours.")
            above = await self._above(asker, found)
            if above is not None:
                raise Forbidden(f"This key belongs to the role {above}; yours is {asker.role}.")
            await self._identity.revoke_key(asker.workspace, found.name)
        return Key(**_facts(found))

    async def _seen(self, asker: Asker) -> list[ApiKey]:
        keys = await self._identity.list_keys(asker.workspace)
        mine = asker.principal.email
        return [one for one in keys if asker.rules or (mine and folded_email(one.person) == mine)]

    async def _above(self, asker: Asker, key: ApiKey) -> Role | None:
        """The role of a key, or of whose it is, where that is above the asker's."""
        roles = [key.role]
        if key.person:
            people = await self._identity.people.all(asker.workspace)
            roles += [place.role for one in people if one.is_called(key.person) for place in one.memberships]
        return next((role for role in roles if outranks(role, asker.role)), None)

    async def _check(self, asker: Asker, body: NewKey) -> None:
        if problem := label_problem(body.name, "name of an API key"):
            raise Mistake(problem)
        if not body.server:
            return
        workspace = await workspace_of(self._services, asker.workspace)
        hidden = frozenset() if asker.rules else hidden_from(asker.principal, workspace)
        if body.server not in workspace.servers or body.server in hidden:
            raise Mistake(f"workspace {asker.workspace!r} has no server {body.server!r}")


def _facts(one: ApiKey) -> dict[str, object]:
    told = {name: getattr(one, name) for name in Key.model_fields if name not in ("managed", "scopes")}
    return {**told, "managed": one.origin == "file", "scopes": None if one.scopes is None else list(one.scopes)}
