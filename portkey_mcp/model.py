"""What travels between the rooms: frozen values in the user's words, with no behaviour but telling of themselves."""

import re
import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal, get_args

from portkey_mcp.proof import Auth
from portkey_mcp.wire import Json

Era = Literal["legacy", "modern"]
"""*modern* = protocol 2026-07-28 and later, stateless; *legacy* = 2025-11-25 and earlier, with a handshake."""

Transport = Literal["http", "sse", "stdio"]
EndpointKind = Literal["server", "bundle", "hub", "root"]
Role = Literal["owner", "admin", "member", "viewer"]
"""From the one that may do most to the one that may do least."""

LONGEST_EMAIL: Final = 254
"""Characters: what a path of SMTP leaves to an address (RFC 5321, section 4.5.3.1.3)."""
LONGEST_LABEL: Final = 100
_EMAIL: Final = re.compile(r"[^@\s<>()\[\],;:\\\"]+@[^@\s<>()\[\],;:\\\"./]+(\.[^@\s<>()\[\],;:\\\"./]+)*")


@dataclass(frozen=True, slots=True)
class Access:
    """Who may use a server: people by e-mail address or id, and members of groups. Any of them is enough."""

    people: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class McpServer:
    """A registered upstream MCP server.

    `headers`, `env`, `url` and `command` may hold references (`${env:…}`, `${file:…}`, `${secret:…}`); whoever opens
    a link resolves them then, so no secret rests here. `protocol` is `auto` or a pinned protocol version.
    `process` says for stdio whether everybody shares one process or each principal has its own.
    """

    workspace: str
    name: str
    transport: Transport
    url: str = ""
    command: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    protocol: str = "auto"
    process: Literal["principal", "shared"] = "principal"
    title: str = ""
    enabled: bool = True
    access: Access | None = None
    """Who of the workspace may use it; None: everybody."""
    auth: Auth | None = None
    """How the gateway proves itself there; None: by `headers`, or not at all."""
    forward: Mapping[str, str] = field(default_factory=dict)
    """Headers of the client's that are passed on, in lower case, and what they are called there."""
    key: str = field(init=False, compare=False, repr=False)
    """`workspace/name`, unique in the gateway."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", f"{self.workspace}/{self.name}")


@dataclass(frozen=True, slots=True)
class Bundle:
    """A named choice from several servers of one workspace; `include` are globs `server/name`."""

    workspace: str
    name: str
    title: str
    include: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Workspace:
    """A team's space. Keys of `servers` and `bundles` are their names; `policy` is the parsed policy document."""

    slug: str
    name: str
    servers: Mapping[str, McpServer]
    bundles: Mapping[str, Bundle]
    policy: Any = None
    reviewed: int = 0
    """Another number when people decided about definitions of its tools: then its lists are other ones."""


@dataclass(frozen=True, slots=True)
class Directory:
    """Everything registered, as one immutable snapshot; swapped whole when anything changes."""

    workspaces: Mapping[str, Workspace] = field(default_factory=dict)
    hosts: Mapping[str, str] = field(default_factory=dict)
    """Host alias (lower case, no port) to the path it stands for, `workspace/server` or `workspace`."""
    key_hosts: Collection[str] = frozenset()
    """Those of them where clients come with an API key, and nothing speaks of OAuth."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls. `id` is stable and unique; `workspaces` maps each workspace's slug to the role there.

    A local admin (`auth: none`) has `everywhere` set to its role in every workspace. `groups` count in every workspace,
    as an external identity provider claims them; a workspace's own groups count nowhere else: ask `groups_in`.
    """

    id: str
    name: str
    kind: Literal["person", "service", "local"]
    workspaces: Mapping[str, Role] = field(default_factory=dict)
    groups: tuple[str, ...] = ()
    everywhere: Role | None = None
    client: str = ""
    """Id of the OAuth client that acts for it, as it registered; empty for any other credential."""
    credential: str = ""
    """Id of the key or grant by which it came; empty where it has only one, and `id` says all."""
    own_groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The groups of single workspaces, by slug."""
    reach: str | None = None
    """Where its credential is good: everywhere (None), in one workspace (`ws`), or at one endpoint (`ws/server`)."""
    scopes: tuple[str, ...] | None = None
    """What its credential allows at most, as `trust.SCOPES` names it; None: all."""
    email: str = ""
    """A person's address as `folded_email` has it, where the gateway itself knows it."""

    def role_in(self, workspace: str) -> Role | None:
        """The role in a workspace, or None: then nothing there exists for this principal."""
        return self.workspaces.get(workspace, self.everywhere)

    def groups_in(self, workspace: str) -> tuple[str, ...]:
        """The groups that count in a workspace."""
        own = self.own_groups.get(workspace, ())
        return tuple(dict.fromkeys(self.groups + own)) if self.groups and own else self.groups or own


def lower_role(one: Role, other: Role) -> Role:
    """The one of two roles that may do less."""
    roles: tuple[Role, ...] = get_args(Role)
    return max(one, other, key=roles.index)


def outranks(one: Role, other: Role) -> bool:
    """Whether the first of two roles may do more."""
    return one != other and lower_role(one, other) == other


@dataclass(frozen=True, slots=True)
class DeclaredKey:
    """An API key that `portkey.yaml` declares. `key` is the key itself, resolved, and never shown."""

    workspace: str
    name: str
    key: str = field(repr=False)
    role: Role = "member"
    scopes: tuple[str, ...] | None = None
    """What it allows at most, as `trust.SCOPES` names it; None: all that the role does."""
    server: str = ""
    """The only server of the workspace that it is good for; empty: all."""
    expires: datetime | None = None


@dataclass(frozen=True, slots=True)
class DeclaredMember:
    """A member of a workspace that `portkey.yaml` declares. `name` is empty where the file gives none."""

    workspace: str
    email: str
    role: Role = "member"
    groups: tuple[str, ...] = ()
    name: str = ""


def folded_email(email: str) -> str:
    """An e-mail address as it is compared: capital letters and ways to write the same character make no difference.

    RFC 5321 lets a host tell capitals in the first part apart; none does, and a second account for `Ada@` is a trap.
    """
    return unicodedata.normalize("NFC", email.strip().casefold())


def email_problem(email: str) -> str:
    """What is wrong with an e-mail address; empty when it can be one. Whether it exists, only a message to it tells."""
    if len(email) > LONGEST_EMAIL:
        return f"an e-mail address has at most {LONGEST_EMAIL} characters; this one has {len(email)}"
    if not _EMAIL.fullmatch(email) or not email.isprintable():
        return f"{email!r} is no e-mail address; expected one like ada@example.com"
    return ""


def label_problem(text: str, what: str) -> str:
    """What is wrong with the name of a group or of a person; `what` says which of them it is."""
    if not text.strip() or len(text) > LONGEST_LABEL or not text.isprintable() or text != text.strip():
        return f"{text!r} is no {what}; expected 1 to {LONGEST_LABEL} characters on one line, without spaces around"
    return ""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What a client connected to. `name` is the server's or bundle's; empty for a hub."""

    kind: EndpointKind
    workspace: Workspace
    name: str = ""
    path: str = field(init=False, compare=False, repr=False)
    """Canonical path below the origin, without `/mcp`: `ws/server`, `ws`, or `` for the root hub."""

    def __post_init__(self) -> None:
        below = f"{self.workspace.slug}/{self.name}" if self.name else self.workspace.slug
        object.__setattr__(self, "path", "" if self.kind == "root" else below)


@dataclass(frozen=True, slots=True)
class Visit:
    """One principal at one endpoint: what admission grants and every decision is asked with.

    `address` is where the request came from, an IP address; empty when that is not known.
    """

    principal: Principal
    endpoint: Endpoint
    address: str = ""


@dataclass(slots=True, unsafe_hash=True)
class Introduction:
    """How a visitor is introduced upstream. Not changed once made.

    Links are shared between visitors with an equal `party`: the legacy session's id, or principal, endpoint and
    capabilities where there is no session. `capabilities` and `client_info` are the client's own, raw; `version` the
    protocol version it speaks. `besides` is whatever else its `initialize` said, as long as that is at hand.
    """

    party: str
    principal: str
    capabilities: Json = field(hash=False, compare=False, default_factory=dict)
    client_info: Json = field(hash=False, compare=False, default_factory=dict)
    version: str = ""
    besides: Json = field(hash=False, compare=False, default_factory=dict)
    who: Principal | None = field(hash=False, compare=False, default=None)
    """The principal itself, for servers that are told who calls or hold an account of theirs."""


@dataclass(frozen=True, slots=True)
class Take:
    """One step of one counter: `cost` more in the window that `starts` and `ends` then, unless that exceeds `limit`.

    Moments are seconds since the epoch. A window that starts and ends at 0 is none: then calls under way are counted,
    each until it is given back.
    """

    key: str
    starts: int
    ends: int
    cost: int
    limit: int

    @property
    def concurrent(self) -> bool:
        """Whether this counts calls under way."""
        return self.ends == 0


@dataclass(frozen=True, slots=True)
class Taken:
    """All steps of one call, done as one. `used` is each counter's value with them; `leases` are to be given back."""

    takes: tuple[Take, ...]
    used: tuple[int, ...]
    leases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Exhausted:
    """Nothing was counted, since these steps would have exceeded their limit; `used` is what each stands at."""

    takes: tuple[Take, ...]
    used: tuple[int, ...]
