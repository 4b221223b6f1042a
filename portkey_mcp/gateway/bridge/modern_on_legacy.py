"""A modern client on a legacy upstream: the envelope is taken off, questions park the call, results are stamped."""

import weakref
from contextlib import suppress
from typing import Final

import anyio
from mcp_types import URL_ELICITATION_REQUIRED
from mcp_types.methods import INPUT_REQUIRED_METHODS

from portkey_mcp.errors import UpstreamError
from portkey_mcp.gateway.bridge.envelope import legacy_params, modern_error, modern_result
from portkey_mcp.gateway.bridge.parked import Parked, Parking, digest_of
from portkey_mcp.gateway.bridge.way import Way, as_object, ignore, log_level, refuse, refuse_question, send
from portkey_mcp.upstream.link import Link
from portkey_mcp.upstream.reading import LISTS
from portkey_mcp.wire import Json, Raw, dumps

LEVELS: Final = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")

STANDING: Final = (
    "notifications/tools/list_changed",
    "notifications/prompts/list_changed",
    "notifications/resources/list_changed",
    "notifications/resources/updated",
    "notifications/elicitation/complete",
)
"""What legacy servers may say on any stream, and modern ones on a listen stream or not at all (protocol.md 1.2)."""

_levels: weakref.WeakKeyDictionary[Link, int] = weakref.WeakKeyDictionary()
"""The lowest log level that was set on each legacy link; a link's level is only ever lowered."""


async def forward(way: Way, parking: Parking, path: str) -> Json:
    """Answer a modern request from a legacy upstream. `path` is the endpoint's, for binding a parked call to it.

    Raises:
        UpstreamError: with the code the modern era has for it.
        InvalidRequest: a retry whose state is not to be trusted, or too many parked calls.
    """
    wanted = log_level(way.call.params)
    if wanted is not None:
        await _lower_level(way, wanted)
    try:
        result = await _answer(way, parking, path)
    except UpstreamError as error:
        if error.code == URL_ELICITATION_REQUIRED and (required := _url_input(way, error.error)):
            return required
        raise UpstreamError(modern_error(way.call.method, error.error), error.status, error.headers) from None
    if result.get("resultType") == "input_required":
        return result
    if isinstance(result, Raw) and way.call.method in LISTS:
        # Whose list it is, is part of what is written into it.
        who = dumps(way.link.hello.get("serverInfo"))
        return result.once(("modern", who), lambda listed: modern_result(way.call.method, listed, way.link.hello))
    return modern_result(way.call.method, result, way.link.hello)


async def _answer(way: Way, parking: Parking, path: str) -> Json:
    params = way.call.params or {}
    state = params.get("requestState")
    if isinstance(state, str) and way.call.method in INPUT_REQUIRED_METHODS:
        digest = digest_of(path, way.call.method, params)
        return await parking.resume(
            way.call.visit.principal.id, digest, state, as_object(params.get("inputResponses")), HearingOf(way)
        )
    if way.call.method in INPUT_REQUIRED_METHODS and way.call.capabilities:

        async def run(parked: Parked) -> Json:
            async def ask(message: Json) -> Json:
                return await parked.ask(modern_question(message)) if way.may_ask(message) else refuse_question(message)

            way.passage.goes_on = True
            try:
                return await send(way, legacy_params(way.call.params), on_notification=parked.notify, on_request=ask)
            finally:
                await way.passage.over()

        return await parking.begin(
            way.call.visit.principal.id, digest_of(path, way.call.method, params), run, HearingOf(way)
        )

    return await send(way, legacy_params(way.call.params), on_notification=HearingOf(way).notify, on_request=refuse)


class HearingOf:
    """The modern client's side of a call: log messages only as loud as this very request asked for.

    A retry is another request with a progress token of its own, so the call's progress goes by that one from then on.
    """

    def __init__(self, way: Way) -> None:
        self._way = way
        self._level = _rank(log_level(way.call.params))
        self._meta = as_object((way.call.params or {}).get("_meta"))

    async def notify(self, message: Json) -> None:
        """Pass on a notification, unless it was not asked for or has no place in a modern call."""
        if message["method"] in STANDING:
            self._way.noted(message)
            return
        if message["method"] == "notifications/progress":
            if "progressToken" not in self._meta:
                return
            told = {**as_object(message.get("params")), "progressToken": self._meta["progressToken"]}
            message = {**message, "params": told}
        if message["method"] == "notifications/message":
            level = as_object(message.get("params")).get("level")
            if self._level is None or (_rank(level) or 0) < self._level:
                return
        await self._way.reply.notify(message)

    async def ask(self, message: Json) -> Json:
        """Modern clients are never asked directly."""
        return refuse_question(message)


def _rank(level: object) -> int | None:
    return LEVELS.index(level) if level in LEVELS else None


async def _lower_level(way: Way, wanted: str) -> None:
    """Make the legacy session at least as talkative as this request wants; others filter for themselves."""
    rank = _rank(wanted)
    if rank is None or "logging" not in as_object(way.link.hello.get("capabilities")):
        return
    if rank >= _levels.get(way.link, len(LEVELS)):
        return

    with anyio.move_on_after(way.timeout), suppress(UpstreamError):
        await way.link.request("logging/setLevel", {"level": LEVELS[rank]}, on_notification=ignore, on_request=refuse)
        _levels[way.link] = rank


def modern_question(message: Json) -> Json:
    """A legacy server request as an input request; the legacy elicitation id has no place in it."""
    params = message.get("params")
    if message["method"] == "elicitation/create" and isinstance(params, dict) and "elicitationId" in params:
        return {**message, "params": {key: value for key, value in params.items() if key != "elicitationId"}}
    return message


def _url_input(way: Way, error: Json) -> Json | None:
    """-32042 says which URLs a person must visit before the call is sent again; modern clients get input requests.

    None when the client cannot show URLs or the error names none; then it is passed on as an error.
    """
    if way.call.method not in INPUT_REQUIRED_METHODS:
        return None
    listed = as_object(error.get("data")).get("elicitations")
    requests = {
        f"url-{number}": modern_question({"method": "elicitation/create", "params": {"mode": "url", **elicitation}})
        for number, elicitation in enumerate(listed if isinstance(listed, list) else [])
        if isinstance(elicitation, dict)
    }
    if not requests or not all(way.may_ask(request) for request in requests.values()):
        return None
    return {"resultType": "input_required", "inputRequests": requests}
