"""Takes note of each call that used something: who, what, how it ended, and how long it took. Never an argument."""

import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from portkey_mcp.activity.record import CallRecord
from portkey_mcp.errors import ConnectNeeded, InvalidRequest, Refused, UpstreamDown, UpstreamError
from portkey_mcp.gateway.call import Call
from portkey_mcp.policy.decide import Thing
from portkey_mcp.wire import Json

Note = Callable[[CallRecord], None]


class Noting:
    """One call that is being watched. `upstream` are the seconds its server had it."""

    __slots__ = ("_at", "_began", "call", "error", "note", "outcome", "thing", "upstream")

    def __init__(self, note: Note, call: Call, thing: Thing) -> None:
        self.note, self.call, self.thing = note, call, thing
        self.outcome, self.error, self.upstream = "cancelled", "", 0.0
        self._began, self._at = time.perf_counter(), datetime.now(UTC)

    async def of(self, answering: Awaitable[Json]) -> Json:
        """Await an answer, and take note of how it went. Raises what it raises."""
        try:
            result = await answering
            self.ended(result)
            return result
        except Exception as error:
            self.failed(error)
            raise
        finally:
            self.done()

    def ended(self, result: Json) -> None:
        """It has a result."""
        if result.get("resultType") == "input_required":
            self.outcome = "input_required"
        else:
            self.outcome = "tool_error" if result.get("isError") is True else "ok"

    def failed(self, error: Exception) -> None:
        """It has none; what is kept of the error is a code or a word of the gateway's own."""
        self.outcome = "refused" if isinstance(error, Refused | InvalidRequest | ConnectNeeded) else "error"
        match error:
            case Refused():
                self.error = error.reason
            case ConnectNeeded():
                self.error = "account"
            case InvalidRequest() | UpstreamError():
                self.error = str(error.code)
            case UpstreamDown():
                self.error = "upstream down" if not error.sent else "no answer"
            case _:
                self.error = type(error).__name__

    def done(self) -> None:
        """Hand the record over."""
        visit, thing = self.call.visit, self.thing
        who = visit.principal
        workspace = visit.endpoint.workspace.slug
        self.note(
            CallRecord(
                at=self._at,
                workspace=workspace,
                principal=who.id,
                principal_name=who.name,
                kind=who.kind,
                role=who.role_in(workspace) or "",
                groups=who.groups_in(workspace),
                client=who.client,
                address=visit.address,
                server=thing.server,
                method=self.call.method,
                name=thing.name,
                outcome=self.outcome,
                error=self.error,
                duration_ms=round((time.perf_counter() - self._began) * 1000, 3),
                upstream_ms=round(self.upstream * 1000, 3),
                trace_id="",
            )
        )
