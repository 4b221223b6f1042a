"""One message through the gateway: span, endpoint, answer. What stands before and behind it never notices the rest."""

from collections.abc import Awaitable, Sequence
from contextlib import suppress
from typing import Any, Final, Protocol

import anyio

from portkey_mcp.errors import PortkeyError
from portkey_mcp.gateway.answer import outcome_of
from portkey_mcp.gateway.bridge.way import Answers
from portkey_mcp.gateway.call import Call
from portkey_mcp.gateway.hub import Hub
from portkey_mcp.gateway.means import Means
from portkey_mcp.gateway.single import Single
from portkey_mcp.gateway.snapshots import Snapshots
from portkey_mcp.gateway.standing import Source
from portkey_mcp.model import Workspace
from portkey_mcp.policy.decide import Rules
from portkey_mcp.policy.document import EMPTY, Policy
from portkey_mcp.wire import Json

_OPEN = Rules(EMPTY)

NOTIFIED_WITHIN: Final = 10.0
"""Seconds a client's notification may wait for its upstream: the client waits for its 202 meanwhile."""


class Serving(Protocol):
    """What answers at an endpoint: one server, or several as a hub."""

    def hello(self) -> Awaitable[Json]: ...
    def request(self, reply: Answers) -> Awaitable[Any]: ...
    async def notify(self, method: str, params: Json | None) -> None: ...
    def sources(self) -> Sequence[Source]: ...


class Corridor:
    """Answers calls. One per process."""

    def __init__(self, means: Means, snapshots: Snapshots) -> None:
        self._means = means
        self._snapshots = snapshots
        self._rules: dict[str, tuple[Policy, Rules]] = {}

    async def answer(self, call: Call, reply: Answers) -> Json:
        """Answer one request: `{"result": …}` or `{"error": …}`. Raises nothing but cancellation."""
        session = call.session.id if call.session is not None else ""
        with self._means.spans.server(
            method=call.method,
            params=call.params,
            visit=call.visit,
            era=call.era,
            version=call.version,
            request_id=call.id,
            session=session,
            carrier=call.headers,
        ) as span:
            try:
                result: Json = await self._result(call, reply)
                span.result(result)
                return {"result": result}
            except Exception as error:
                outcome = outcome_of(error, call.method, call.era)
                if "error" in outcome:
                    span.error(outcome["error"].get("code"), outcome["error"].get("message"))
                else:
                    span.result(outcome["result"])
                return outcome

    def _result(self, call: Call, reply: Answers) -> Awaitable[Json]:
        if call.era == "legacy" and call.method == "ping":
            return _pong()
        serving = self.at(call)
        if call.method == ("initialize" if call.era == "legacy" else "server/discover"):
            return serving.hello()
        return serving.request(reply)

    def at(self, call: Call) -> Serving:
        """What answers at the call's endpoint."""
        workspace = call.visit.endpoint.workspace
        rules = self._rules_of(workspace)
        if call.visit.endpoint.kind == "server":
            return Single(self._means, workspace.servers[call.visit.endpoint.name], call, rules)
        return Hub(self._means, self._snapshots, call, rules)

    def _rules_of(self, workspace: Workspace) -> Rules:
        """The workspace's policy, compiled once per change."""
        policy, rules = self._rules.get(workspace.slug, (EMPTY, _OPEN))
        if policy is not (workspace.policy or EMPTY):
            rules = Rules(workspace.policy or EMPTY)
            self._rules[workspace.slug] = (workspace.policy or EMPTY, rules)
        return rules

    async def notify(self, call: Call) -> None:
        """Pass on a client's notification; what cannot be delivered is lost, as notifications are."""
        with anyio.move_on_after(min(NOTIFIED_WITHIN, self._means.timeout)), suppress(PortkeyError):
            await self.at(call).notify(call.method, call.params)


async def _pong() -> Json:
    return {}
