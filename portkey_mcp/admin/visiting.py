"""About whom a question is, and which things exist for them: what explanations, limits and checks begin with."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from portkey_mcp.activity.acts import Note, forgotten
from portkey_mcp.activity.audit import Audit
from portkey_mcp.addresses import Addresses
from portkey_mcp.admin.desk import Asker, no_workspace
from portkey_mcp.approval.approvals import Approvals
from portkey_mcp.errors import NotFound
from portkey_mcp.identity.authenticate import Identity
from portkey_mcp.model import Endpoint, Principal, Visit, Workspace
from portkey_mcp.oauth.grants import Grants
from portkey_mcp.policy.decide import Allow, Rules, Thing
from portkey_mcp.policy.document import EMPTY
from portkey_mcp.policy.guards.hidden import clean_value
from portkey_mcp.policy.limits import Counter
from portkey_mcp.policy.terms import Terms
from portkey_mcp.registry.definitions import Definitions, DefinitionVersion
from portkey_mcp.registry.policies import Policies
from portkey_mcp.registry.registry import Registry
from portkey_mcp.vault.connecting import Connecting


@dataclass(frozen=True, slots=True)
class Services:
    """What the API asks: the same objects as the gateway itself, and as the command line makes for itself."""

    registry: Registry
    identity: Identity
    policies: Policies
    definitions: Definitions
    approvals: Approvals
    counter: Counter
    audit: Audit
    grants: Grants
    addresses: Addresses = field(default_factory=lambda: Addresses(""))
    note: Note = forgotten
    connecting: Connecting | None = None
    """Accounts at servers; None where there are none."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody at a workspace's hub, and the policy there."""

    visit: Visit
    rules: Rules

    @property
    def workspace(self) -> Workspace:
        return self.visit.endpoint.workspace


async def visitor(services: Services, asker: Asker, as_: str | None = None, address: str | None = None) -> Visitor:
    """Who asks; or an API key of the workspace, by its id or name, for an owner or admin.

    `address` is where they ask from; None: where this very request comes from, for the asker, and nowhere for others.

    Raises:
        Forbidden: somebody else is asked about, by one who may not.
        NotFound: there is no such key, or the workspace is gone.
    """
    workspace = await workspace_of(services, asker.workspace)
    principal, here = asker.principal, asker.address
    if as_ is not None:
        asker.must_rule("ask for somebody else")
        principal, here = await _somebody(services, asker.workspace, as_), ""
    visit = Visit(principal, Endpoint("hub", workspace), here if address is None else address)
    return Visitor(visit, Rules(workspace.policy or EMPTY))


async def workspace_of(services: Services, slug: str) -> Workspace:
    """A workspace as it is now, not as it was when the gateway looked last.

    Raises:
        NotFound: it is gone.
    """
    workspace = (await services.registry.directory()).workspaces.get(slug)
    if workspace is None:
        raise no_workspace(slug)
    return workspace


async def _somebody(services: Services, workspace: str, named: str) -> Principal:
    """Whoever has this id, this e-mail address, or the key of this name."""
    keys = await services.identity.list_keys(workspace)
    by_id = [key for key in keys if key.id == named]
    for key in by_id or [key for key in keys if key.name == named]:
        if (found := await services.identity.key_principal(key.id)) is not None:
            return found
    await services.identity.refresh()
    person = services.identity.people.named(named)
    if person is not None and person.role_in(workspace) is not None:
        return person
    raise NotFound(
        f"Workspace {workspace!r} has no person or API key {named!r}; give an e-mail address, a name or an id."
    )


async def existing(services: Services, visitor: Visitor) -> list[tuple[Thing, Terms]]:
    """The known tools that exist for a visitor, each with its terms. Fails closed: a tool in doubt is not told."""
    found = []
    for thing in await services.definitions.things(visitor.workspace.slug):
        terms = terms_of(visitor, thing)
        if terms is not None and (
            not _is_in_doubt(services, visitor, thing, terms) or await _is_offered(services, visitor, thing, terms)
        ):
            found.append((thing, terms))
    return found


def terms_of(visitor: Visitor, thing: Thing) -> Terms | None:
    """On what terms something may be used under its server's own name, as far as that tells; None: not at all."""
    if thing.server not in visitor.workspace.servers:
        return None  # one that they may not use must not be told from one that there is not
    decision = visitor.rules.decide(visitor.visit, thing)
    if not isinstance(decision, Allow):
        return None
    given = decision.terms.rename or thing.name
    if thing.kind == "tool" and visitor.rules.renamed(visitor.visit, thing.server).get(given, given) != thing.name:
        return None  # this name, or its new one, leads to another tool
    return decision.terms


def admitted(services: Services, visitor: Visitor, versions: Iterable[DefinitionVersion]) -> list[DefinitionVersion]:
    """Those of a tool's definitions that may pass."""
    slug, rules = visitor.workspace.slug, visitor.rules
    return [
        one
        for one in versions
        if services.definitions.admits(f"{slug}/{one.server}", rules.server(one.server), one.name, one.digest)
    ]


def _is_in_doubt(services: Services, visitor: Visitor, thing: Thing, terms: Terms) -> bool:
    """Whether it depends on its definition if a tool exists."""
    held = visitor.rules.server(thing.server)
    return (
        terms.read_only
        or terms.hidden_text == "refuse"
        or held.pin
        or held.new_tools != "allow"
        or services.definitions.restricts(f"{visitor.workspace.slug}/{thing.server}")
    )


async def _is_offered(services: Services, visitor: Visitor, thing: Thing, terms: Terms) -> bool:
    versions = await services.definitions.versions(visitor.workspace.slug, thing.server, thing.name)
    return any(_shows(terms, one) for one in admitted(services, visitor, versions))


def _shows(terms: Terms, one: DefinitionVersion) -> bool:
    if terms.read_only and annotations_of(one).get("readOnlyHint") is not True:
        return False
    return terms.hidden_text != "refuse" or clean_value(one.definition) is one.definition


def annotations_of(one: DefinitionVersion) -> dict[str, object]:
    """What a tool says of itself."""
    said = one.definition.get("annotations")
    return said if isinstance(said, dict) else {}
