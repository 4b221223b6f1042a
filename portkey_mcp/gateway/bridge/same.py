"""Both ends speak the same era: everything is passed on as it is."""

from contextlib import suppress

import anyio
from mcp_types import MISSING_REQUIRED_CLIENT_CAPABILITY

from portkey_mcp.errors import InvalidRequest, UpstreamError
from portkey_mcp.gateway.bridge.way import ASKABLE, Way, as_object, declared, ignore, refuse, refuse_question, send
from portkey_mcp.gateway.session import Live
from portkey_mcp.wire import Json


async def legacy(way: Way) -> Json:
    """Forward a legacy request; server requests go to the client while the call is open."""

    async def ask(message: Json) -> Json:
        return await way.reply.ask(message) if way.may_ask(message) else refuse_question(message)

    if way.call.live is not None and way.link not in way.call.live.told:
        await _tell(way, way.call.live)
    result = await send(way, way.call.params, on_notification=way.reply.notify, on_request=ask)
    if way.call.live is not None:
        _remember(way, way.call.live)
    return result


def _remember(way: Way, live: Live) -> None:
    """Keep what the upstream has accepted, for the next link of the same session."""
    params = way.call.params or {}
    if way.call.method == "logging/setLevel" and isinstance(params.get("level"), str):
        live.log_level = params["level"]
    elif way.call.method in ("resources/subscribe", "resources/unsubscribe"):
        live.subscribe(way.link.server.name, params["uri"], way.call.method == "resources/subscribe")


async def _tell(way: Way, live: Live) -> None:
    """Bring a link that was opened later, or again, to where the session is."""
    live.told.add(way.link)
    told: list[tuple[str, Json]] = []
    if live.log_level is not None and "logging" in as_object(way.link.hello.get("capabilities")):
        told.append(("logging/setLevel", {"level": live.log_level}))
    mine = sorted(uri for server, uri in live.subscriptions if server == way.link.server.name)
    told += [("resources/subscribe", {"uri": uri}) for uri in mine]
    for method, params in told:
        with anyio.move_on_after(way.timeout), suppress(UpstreamError):
            await way.link.request(method, params, on_notification=ignore, on_request=refuse)


async def modern(way: Way) -> Json:
    """Forward a modern request. A modern upstream cannot ask; one that tries is told so.

    Raises:
        InvalidRequest: the upstream wants input of a kind that the client did not declare (protocol.md R2).
    """
    result = await send(way, way.call.params, on_notification=way.reply.notify, on_request=refuse)
    if "resultType" not in result:
        return {**result, "resultType": "complete"}
    if result["resultType"] == "input_required":
        check_declared(way.call.capabilities, result)
    return result


def check_declared(capabilities: Json, result: Json) -> None:
    """Refuse an InputRequiredResult that asks for what the client cannot do."""
    requests = result.get("inputRequests")
    for request in requests.values() if isinstance(requests, dict) else ():
        if isinstance(request, dict) and request.get("method") in ASKABLE and not declared(capabilities, request):
            need = ASKABLE[request["method"]]
            raise InvalidRequest(
                MISSING_REQUIRED_CLIENT_CAPABILITY,
                f"The server needs the client capability {need!r} for this request",
                {"requiredCapabilities": {need: {}}},
            )
