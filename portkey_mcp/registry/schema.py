"""The shape of `portkey.yaml`, version 1: which keys there are and of which kind. What they may say is `checks.py`'s.

Also the source of the JSON Schema that editors use.
"""

from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    StrictBool,
    StrictStr,
    Tag,
)

from portkey_mcp.model import Role, Transport
from portkey_mcp.policy.document import Policy
from portkey_mcp.registry.auth_schema import ServerAuth
from portkey_mcp.registry.trust_schema import EgressPart, IssuerPart, OAuthPart, SignInPart, Texts
from portkey_mcp.settings import Auth


class Part(BaseModel):
    """Frozen, and without unknown keys: a typing error is a mistake, never a setting that silently does nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class AccessPart(Part):
    """Who of the workspace may use a server; whoever is named, or in one of the groups."""

    people: tuple[StrictStr, ...] = ()
    groups: tuple[StrictStr, ...] = ()


class ServerPart(Part):
    """One server: a `url`, or a `command` that is started on the gateway's machine."""

    url: StrictStr = ""
    command: tuple[StrictStr, ...] = ()
    env: Texts = {}
    cwd: StrictStr = ""
    headers: Texts = {}
    auth: ServerAuth | None = None
    forward_headers: Texts = {}
    """Headers of the client's that are passed on, and what they are called there; empty text: the same."""
    transport: Transport | None = None
    """Needed for `sse` only; else a url means `http` and a command `stdio`."""
    protocol: StrictStr = "auto"
    process: Literal["principal", "shared"] = "principal"
    title: StrictStr = ""
    enabled: StrictBool = True
    access: AccessPart | None = None


class BundlePart(Part):
    """A named choice from several servers."""

    title: StrictStr = ""
    include: tuple[StrictStr, ...]


class KeyPart(Part):
    """An API key; `key` is best a reference."""

    name: StrictStr
    key: StrictStr
    role: Role = "member"
    scopes: tuple[Literal["mcp:read", "mcp:call"], ...] | None = None
    """What it allows at most; all that the role does, if not given."""
    server: StrictStr = ""
    """The only server of this workspace that it is good for."""
    expires: StrictStr = ""
    """A date or a moment, in UTC unless it says otherwise: from then on the key is refused."""


class MemberPart(Part):
    """A person, by e-mail address, and what they are in the workspace."""

    email: StrictStr
    role: Role = "member"
    groups: tuple[StrictStr, ...] = ()
    name: StrictStr = ""


PolicyPart = Annotated[
    Annotated[StrictStr, Tag("path")] | Annotated[Policy, Tag("document")],
    Discriminator(lambda value: "path" if isinstance(value, str) else "document"),
]


class WorkspacePart(Part):
    """A workspace. `policy` is the document, or the path of one beside this file."""

    name: StrictStr = ""
    servers: dict[StrictStr, ServerPart] = {}
    bundles: dict[StrictStr, BundlePart] = {}
    members: tuple[MemberPart, ...] = ()
    api_keys: tuple[KeyPart, ...] = ()
    policy: PolicyPart | None = None


class GatewayPart(Part):
    """What holds for the gateway as a whole; the command line and the environment win over it."""

    public_url: StrictStr | None = None
    auth: Auth | None = None
    hosts: Texts = {}
    key_hosts: Texts = {}
    """Host aliases for clients with an API key: there nothing speaks of OAuth."""
    sign_in: SignInPart = SignInPart()
    oauth: OAuthPart = OAuthPart()
    issuers: tuple[IssuerPart, ...] = ()
    egress: EgressPart = EgressPart()


class Document(Part):
    """The whole file."""

    version: Literal[1] = Field(description="The version of this format.")
    gateway: GatewayPart = GatewayPart()
    workspaces: dict[StrictStr, WorkspacePart] = {}


HINTS = {
    "args": "write program and arguments as one list: command: [npx, -y, some-server]",
    "type": "write transport: http, sse or stdio, or leave it out",
    "serverUrl": "write url",
    "mcpServers": "that is a client's file; `portkey-mcp servers import` reads those",
    "disabled": "write enabled: false",
    "token": "write auth: {type: headers, headers: {Authorization: 'Bearer ${env:TOKEN}'}}",
}
"""Words from the configuration files of MCP clients."""
