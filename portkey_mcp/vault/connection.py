"""What is kept of an account at a server, as frozen values. Nothing secret is in any of their representations."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NamedTuple

State = Literal["good", "ended"]


class Place(NamedTuple):
    """Whose account at which server: `subject` is a principal's id, empty for the one that the workspace shares."""

    workspace: str
    server: str
    subject: str


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An authorization server, as far as tokens are asked of it again. It is kept with what it gave.

    `methods` are the ways it lets clients prove themselves, `dpop` the algorithms of proofs that it takes (RFC 9449);
    empty: none. `revocation` is empty where nothing can be revoked.
    """

    issuer: str
    token: str
    revocation: str = ""
    methods: tuple[str, ...] = ()
    dpop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Client:
    """The client that the gateway is there. `method` is how it proves itself, as RFC 7591 names it."""

    id: str
    method: str = "none"
    secret: str = field(default="", repr=False)
    private_key: str = field(default="", repr=False)
    algorithm: str = ""


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a token endpoint gave. `kind` is `Bearer` or `DPoP`; then `dpop_key` is the PEM of the key that it is bound
    to. `expires` None: nobody said. `scopes` None: those that were asked for.
    """

    access: str = field(repr=False)
    kind: Literal["Bearer", "DPoP"] = "Bearer"
    expires: datetime | None = None
    refresh: str = field(default="", repr=False)
    scopes: tuple[str, ...] | None = None
    id_token: str = field(default="", repr=False)
    dpop_key: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Credential:
    """What proves an account: tokens with where they came from, or headers as a person entered their parts.

    `resource` is the canonical URL of the server that it is good for, and nothing else ever gets it. `scopes` are
    those it has.
    """

    resource: str
    tokens: Tokens | None = None
    endpoint: Endpoint | None = None
    client: Client | None = None
    scopes: tuple[str, ...] = ()
    entered: Mapping[str, str] = field(default_factory=dict, repr=False)
    asked: str = ""
    """The `resource` that was asked for (RFC 8707), and is again with each refresh; empty: none."""

    @property
    def issuer(self) -> str:
        """Who gave it; empty for what a person entered."""
        return "" if self.endpoint is None else self.endpoint.issuer


@dataclass(frozen=True, slots=True)
class Connection:
    """An account at a server. `generation` counts its credentials: another number, another token.

    `why` says why it ended. `wanted` are scopes that the server asked for beyond those it has, to be asked for when it
    is connected the next time.
    """

    place: Place
    credential: Credential
    state: State
    generation: int
    connected_by: str
    created: datetime
    refreshed: datetime | None = None
    why: str = ""
    wanted: tuple[str, ...] = ()
