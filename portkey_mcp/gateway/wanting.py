"""What a caller gets from a server that wants an account, when none that is good is connected.

    modern, with URL elicitation    the result asks for it; the retry waits until the account is there, and goes on
    legacy, with URL elicitation    the error -32042, by which the client opens the page, and later sends the call again
    any other                       words with a link, which a model can pass on

The link is a page of the gateway's own, where the person signs in as who they are here (oauth.md A29): it is no secret,
and nothing that proves anything ever passes the client. Nothing has run when any of this is said.

Lists and greetings never fail for want of an account, or no client could come back after one ended overnight: there is
a tool of the gateway's own then, `connect_account`.
"""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from secrets import token_urlsafe
from typing import Any, Final

import anyio
from mcp_types import INVALID_PARAMS
from mcp_types.methods import INPUT_REQUIRED_METHODS
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, LATEST_HANDSHAKE_VERSION, MODERN_PROTOCOL_VERSIONS

from portkey_mcp import __version__
from portkey_mcp.errors import ConnectNeeded, InvalidRequest
from portkey_mcp.gateway.bridge.envelope import modern_result
from portkey_mcp.gateway.bridge.parked import digest_of
from portkey_mcp.gateway.bridge.way import as_object, declared
from portkey_mcp.gateway.call import Call
from portkey_mcp.gateway.changes import Changes
from portkey_mcp.gateway.visible import Listing
from portkey_mcp.model import Era, McpServer
from portkey_mcp.sealing import KeyRing, Unsealable
from portkey_mcp.wire import Json, MalformedJson, dumps, loads

SEAL: Final = "connect"
KEY: Final = "connect"
"""The input request of a modern result that asks for an account."""

CONNECT: Final = "connect_account"
"""The gateway's own tool in place of a server's, as long as these cannot be listed."""

LIFE: Final = 3600.0
"""Seconds a person may take: to find a password, to ask an administrator."""

PATIENCE: Final = 50.0
"""Seconds a retry waits for the account: clients give up after a minute, and say that they accepted before it is there.
"""

PAUSES: Final = (0.1, 0.2, 0.5, 1.0, 2.0)
"""Seconds between two looks for the account; the last one again and again."""

OFFERS: Final[Json] = {"tools": {"listChanged": True}}
"""What the gateway offers in a server's place."""

Go = Callable[[Call], Awaitable[Json]]


@dataclass
class Told(ConnectNeeded):
    """The same, said in words or by an error, since nobody can be asked, or was asked already.

    `elicitation` is the id of a legacy URL elicitation, empty where the client knows of none.
    """

    elicitation: str = ""


@dataclass(slots=True)
class Wanting:
    """Asks for accounts. One per process; `changes` wakes whoever waits for one."""

    changes: Changes = field(default_factory=Changes)
    patience: float = PATIENCE
    pauses: Sequence[float] = PAUSES
    clock: Callable[[], float] = time.time

    async def through(self, call: Call, server: McpServer, keyring: KeyRing, go: Go) -> Json:
        """The answer of `go`, or the question for an account; a retry that brings the answer waits for the account.

        Raises:
            Told: there is no account, and nobody to be asked in place.
            InvalidRequest: the state of a retry is another request's, or too old.
        """
        state = self._state(call, server, keyring)
        if state is None:
            try:
                return await go(call)
            except ConnectNeeded as needed:
                if may_ask(call, needed) and call.era == "modern" and call.method in INPUT_REQUIRED_METHODS:
                    return self._asked(call, server, keyring, needed)
                raise told(call, server, needed) from None
        call, answer = _restored(call, state)
        if answer is None:
            return await self.through(call, server, keyring, go)
        if as_object(answer).get("action") != "accept":
            text = f"{server.name} is not connected: the person declined. Do not ask again unless they want it."
            raise Told(server.name, text)
        return await self._waited(call, server, go)

    async def _waited(self, call: Call, server: McpServer, go: Go) -> Json:
        """Try until the account is there: accepting says that the page was opened, not that all is done there."""
        pauses, pause = iter(self.pauses), 0.0
        until = anyio.current_time() + self.patience
        while True:
            try:
                return await go(call)
            except ConnectNeeded as needed:
                left = until - anyio.current_time()
                if left <= 0:
                    raise told(call, server, needed, words=True) from None
            pause = next(pauses, pause)
            await self.pause(min(pause, left))

    async def pause(self, seconds: float) -> None:
        """Wait for so long, or until something changed: perhaps an account was connected."""
        with anyio.move_on_after(seconds):
            await self.changes.told()

    def _asked(self, call: Call, server: McpServer, keyring: KeyRing, needed: ConnectNeeded) -> Json:
        """An InputRequiredResult (2026-07-28 mrtr; elicitation, URL mode); the state brings back what came before."""
        params = call.params or {}
        kept = {key: params[key] for key in ("requestState", "inputResponses") if key in params}
        content = [_binding(call, server), self.clock() + LIFE, kept]
        question = {"mode": "url", "url": needed.url, "message": needed.text}
        return {
            "resultType": "input_required",
            "inputRequests": {KEY: {"method": "elicitation/create", "params": question}},
            "requestState": keyring.seal(dumps(content), SEAL),
        }

    def _state(self, call: Call, server: McpServer, keyring: KeyRing) -> Json | None:
        """What was kept of the request this is a retry of; None where its state is none of ours."""
        sealed = (call.params or {}).get("requestState")
        if call.era != "modern" or not isinstance(sealed, str):
            return None
        try:
            binding, until, kept = loads(keyring.open(sealed, SEAL))
        except (Unsealable, MalformedJson, ValueError):
            return None
        if binding != _binding(call, server):
            raise InvalidRequest(INVALID_PARAMS, "requestState belongs to another request")
        if until < self.clock():
            raise InvalidRequest(INVALID_PARAMS, "requestState has expired; call again")
        return as_object(kept)


def _binding(call: Call, server: McpServer) -> list[str]:
    """What a state is good for: this person, here, with this very request."""
    path = call.visit.endpoint.path
    return [call.visit.principal.id, server.key, digest_of(path, call.method, call.params)]


def _restored(call: Call, kept: Json) -> tuple[Call, Any]:
    """The call as it was before it was asked about, with whatever else came with the retry, and the answer."""
    params = {key: value for key, value in (call.params or {}).items() if key != "requestState"}
    came = as_object(params.pop("inputResponses", None))
    answer = came.get(KEY)
    others = {**as_object(kept.get("inputResponses")), **{key: came[key] for key in came if key != KEY}}
    if others:
        params["inputResponses"] = others
    if "requestState" in kept:
        params["requestState"] = kept["requestState"]
    return replace(call, params=params), answer


def may_ask(call: Call, needed: ConnectNeeded) -> bool:
    """Whether the client can open the page for its person."""
    return bool(needed.url) and declared(
        call.capabilities, {"method": "elicitation/create", "params": {"mode": "url", "url": needed.url}}
    )


def told(call: Call, server: McpServer, needed: ConnectNeeded, *, words: bool = False) -> Told:
    """How a client is told for which there is no question; `words`: without asking it once more."""
    if isinstance(needed, Told):
        return needed
    elicitation = ""
    if not words and call.era == "legacy" and may_ask(call, needed):
        elicitation = token_urlsafe(12)
        if call.live is not None:
            elicitation = call.live.elicited(server.name, elicitation)
    return Told(needed.server, needed.text, needed.url, elicitation)


def said(needed: ConnectNeeded) -> str:
    """The words, with the link that belongs to them."""
    text = needed.text if needed.text.endswith((".", "!", "?")) else f"{needed.text}."
    if not needed.url or needed.url in text:
        return text
    return f"{text} Ask the person to open {needed.url} and to connect it there; then call again."


def greeting(era: Era, version: str, server: McpServer, needed: ConnectNeeded) -> Json:
    """An InitializeResult or DiscoverResult in place of a server's that cannot be asked for want of an account."""
    info = {"name": server.name, "title": server.title or server.name, "version": __version__}
    instructions = f"{said(needed)} Until then the only tool is {CONNECT}."
    if era == "legacy":
        speaks = version if version in HANDSHAKE_PROTOCOL_VERSIONS else LATEST_HANDSHAKE_VERSION
        return {"protocolVersion": speaks, "capabilities": OFFERS, "serverInfo": info, "instructions": instructions}
    found = {
        "supportedVersions": list(MODERN_PROTOCOL_VERSIONS),
        "capabilities": OFFERS,
        "instructions": instructions,
    }
    return modern_result("server/discover", found, {"serverInfo": info})


def listed(era: Era, listing: Listing, server: McpServer, needed: ConnectNeeded) -> Json:
    """A list in place of a server's: its one tool, or nothing. Good for no time, and nobody else's."""
    things = [tool(server, needed)] if listing.member == "tools" else []
    result: Json = {listing.member: things}
    return result if era == "legacy" else {"resultType": "complete", **result, "ttlMs": 0, "cacheScope": "private"}


def tool(server: McpServer, needed: ConnectNeeded) -> Json:
    """The tool that stands for a server's as long as no account is connected."""
    title = server.title or server.name
    return {
        "name": CONNECT,
        "title": f"Connect an account at {title}",
        "description": f"{said(needed)} Calling this tells how, and whether it is done; then list the tools again.",
        "inputSchema": {"type": "object", "properties": {}, "additionalProperties": False},
        "annotations": {"readOnlyHint": True, "openWorldHint": False},
    }


def connected(era: Era, server: McpServer) -> Json:
    """What calling that tool says once the account is there."""
    text = f"The account at {server.title or server.name} is connected. List the tools again: they are all there now."
    result: Json = {"content": [{"type": "text", "text": text}]}
    return {"resultType": "complete", **result} if era == "modern" else result
