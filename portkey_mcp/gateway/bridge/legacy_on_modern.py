"""A legacy client on a modern upstream: the session is simulated, input that is required is asked for in place.

Server requests go down the event stream of the very call that needs them (SEP-2260), never the standing one.
"""

import secrets
from typing import Final

import anyio
from mcp_types import INTERNAL_ERROR

from portkey_mcp.errors import ConnectNeeded, InvalidRequest, UpstreamDown, UpstreamError
from portkey_mcp.gateway.bridge.envelope import TASKS, legacy_error, legacy_result, modern_meta
from portkey_mcp.gateway.bridge.way import Way, as_object, refuse, refuse_question, send, with_meta
from portkey_mcp.gateway.call import Call
from portkey_mcp.upstream.reading import LISTS
from portkey_mcp.wire import Json, Raw

MOST_ROUNDS: Final = 10
"""Rounds of required input for one call; the number the SDKs agree on."""

FIRST_WAIT, LONGEST_WAIT = 0.05, 0.25
"""Seconds before a retry that carries state only; doubled each time, as the SDKs do."""


async def forward(way: Way) -> Json:
    """Answer a legacy request from a modern upstream.

    Raises:
        UpstreamError: with the code the legacy era has for it.
        InvalidRequest: the upstream never stopped asking, or the client refused to answer.
    """
    if way.call.method == "logging/setLevel":
        return _set_level(way)
    if way.call.method in ("resources/subscribe", "resources/unsubscribe"):
        return _subscribe(way)
    try:
        result = await _call(way)
    except UpstreamError as error:
        raise UpstreamError(legacy_error(way.call.method, error.error), error.status, error.headers) from None
    if isinstance(result, Raw) and way.call.method in LISTS:
        return result.once("legacy", lambda listed: legacy_result(way.call.method, listed))
    return legacy_result(way.call.method, result)


def _set_level(way: Way) -> Json:
    if way.call.live is not None:
        level = (way.call.params or {}).get("level")
        way.call.live.log_level = level if isinstance(level, str) else None
    return {}


def _subscribe(way: Way) -> Json:
    uri = (way.call.params or {}).get("uri")
    if way.call.live is not None and isinstance(uri, str):
        way.call.live.subscribe(way.link.server.name, uri, way.call.method == "resources/subscribe")
    return {}


async def _call(way: Way) -> Json:
    envelope = _envelope(way.call)
    params = with_meta(way.call.params, lambda meta: {**meta, **envelope})

    wait = FIRST_WAIT
    attempt = params
    for number in range(MOST_ROUNDS):
        try:
            result = await send(way, attempt, on_notification=way.reply.notify, on_request=refuse)
        except ConnectNeeded as needed:
            if not number:
                raise
            # What began may not be said to have done nothing.
            reason = f"the account it used ended while the call was under way ({needed.text})"
            raise UpstreamDown(way.link.server.name, reason, sent=True) from None
        if result.get("resultType") != "input_required":
            return result
        requests = as_object(result.get("inputRequests"))
        attempt = dict(params)
        if requests:
            attempt["inputResponses"] = await _ask_all(way, requests)
            wait = FIRST_WAIT
        else:
            await anyio.sleep(wait)
            wait = min(wait * 2, LONGEST_WAIT)
        if "requestState" in result:
            attempt["requestState"] = result["requestState"]
    raise InvalidRequest(INTERNAL_ERROR, f"The server still asked for input after {MOST_ROUNDS} rounds")


def _envelope(call: Call) -> Json:
    """What every request made for this client says of it; made once for a session, and when its log level changes."""
    live = call.live
    if live is None or call.withheld:
        level = live.log_level if live is not None else None
        return modern_meta({}, without_tasks(call.capabilities), call.client_info, level)
    if live.envelope is None or live.envelope[0] != live.log_level:
        made = modern_meta({}, without_tasks(call.capabilities), call.client_info, live.log_level)
        live.envelope = live.log_level, made
    return live.envelope[1]


async def _ask_all(way: Way, requests: Json) -> Json:
    """Put every required input to the client at once and collect the answers by key.

    Raises:
        InvalidRequest: the client answered one with an error; its error becomes the call's.
    """
    answers: Json = {}
    refused: Json | None = None

    async def ask(key: str, request: Json) -> None:
        nonlocal refused
        outcome = await way.reply.ask(request) if way.may_ask(request) else refuse_question(request)
        if "error" in outcome:
            refused = as_object(outcome["error"])
            group.cancel_scope.cancel()
        else:
            answers[key] = outcome["result"]

    async with anyio.create_task_group() as group:
        for key, request in requests.items():
            group.start_soon(ask, key, legacy_question(as_object(request)))
    if refused is not None:
        raise InvalidRequest(
            refused.get("code", INTERNAL_ERROR), refused.get("message", "The client refused"), refused.get("data")
        )
    return answers


def without_tasks(capabilities: Json) -> Json:
    """A legacy client's capabilities without the tasks extension, which its era must not honour (protocol.md T3)."""
    extensions = as_object(capabilities.get("extensions"))
    if TASKS not in extensions:
        return capabilities
    return {**capabilities, "extensions": {key: value for key, value in extensions.items() if key != TASKS}}


def legacy_question(request: Json) -> Json:
    """An input request as a legacy server request; URL elicitation gets the id that the legacy era requires."""
    question: Json = {"method": str(request.get("method", ""))}
    if "params" in request:
        question["params"] = request["params"]
    params = request.get("params")
    if question["method"] == "elicitation/create" and isinstance(params, dict) and params.get("mode") == "url":
        question["params"] = {"elicitationId": secrets.token_urlsafe(12), **params}
    return question
