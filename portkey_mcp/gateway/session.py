"""Sessions of legacy clients: sealed tokens, so that any worker, and a restarted one, can serve them.

The `Mcp-Session-Id` *is* the session: what the client declared and who it is, sealed. Only what a client sets later
(log level, subscriptions) and its open stream live in this process; losing them costs a client no call.
"""

import secrets
import sys
import time
import weakref
from collections import OrderedDict
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Final

import anyio

from portkey_mcp.errors import NotFound
from portkey_mcp.model import Introduction, Principal, Visit
from portkey_mcp.sealing import KeyRing, Unsealable
from portkey_mcp.upstream.alike import Alike
from portkey_mcp.upstream.link import Link
from portkey_mcp.wire import Json, MalformedJson, dumps, loads

SEAL: Final = "mcp-session"
"""What the token is bound to besides its contents: it opens nowhere else."""

LARGEST_CLIENT_INFO: Final = 1024
"""Bytes of a clientInfo that travel in the token; a larger one (icons) keeps name, title and version.

Common servers and proxies allow 8 KiB for all headers together; base64 and the capabilities must fit beside it."""

LARGEST_TOKEN: Final = 6 * 1024

REMEMBERED: Final = 100_000
"""Ended sessions kept per process, about 100 bytes each; the oldest are forgotten first."""

KEPT_LIVE: Final = 20_000
"""Live states kept per process, about a kilobyte each, and what a client says of itself at most; the longest unused are
forgotten first."""

KEPT_OPEN: Final = 20_000
"""Tokens kept opened per process, about a kilobyte each; opening one again takes about ten microseconds."""

SESSION_GONE: Final = "Session not found: it has ended or is not yours. Send `initialize` to start another."


@dataclass(frozen=True, slots=True)
class Session:
    """A legacy client after its handshake: the opened token. `id` names it in this process, `token` on the wire."""

    id: str
    token: str
    version: str
    capabilities: Json = field(hash=False, compare=False)
    client_info: Json = field(hash=False, compare=False)


@dataclass(frozen=True, slots=True)
class _Opened:
    """A token that was read: the session, and what must fit whoever brings it. `born` in seconds since the epoch."""

    session: Session
    born: int
    principal: str
    path: str


class Told:
    """Links that were told something, nearly always one. What `weakref.WeakSet` does, at a tenth of its size."""

    __slots__ = ("_links",)

    def __init__(self) -> None:
        self._links: tuple[weakref.ref[Link], ...] = ()

    def __contains__(self, link: Link) -> bool:
        return any(one() is link for one in self._links)

    def __len__(self) -> int:
        return sum(one() is not None for one in self._links)

    def add(self, link: Link) -> None:
        """Note a link, for as long as it lives."""
        self._links = (*(one for one in self._links if one() is not None), weakref.ref(link))

    def clear(self) -> None:
        """Nobody knows it any more."""
        self._links = ()


@dataclass(slots=True)
class Live:
    """What a session set after its handshake. `stream` is cancelled when a newer GET stream takes its place."""

    log_level: str | None = None
    subscriptions: AbstractSet[tuple[str, str]] = frozenset()
    """Server name and URI of each resource the client subscribed to."""
    told: Told = field(default_factory=Told)
    """Links that know level and subscriptions; a link opened later is told before its first call."""
    _changed: anyio.Event | None = None
    stream: anyio.CancelScope | None = None
    visit: Visit | None = None
    """What admission granted when the client was last told how things are on its stream."""
    introduction: Introduction | None = None
    """How the client is introduced upstream, once that was made out."""
    envelope: tuple[str | None, Json] | None = None
    """Its log level, and what a modern server is told of the client with every request, once that was made."""

    elicitations: dict[str, str] | None = None
    """Ids of the URL elicitations by which the client was told to connect an account, by server; None: of none."""

    def elicited(self, server: str, ident: str) -> str:
        """Note that an account was asked for; gives the id that it has, which stays the same until it is done."""
        if self.elicitations is None:
            self.elicitations = {}
        return self.elicitations.setdefault(server, ident)

    def connected(self, server: str) -> str | None:
        """The id of what was asked for and is done now; None where nothing was."""
        return self.elicitations.pop(server, None) if self.elicitations else None

    @property
    def changed(self) -> anyio.Event:
        """Set, and replaced, when `subscriptions` changes. Made for whoever waits for it: most sessions have nobody."""
        if self._changed is None:
            self._changed = anyio.Event()
        return self._changed

    def subscribe(self, server: str, uri: str, wanted: bool) -> None:
        """Add or remove one resource subscription and wake whoever serves the standing stream."""
        one = {(server, uri)}
        self.subscriptions = self.subscriptions | one if wanted else self.subscriptions - one
        if self._changed is not None:
            self._changed.set()
            self._changed = None


class Sessions:
    """Mints, opens and ends sessions."""

    def __init__(self, keyring: KeyRing, days: int) -> None:
        self._keyring = keyring
        self._lifetime = days * 86_400
        self._live: OrderedDict[str, Live] = OrderedDict()
        self._ended: OrderedDict[str, None] = OrderedDict()
        self._opened: OrderedDict[str, _Opened] = OrderedDict()
        self._alike = Alike()

    def mint(self, visit: Visit, ident: str, version: str, capabilities: Json, client_info: Json) -> Session:
        """Seal a new session for this visit.

        A client whose capabilities are too large for a header is remembered without its vendor extensions.
        """
        info = client_info
        if len(dumps(info)) > LARGEST_CLIENT_INFO:
            info = {key: info[key] for key in ("name", "title", "version") if isinstance(info.get(key), str)}
        token = self._seal(visit, ident, version, capabilities, info)
        if len(token) > LARGEST_TOKEN:
            standard = ("roots", "sampling", "elicitation")
            capabilities = {key: capabilities[key] for key in standard if key in capabilities}
            token = self._seal(visit, ident, version, capabilities, {})
        if len(token) > LARGEST_TOKEN:
            capabilities = {key: {} for key in capabilities}
            token = self._seal(visit, ident, version, capabilities, {})
        return Session(ident, token, version, capabilities, info)

    def _seal(self, visit: Visit, ident: str, version: str, capabilities: Json, info: Json) -> str:
        content = [ident, int(time.time()), _whose(visit.principal), visit.endpoint.path, version, capabilities, info]
        return self._keyring.seal(dumps(content), SEAL)

    def open(self, token: str, visit: Visit) -> Session:
        """Open a client's token.

        Raises:
            NotFound: it does not open, is too old, was ended, or belongs to another principal or endpoint.
        """
        opened = self._opened.get(token)
        if opened is None:
            opened = self._open(token)
        else:
            self._opened.move_to_end(token)
        session = opened.session
        mine = opened.principal == _whose(visit.principal) and opened.path == visit.endpoint.path
        if not mine or session.id in self._ended or opened.born + self._lifetime < time.time():
            raise NotFound(SESSION_GONE)
        return session

    def _open(self, token: str) -> _Opened:
        """Read a token; those in use are kept open, since each of their calls brings them again."""
        try:
            content = loads(self._keyring.open(token, SEAL))
        except (Unsealable, MalformedJson):
            raise NotFound(SESSION_GONE) from None
        ident, born, principal, path, version, capabilities, info = content
        # Thousands of sessions are of a few clients and principals, so what they say alike is kept once.
        session = Session(ident, token, sys.intern(version), self._alike.one(capabilities), self._alike.one(info))
        opened = _Opened(session, born, sys.intern(principal), sys.intern(path))
        self._opened[token] = opened
        if len(self._opened) > KEPT_OPEN:
            self._opened.popitem(last=False)
        return opened

    def end(self, session: Session) -> None:
        """End a session for good; its token opens no more in this process."""
        self._ended[session.id] = None
        if len(self._ended) > REMEMBERED:
            self._ended.popitem(last=False)
        live = self._live.pop(session.id, None)
        if live is not None and live.stream is not None:
            live.stream.cancel()

    def live(self, session: Session) -> Live:
        """The session's state in this process, made on first use."""
        live = self._live.get(session.id)
        if live is None:
            live = self._live[session.id] = Live()
            if len(self._live) > KEPT_LIVE:
                self._live.popitem(last=False)
        self._live.move_to_end(session.id)
        return live


def _whose(principal: Principal) -> str:
    """Whom a session belongs to: a principal, and where an app calls for them, by that app (oauth.md A6)."""
    return f"{principal.id} by {principal.client}" if principal.client else principal.id


def new_session_id() -> str:
    """An id for a session about to begin: unguessable, and known before the upstream is greeted on its behalf."""
    return secrets.token_urlsafe(12)
