"""What a hub tells without being asked, and the tasks of its servers."""

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.client.subscriptions import ResourceUpdated, Subscription, ToolsListChanged

from tests.stories.five import LIVELY_ONES, five_servers
from tests.stories.gateway import Gateway
from tests.stories.hearing import PATIENCE, TOOLS, UPDATED, Heard
from tests.stories.raw_client import Json, RawClient, raw_http

pytestmark = pytest.mark.anyio

TASKS = "io.modelcontextprotocol/tasks"
DECLARED: Json = {"io.modelcontextprotocol/clientCapabilities": {"elicitation": {}, "extensions": {TASKS: {}}}}


@pytest.fixture(scope="module")
async def hub(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    async with five_servers(tmp_path_factory.mktemp("hub")) as served:
        yield served


@pytest.mark.parametrize("server", LIVELY_ONES)
@pytest.mark.filterwarnings("ignore::mcp.MCPDeprecationWarning")
async def test_a_legacy_client_hears_of_a_resource_it_subscribed_to(hub: Gateway, server: str) -> None:
    heard, uri = Heard(), f"mcp+{server}+note://one"
    async with Client(hub.at("team"), mode="legacy", message_handler=heard) as client:
        await client.subscribe_resource(uri)

        news = await heard.after(lambda: client.call_tool(f"{server}__write", {"text": "new"}), UPDATED)

        assert news["uri"] == uri
        [contents] = (await client.read_resource(uri)).contents
        assert contents.text == "new"


@pytest.mark.parametrize("server", LIVELY_ONES)
async def test_a_legacy_client_hears_that_tools_changed(hub: Gateway, server: str) -> None:
    heard = Heard()
    async with Client(hub.at("team"), mode="legacy", message_handler=heard) as client:
        await heard.after(lambda: client.call_tool(f"{server}__grow", {"name": "for_legacy"}), TOOLS)

        grown = await client.call_tool(f"{server}__for_legacy", {"text": "hi"})
        assert grown.content[0].text == f"{server}: hi"


@pytest.mark.parametrize("server", LIVELY_ONES)
async def test_a_modern_client_hears_what_it_listens_for(hub: Gateway, server: str) -> None:
    uri = f"mcp+{server}+note://one"
    async with (
        Client(hub.at("team"), mode="2026-07-28") as client,
        client.listen(tools_list_changed=True, resource_subscriptions=[uri]) as subscription,
    ):
        await client.call_tool(f"{server}__write", {"text": "newer"})
        # Who took its time is listened to only after the acknowledgement: then its lists may have changed, too.
        assert await first(subscription, but_for=ToolsListChanged()) == ResourceUpdated(uri)
        await client.call_tool(f"{server}__grow", {"name": "for_modern"})
        assert await first(subscription, but_for=ResourceUpdated(uri)) == ToolsListChanged()


@pytest.mark.parametrize("server", LIVELY_ONES)
async def test_a_modern_client_hears_nothing_it_did_not_ask_for(hub: Gateway, server: str) -> None:
    uri = f"mcp+{server}+note://one"
    async with (
        Client(hub.at("team"), mode="2026-07-28") as client,
        client.listen(resource_subscriptions=[uri]) as subscription,
    ):
        await client.call_tool(f"{server}__grow", {"name": "unheard"})
        for other in LIVELY_ONES:
            if other != server:
                await client.call_tool(f"{other}__write", {"text": "of no interest"})
        await client.call_tool(f"{server}__write", {"text": "at last"})

        assert await first(subscription) == ResourceUpdated(uri)


async def first(subscription: Subscription, but_for: Any = None) -> Any:
    with anyio.fail_after(PATIENCE):
        async for event in subscription:
            if event != but_for:
                return event
    raise AssertionError("the subscription ended")


async def test_a_task_is_followed_on_the_hub_to_its_result(hub: Gateway) -> None:
    async with raw_http() as http:
        client = RawClient(http, hub.at("team"), "modern")
        task = await start(client, "jobs__slow_compute", {"seconds": 0})

        while (state := await about(client, "tasks/get", task))["status"] == "working":
            assert state["taskId"] == task

        assert state["status"] == "completed"
        assert state["result"]["content"][0]["text"] == "Computed for 0.0 seconds."


async def test_a_task_that_asks_is_answered_on_the_hub(hub: Gateway) -> None:
    async with raw_http() as http:
        client = RawClient(http, hub.at("team"), "modern")
        task = await start(client, "jobs__confirm_delete", {})
        while (state := await about(client, "tasks/get", task))["status"] == "working":
            pass
        assert list(state["inputRequests"]) == ["confirm"]

        answer = {"action": "accept", "content": {"confirm": True}}
        await about(client, "tasks/update", task, inputResponses={"confirm": answer})
        while (state := await about(client, "tasks/get", task))["status"] not in ("completed", "failed"):
            pass
        assert "accept" in state["result"]["content"][0]["text"]


async def test_a_task_is_cancelled_on_the_hub(hub: Gateway) -> None:
    async with raw_http() as http:
        client = RawClient(http, hub.at("team"), "modern")
        task = await start(client, "jobs__slow_compute", {"seconds": 600})
        await about(client, "tasks/cancel", task)

        while (state := await about(client, "tasks/get", task))["status"] == "working":
            pass
        assert state["status"] == "cancelled"


async def test_a_task_nobody_started_is_unknown(hub: Gateway) -> None:
    async with raw_http() as http:
        client = RawClient(http, hub.at("team"), "modern")
        request = client.request("tasks/get", {"taskId": "made-up", "_meta": DECLARED})

        assert (await client.post(request, mcp_name="made-up")).answer["error"]["code"] == -32602


async def start(client: RawClient, name: str, arguments: Json) -> str:
    """Call a tool that becomes a task; gives the task's id."""
    called = await client.call("tools/call", {"name": name, "arguments": arguments, "_meta": DECLARED})
    assert called.answer["result"]["resultType"] == "task", called.answer
    return str(called.answer["result"]["taskId"])


async def about(client: RawClient, method: str, task: str, **more: Any) -> Json:
    request = client.request(method, {"taskId": task, **more, "_meta": DECLARED})
    heard = await client.post(request, mcp_name=task)
    assert "result" in heard.answer, heard.answer
    return dict(heard.answer["result"])
