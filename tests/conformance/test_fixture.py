"""The fixture upstream: one era only where it is told so, and news of tasks, which the suite does not look at."""

from collections.abc import Iterator

import anyio
import httpx2
import pytest

from tests.conformance import processes
from tests.conformance.everything.call import Json
from tests.conformance.modern_client import ModernClient
from tests.conformance.suite import LEGACY, MODERN

ACCEPT = {"Accept": "application/json, text/event-stream"}
TASKS: Json = {"extensions": {"io.modelcontextprotocol/tasks": {}}, "elicitation": {}}


@pytest.fixture(scope="module")
def modern() -> Iterator[str]:
    with processes.upstream("modern") as url:
        yield url


def initialize(version: str) -> Json:
    params = {"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
    return {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}


def test_a_legacy_fixture_does_not_know_the_modern_era() -> None:
    discover = {"jsonrpc": "2.0", "id": 1, "method": "server/discover", "params": {"_meta": {}}}
    modern_headers = {**ACCEPT, "MCP-Protocol-Version": MODERN, "Mcp-Method": "server/discover"}

    with processes.upstream("legacy") as url:
        refused = httpx2.post(url, json=discover, headers=modern_headers)
        welcome = httpx2.post(url, json=initialize(LEGACY), headers=ACCEPT)

    assert (refused.status_code, refused.json()["error"]["code"]) == (400, -32600)
    assert welcome.status_code == 200
    assert "mcp-session-id" in welcome.headers


@pytest.mark.parametrize("headers", [{}, {"MCP-Protocol-Version": LEGACY}])
def test_a_modern_fixture_refuses_the_handshake(modern: str, headers: dict[str, str]) -> None:
    refused = httpx2.post(modern, json=initialize(LEGACY), headers={**ACCEPT, **headers})

    assert refused.status_code == 400
    assert refused.json()["id"] == 1
    assert refused.json()["error"]["code"] == -32022
    assert refused.json()["error"]["data"] == {"supported": [MODERN], "requested": LEGACY}
    assert httpx2.get(modern).status_code == 405


@pytest.mark.anyio
async def test_who_listens_to_a_task_hears_how_it_goes_on(modern: str) -> None:
    async with ModernClient(modern, TASKS) as client:
        task = await client.call_once("confirm_delete", {})
        named = {"taskId": task["taskId"]}
        with anyio.fail_after(10):
            while (await client.request("tasks/get", named))["status"] != "input_required":
                pass
            async with client.listen({"taskIds": [task["taskId"]], "toolsListChanged": False}) as said:
                acknowledged = await anext(said)
                await client.request("tasks/update", {**named, "inputResponses": {"confirm": {"action": "accept"}}})
                news = [(await anext(said))["params"] for _ in range(2)]

    subscription = acknowledged["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"]
    assert acknowledged["method"] == "notifications/subscriptions/acknowledged"
    assert acknowledged["params"]["notifications"] == {"taskIds": [task["taskId"]]}
    assert [(entry["taskId"], entry["status"]) for entry in news] == [
        (task["taskId"], "working"),
        (task["taskId"], "completed"),
    ]
    assert {entry["_meta"]["io.modelcontextprotocol/subscriptionId"] for entry in news} == {subscription}
    assert "Answered" in news[-1]["result"]["content"][0]["text"]
