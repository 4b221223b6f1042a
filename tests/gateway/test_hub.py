from dataclasses import replace
from typing import Any

import anyio
import pytest

from portkey_mcp.gateway import snapshots as snapshots_module
from portkey_mcp.gateway import standing
from portkey_mcp.gateway.merged import STALE_META
from portkey_mcp.gateway.naming import exposed
from portkey_mcp.model import Bundle, Era
from portkey_mcp.wire import Json
from tests.gateway.house import FORM, House, hiding, house
from tests.gateway.memory_link import SUBSCRIPTION_KEY, Asked, Client, MemoryLink

pytestmark = pytest.mark.anyio

ERAS = pytest.mark.parametrize("era", ["legacy", "modern"])
TASKS: Json = {"extensions": {"io.modelcontextprotocol/tasks": {}}}
UPDATED = "notifications/resources/updated"


def server(name: str, era: Era = "legacy", *tools: str, **more: Any) -> MemoryLink:
    link = MemoryLink(name, era, **more)
    link.on("tools/list", {"tools": [{"name": tool} for tool in tools], "ttlMs": 100})
    link.on("tools/call", {"content": [{"type": "resource_link", "uri": "f:a"}]})
    link.on("server/discover", link.hello)
    for method in ("resources/subscribe", "resources/unsubscribe", "logging/setLevel"):
        link.on(method, {})
    return link


async def tools(place: House, **more: Any) -> list[str]:
    outcome = await place.answer("tools/list", at=more.pop("at", ""), **more)
    return [tool["name"] for tool in outcome["result"]["tools"]]


@ERAS
async def test_a_hub_lists_every_servers_things_in_the_order_of_their_names(era: Era) -> None:
    async with house(server("mail", "modern", "send"), server("files", "legacy", "write", "a.b")) as place:
        outcome = await place.answer("tools/list", at="", era=era)

    names = [tool["name"] for tool in outcome["result"]["tools"]]
    assert names == ["files__write", exposed("files", "a.b"), "mail__send"]
    assert outcome["result"].get("cacheScope") == (None if era == "legacy" else "private")


@ERAS
async def test_every_listed_tool_can_be_called_by_its_hub_name(era: Era) -> None:
    files, mail = server("files", "legacy", "write", "a.b", "x" * 70), server("mail", "modern", "write")
    async with house(files, mail) as place:
        for name in await tools(place, era=era):
            outcome = await place.answer("tools/call", {"name": name}, at="", era=era)
            assert outcome["result"]["content"][0]["uri"].startswith("mcp+")

    called = [(asked.params or {})["name"] for link in (files, mail) for asked in link.asked("tools/call")]
    assert called == ["write", "a.b", "x" * 70, "write"]


@pytest.mark.parametrize("name", ["files__secret", exposed("files", "secret.tool"), "secret"])
async def test_what_is_hidden_cannot_be_called_under_any_name(name: str) -> None:
    files = server("files", "legacy", "secret", "secret.tool", "seen")
    async with house(files, server("mail"), hidden=["files/secret*"]) as place:
        assert await tools(place) == ["files__seen"]
        error = (await place.answer("tools/call", {"name": name}, at=""))["error"]

    assert error == {"code": -32602, "message": f"Unknown tool: {name}"}
    assert files.asked("tools/call") == []


async def test_a_hidden_resource_is_neither_read_nor_completed_nor_listened_to_on_a_hub() -> None:
    files = server("files")
    uri = "mcp+files+f:secret"
    async with house(files, hidden=["resource:files/f:secret", "prompt:files/secret"]) as place:
        for method, params in (
            ("resources/read", {"uri": uri}),
            ("completion/complete", {"ref": {"type": "ref/resource", "uri": uri}}),
            ("completion/complete", {"ref": {"type": "ref/prompt", "name": "files__secret"}}),
        ):
            assert (await place.answer(method, params, at=""))["error"]["code"] == -32602
        legacy = await place.answer("resources/subscribe", {"uri": uri}, at="", era="legacy")
        assert legacy["error"]["code"] == -32002

    assert files.requests == []


async def test_one_dead_server_costs_the_others_nothing_and_its_last_good_list_stays() -> None:
    files, mail = server("files", "legacy", "write"), server("mail", "modern", "send")
    async with house(files, mail) as place:
        await tools(place)
        place.upstreams.down.add("files")
        place.clock.now += 60
        outcome = await place.answer("tools/list", at="")
        failed = await place.answer("tools/call", {"name": "files__write"}, at="")
        worked = await place.answer("tools/call", {"name": "mail__send"}, at="")

        assert [tool["name"] for tool in outcome["result"]["tools"]] == ["files__write", "mail__send"]
        assert outcome["result"]["_meta"] == {STALE_META: ["files"]}
        assert failed["result"]["isError"]
        assert "files" in failed["result"]["content"][0]["text"]
        assert "isError" not in worked["result"]

        place.upstreams.down.clear()
        assert "_meta" not in (await place.answer("tools/list", at=""))["result"]


async def test_the_last_good_list_of_a_dead_server_shows_nothing_that_was_hidden_since() -> None:
    files = server("files", "legacy", "secret", "seen")
    async with house(files, server("mail")) as place:
        assert await tools(place) == ["files__secret", "files__seen"]
        place.upstreams.down.add("files")
        place.workspace = replace(place.workspace, policy=hiding("files/secret"))

        assert await tools(place) == ["files__seen"]


async def test_a_server_that_hangs_delays_nobody_but_its_own_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots_module, "PATIENCE", 0.01)
    async with house(server("files", "legacy", "write"), server("mail", "legacy", "send")) as place:
        place.upstreams.hanging.add("files")
        assert await tools(place) == ["mail__send"]
        monkeypatch.setattr(snapshots_module, "PATIENCE", 3600)
        assert await tools(place) == ["mail__send"]
        assert "result" in await place.answer("tools/call", {"name": "mail__send"}, at="")


async def test_servers_pages_are_all_taken_and_odd_things_left_out() -> None:
    async def paged(asked: Asked) -> Json:
        cursor = (asked.params or {}).get("cursor")
        odd: Json = {"tools": [7, None, {"title": "nameless"}, {"name": 7}, {"name": "b"}]}
        return odd if cursor == "" else {"tools": [{"name": "a"}], "nextCursor": ""}

    link = server("files")
    link.on("tools/list", paged)
    async with house(link) as place:
        assert await tools(place) == ["files__a", "files__b"]


async def test_a_server_without_the_capability_is_not_asked() -> None:
    link = server("files", "legacy", "write", capabilities={"prompts": {}})
    async with house(link) as place:
        assert await tools(place) == []

    assert link.requests == []


async def test_a_hubs_cursor_is_not_sent_on_and_a_made_up_one_is_refused() -> None:
    link = server("files", "legacy", *[f"t{number:03}" for number in range(250)])
    async with house(link) as place:
        first = (await place.answer("tools/list", at=""))["result"]
        second = (await place.answer("tools/list", {"cursor": first["nextCursor"]}, at=""))["result"]
        wrong = await place.answer("tools/list", {"cursor": "made-up"}, at="")

    assert (len(first["tools"]), len(second["tools"])) == (200, 50)
    assert "nextCursor" not in second
    assert wrong["error"]["code"] == -32602
    assert all("cursor" not in (asked.params or {}) for asked in link.requests)


@ERAS
async def test_a_hubs_greeting_joins_those_of_its_servers(era: Era) -> None:
    one, two = server("files", instructions="Be kind."), server("mail", "modern", instructions="Hurry.")
    async with house(one, two, server("dead")) as place:
        place.upstreams.down.add("dead")
        method = "initialize" if era == "legacy" else "server/discover"
        result = (await place.answer(method, {}, at="", era=era))["result"]

    assert result["instructions"] == "# files\nBe kind.\n\n# mail\nHurry."
    assert result["capabilities"]["tools"] == {"listChanged": True}


async def test_a_bundle_is_a_hub_of_what_it_chose() -> None:
    bundle = Bundle("team", "reading", "Reading", ("files/read_*",))
    files, mail = server("files", "legacy", "read_file", "write_file"), server("mail", "legacy", "send")
    async with house(files, mail, bundles=[bundle]) as place:
        assert await tools(place, at="reading") == ["files__read_file"]
        for name in ("files__write_file", "mail__send"):
            assert (await place.answer("tools/call", {"name": name}, at="reading"))["error"]["code"] == -32602
        assert "result" in await place.answer("tools/call", {"name": "files__read_file"}, at="reading")

    assert mail.requests == []


async def test_a_question_and_its_retry_go_through_the_hub_and_never_to_another_server() -> None:
    async def asks(asked: Asked) -> Json:
        answer = await asked.ask({"method": "elicitation/create", "params": {"message": "?"}})
        return {"content": [], "answer": answer}

    files, mail = server("files"), server("mail")
    files.on("tools/call", asks)
    async with house(files, mail) as place:
        call: dict[str, Any] = {"at": "", "capabilities": FORM}
        first = (await place.answer("tools/call", {"name": "files__x"}, **call))["result"]
        retry = {"inputResponses": {"input-1": {"action": "accept"}}, "requestState": first["requestState"]}
        stolen = await place.answer("tools/call", {"name": "mail__x", **retry}, **call)
        last = (await place.answer("tools/call", {"name": "files__x", **retry}, **call))["result"]

    assert stolen["error"]["code"] == -32602
    assert mail.requests == []
    assert last["answer"] == {"result": {"action": "accept"}}


async def test_notifications_of_a_call_come_in_the_hubs_names() -> None:
    async def tells(asked: Asked) -> Json:
        await asked.notify({"method": UPDATED, "params": {"uri": "f:a"}})
        return {}

    files, client = server("files"), Client()
    files.on("tools/call", tells)
    async with house(files) as place:
        await place.answer("tools/call", {"name": "files__x"}, at="", era="legacy", client=client)

    assert client.heard == [{"method": UPDATED, "params": {"uri": "mcp+files+f:a"}}]


async def test_a_hub_listens_to_all_its_servers_in_its_own_names() -> None:
    files, mail, client = server("files"), server("mail", "modern"), Client()
    uris = ["mcp+files+f:a", "mcp+mail+m:b"]
    wanted: Json = {"toolsListChanged": True, "resourceSubscriptions": uris}
    async with house(files, mail) as place, anyio.create_task_group() as group:
        call = place.call("subscriptions/listen", {"notifications": wanted}, at="", id="sub")
        group.start_soon(place.corridor.answer, call, client)
        await client.until(lambda: client.heard)
        await files.tell(UPDATED, {"uri": "f:a"})
        await mail.tell(UPDATED, {"uri": "m:b"})
        await mail.tell(UPDATED, {"uri": "f:a"})
        await files.tell("notifications/tools/list_changed")
        group.cancel_scope.cancel()

    assert client.heard[0]["params"]["notifications"] == wanted
    assert [message["params"].get("uri") for message in client.heard[1:]] == [*uris, None]
    assert {message["params"]["_meta"][SUBSCRIPTION_KEY] for message in client.heard} == {"sub"}


async def test_a_hub_acknowledges_only_resources_that_the_caller_can_see() -> None:
    client = Client()
    uris = ["mcp+files+f:a", "mcp+files+f:secret", "mcp+nobody+f:a", "f:a"]
    async with house(server("files"), hidden=["resource:files/f:secret"]) as place, anyio.create_task_group() as group:
        call = place.call("subscriptions/listen", {"notifications": {"resourceSubscriptions": uris}}, at="")
        group.start_soon(place.corridor.answer, call, client)
        await client.until(lambda: client.heard)
        group.cancel_scope.cancel()

    assert client.heard[0]["params"]["notifications"] == {"resourceSubscriptions": ["mcp+files+f:a"]}


async def test_listening_to_a_dead_server_does_not_keep_the_others_from_being_heard(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(standing, "READY_WITHIN", 0.01)
    files, client = server("files"), Client()
    async with house(files, server("dead"), server("hangs")) as place, anyio.create_task_group() as group:
        place.upstreams.down.add("dead")
        place.upstreams.hanging.add("hangs")
        call = place.call("subscriptions/listen", {"notifications": {"toolsListChanged": True}}, at="")
        group.start_soon(place.corridor.answer, call, client)
        await client.until(lambda: client.heard)
        await files.until(lambda: files.listeners)
        await files.tell("notifications/tools/list_changed")
        await client.until(lambda: len(client.heard) == 2)
        group.cancel_scope.cancel()


async def test_tasks_are_listened_to_only_by_who_declares_them_and_by_the_id_it_was_given() -> None:
    async def task(asked: Asked) -> Json:
        return {"resultType": "task", "taskId": "7"}

    mail, client = server("mail", "modern"), Client()
    mail.on("tools/call", task)
    mail.on("tasks/get", {"taskId": "7", "status": "working"})
    async with house(mail) as place, anyio.create_task_group() as group:
        given_id = (await place.answer("tools/call", {"name": "mail__x"}, at="", capabilities=TASKS))["result"][
            "taskId"
        ]
        got = (await place.answer("tasks/get", {"taskId": given_id}, at="", capabilities=TASKS))["result"]
        wanted = {"notifications": {"taskIds": [given_id]}}
        undeclared = await place.answer("subscriptions/listen", wanted, at="")
        call = place.call("subscriptions/listen", wanted, at="", capabilities=TASKS)
        group.start_soon(place.corridor.answer, call, client)
        await client.until(lambda: client.heard)
        stream = mail.asked("subscriptions/listen")[0]
        await stream.notify({"method": "notifications/tasks", "params": {"taskId": "7", "status": "completed"}})
        group.cancel_scope.cancel()

    assert (got["taskId"], got["status"]) == (given_id, "working")
    assert undeclared["error"]["code"] == -32021
    assert (stream.params or {})["notifications"] == {"taskIds": ["7"]}
    assert client.heard[1]["params"]["taskId"] == given_id


async def test_a_log_level_is_kept_for_every_server_and_told_before_its_next_call() -> None:
    files = server("files")
    async with house(files) as place:
        session = place.shake_hands("")
        more: dict[str, Any] = {"at": "", "era": "legacy", "session": session}
        assert await place.answer("logging/setLevel", {"level": "debug"}, **more) == {"result": {}}
        assert (await place.answer("logging/setLevel", {}, **more))["error"]["code"] == -32602
        assert files.requests == []
        await place.answer("tools/call", {"name": "files__x"}, **more)

    assert [asked.method for asked in files.requests] == ["logging/setLevel", "tools/call"]


async def test_a_clients_notification_reaches_every_server_that_can_take_it() -> None:
    files, mail = server("files"), server("mail")
    async with house(files, mail, server("dead")) as place:
        place.upstreams.down.add("dead")
        await place.corridor.notify(place.call("notifications/roots/list_changed", None, at="", era="legacy"))

    assert files.notifications == mail.notifications == [("notifications/roots/list_changed", None)]
