"""Answering an upstream's own requests (sampling, elicitation, roots) beside the stream they came on."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from portkey_mcp.errors import ConnectNeeded, UpstreamDown, UpstreamError, brief
from portkey_mcp.upstream.link import OnRequest
from portkey_mcp.upstream.messages import CANCELLED, INTERNAL_ERROR, METHOD_NOT_FOUND, PING, bare, failure
from portkey_mcp.upstream.tasks import Spawn
from portkey_mcp.wire import Json

log = logging.getLogger(__name__)

Reply = Callable[[Json], Awaitable[None]]
"""Sends a response message upstream."""


class Answering:
    """The upstream's requests that are being answered for one call or one attendant. `stop` gives them up."""

    def __init__(self, spawn: Spawn, reply: Reply) -> None:
        self._spawn, self._reply = spawn, reply
        self._running: dict[Any, asyncio.Task[None]] = {}

    def start(self, request: Json, on_request: OnRequest) -> None:
        """Answer one request in its own time. A `ping` is answered here, the rest by `on_request`."""
        key = _key(request.get("id"))
        task = self._spawn(self._answer(request, on_request))
        self._running[key] = task
        task.add_done_callback(lambda _: self._running.pop(key, None))

    def withdraw(self, notification: Json) -> bool:
        """Whether a notification cancels one of these requests; that one is then given up, unanswered."""
        params = notification.get("params")
        if notification.get("method") != CANCELLED or not isinstance(params, dict):
            return False
        task = self._running.get(_key(params.get("requestId")))
        if task is None:
            return False
        task.cancel()
        return True

    def stop(self) -> None:
        """Give up all of them: the call is over."""
        for task in list(self._running.values()):
            task.cancel()

    async def _answer(self, request: Json, on_request: OnRequest) -> None:
        if request["method"] == PING:
            answer: Json = {"result": {}}
        else:
            try:
                answer = await on_request(bare(request))
            except Exception:
                log.exception("answering %s failed", request["method"])
                answer = failure(INTERNAL_ERROR, "the gateway could not answer")
        try:
            await self._reply({"jsonrpc": "2.0", "id": request.get("id"), **answer})
        except (UpstreamError, UpstreamDown, ConnectNeeded) as error:
            log.info("the answer to %s could not be delivered: %s", request["method"], brief(error))


async def ignore(_: Json) -> None:
    """For requests of the gateway's own, about which nobody wants to hear more than the result."""


async def no_requests(_: Json) -> Json:
    """For requests of the gateway's own: nobody is there whom the upstream could ask."""
    return failure(METHOD_NOT_FOUND, "nobody is connected who could answer")


def _key(request_id: Any) -> Any:
    """Ids are compared by type too: 1 and "1" are two requests."""
    return type(request_id).__name__, str(request_id)
