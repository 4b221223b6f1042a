"""Each call that used something is noted once, as it ended, and never what was said in it."""

from typing import Any

import pytest

from portkey_mcp.activity.record import CallRecord
from portkey_mcp.errors import ConnectNeeded, InvalidRequest, Refused, UpstreamDown, UpstreamError
from portkey_mcp.gateway.noting import Noting
from portkey_mcp.policy.decide import Thing
from tests.gateway.house import house
from tests.gateway.memory_link import MemoryLink

pytestmark = pytest.mark.anyio

READ = Thing("tool", "alpha", "read")


async def noted(how: Any) -> CallRecord:
    found: list[CallRecord] = []
    async with house(MemoryLink()) as served:
        call = served.call("tools/call", {"name": "read", "arguments": {"secret": "hush"}})
        noting = Noting(found.append, call, READ)
        if isinstance(how, Exception):
            noting.failed(how)
        elif how is not None:
            noting.ended(how)
        noting.done()
    [record] = found
    assert "hush" not in str(record)
    return record


@pytest.mark.parametrize(
    ("how", "outcome", "error"),
    [
        ({"content": []}, "ok", ""),
        ({"content": [], "isError": True}, "tool_error", ""),
        ({"resultType": "input_required"}, "input_required", ""),
        (Refused("limit", "used up: hush"), "refused", "limit"),
        (ConnectNeeded("alpha", "hush"), "refused", "account"),
        (InvalidRequest(-32602, "Unknown tool: hush"), "refused", "-32602"),
        (UpstreamError({"code": -32000, "message": "hush"}), "error", "-32000"),
        (UpstreamDown("alpha", "hush"), "error", "upstream down"),
        (UpstreamDown("alpha", "hush", sent=True), "error", "no answer"),
        (ValueError("hush"), "error", "ValueError"),
        (None, "cancelled", ""),
    ],
)
async def test_how_a_call_ended(how: Any, outcome: str, error: str) -> None:
    record = await noted(how)
    assert (record.outcome, record.error) == (outcome, error)


async def test_a_record_says_who_used_what() -> None:
    record = await noted({})
    assert (record.workspace, record.principal, record.role, record.kind) == ("team", "ada", "member", "person")
    assert (record.server, record.method, record.name) == ("alpha", "tools/call", "read")
    assert record.duration_ms >= record.upstream_ms >= 0
