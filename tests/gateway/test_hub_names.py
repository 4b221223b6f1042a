from contextlib import suppress
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portkey_mcp.errors import InvalidRequest
from portkey_mcp.gateway.call import Call
from portkey_mcp.gateway.hub_names import HubNames
from portkey_mcp.gateway.lane import Lane
from portkey_mcp.gateway.naming import exposed
from portkey_mcp.gateway.started import Started
from portkey_mcp.gateway.visible import NO_PINS
from portkey_mcp.model import Endpoint, Principal, Visit, Workspace
from portkey_mcp.policy.decide import Rules
from portkey_mcp.sealing import KeyRing
from portkey_mcp.wire import Json
from tests.gateway.house import ADA, BOB, hiding
from tests.gateway.memory_link import MemoryLink

pytestmark = pytest.mark.anyio

KEYS = KeyRing.generate()
LONG = "a.very.long.tool.name." * 4
SERVERS = ("files", "mail")
PROMPT, RESOURCE = {"type": "ref/prompt"}, {"type": "ref/resource"}


def names(
    principal: Principal = ADA, team: str = "team", hidden: tuple[str, ...] = (), servers: Any = SERVERS
) -> HubNames:
    principal = replace(principal, everywhere="member")
    call = Call(Visit(principal, Endpoint("hub", Workspace(team, team, {}, {}))), 1, "", None, "modern", "2026-07-28")
    means: Any = SimpleNamespace(pins=NO_PINS, started=Started())
    lanes = {name: Lane(means, MemoryLink(name).server, call, Rules(hiding(*hidden))) for name in servers}
    return HubNames(KEYS, call, lanes)


async def nothing(lane: Lane, method: str, anew: bool) -> list[Any]:
    raise AssertionError(f"{method} of {lane.server.name} should not be needed")


async def listed(lane: Lane, method: str, anew: bool) -> list[Any]:
    return [7, {}, {"name": 7}, {"name": "other"}, {"name": LONG}, {"name": "a.b"}]


async def routed(
    method: str, params: Json | None, hub: HubNames | None = None, look_up: Any = nothing
) -> tuple[str, Json]:
    lane, own = await (hub or names()).route(method, params, look_up)
    return lane.server.name, own or {}


@pytest.mark.parametrize(
    ("method", "params", "server", "own"),
    [
        ("tools/call", {"name": "files__read", "arguments": {"name": "mail__x"}}, "files", {"name": "read"}),
        ("prompts/get", {"name": "mail__write"}, "mail", {"name": "write"}),
        ("resources/read", {"uri": "mcp+files+file:///a+b"}, "files", {"uri": "file:///a+b"}),
        ("resources/subscribe", {"uri": "ui://mail+app/x"}, "mail", {"uri": "ui://app/x"}),
        ("completion/complete", {"ref": {**PROMPT, "name": "mail__p"}}, "mail", {"ref": {**PROMPT, "name": "p"}}),
        (
            "completion/complete",
            {"ref": {**RESOURCE, "uri": "mcp+files+f:{x}"}},
            "files",
            {"ref": {**RESOURCE, "uri": "f:{x}"}},
        ),
    ],
)
async def test_a_request_goes_to_the_server_it_names_in_that_servers_own_names(
    method: str, params: Json, server: str, own: Json
) -> None:
    found, sent = await routed(method, params)

    assert found == server
    assert {key: sent[key] for key in own} == own
    assert sent.get("arguments") == params.get("arguments")


@pytest.mark.parametrize("name", [LONG, "a.b"])
async def test_a_shortened_name_is_looked_up(name: str) -> None:
    assert await routed("tools/call", {"name": exposed("files", name)}, look_up=listed) == ("files", {"name": name})


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("tools/call", {"name": "read"}),
        ("tools/call", {"name": "nobody__read"}),
        ("tools/call", {"name": exposed("files", "gone.away")}),
        ("prompts/get", {"name": "files__a_b_0123abcd"}),
        ("resources/read", {"uri": "file:///a"}),
        ("resources/read", {"uri": "mcp+nobody+file:///a"}),
        ("completion/complete", {}),
        ("completion/complete", {"ref": {"name": 7}}),
        ("tasks/get", {"taskId": "made-up"}),
    ],
)
async def test_what_is_nobodys_is_an_invalid_request(method: str, params: Json) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await routed(method, params, look_up=listed)
    assert caught.value.code == -32602


@pytest.mark.parametrize("method", ["vendor/x", "tasks/list", "initialize", "tasks/get"])
async def test_a_method_that_names_no_server_is_not_found(method: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await routed(method, {"_meta": {}})
    assert caught.value.code == -32601


@given(st.text())
async def test_no_name_uri_task_or_state_that_a_client_makes_up_does_worse(made_up: str) -> None:
    for method, params in (
        ("tools/call", {"name": made_up}),
        ("tools/call", {"name": f"files__{made_up}", "requestState": made_up}),
        ("resources/read", {"uri": made_up}),
        ("completion/complete", {"ref": {"name": made_up}}),
        ("tasks/cancel", {"taskId": made_up}),
    ):
        with suppress(InvalidRequest):
            await routed(method, params, look_up=listed)
            assert "requestState" not in params


def sealed_by(hub: HubNames, server: str, **said: str) -> Json:
    return hub.labels(hub.lanes[server]).result(said)


async def test_a_task_goes_back_to_its_server_for_the_principal_who_has_it() -> None:
    task = sealed_by(names(), "mail", taskId="7")["taskId"]

    assert await routed("tasks/get", {"taskId": task}) == ("mail", {"taskId": "7"})
    for stranger in (names(BOB), names(team="other"), names(servers=["files"])):
        with pytest.raises(InvalidRequest, match="Unknown task"):
            await routed("tasks/get", {"taskId": task}, stranger)


async def test_within_one_exchange_a_task_keeps_the_id_the_client_asked_by() -> None:
    task = sealed_by(names(), "mail", taskId="7")["taskId"]
    hub = names()
    await routed("tasks/get", {"taskId": task}, hub)

    assert sealed_by(hub, "mail", taskId="7")["taskId"] == task
    assert sealed_by(hub, "files", taskId="7")["taskId"] != task


async def test_a_request_state_reaches_only_the_server_and_the_principal_it_came_from() -> None:
    state = sealed_by(names(), "mail", requestState="s")["requestState"]

    assert (await routed("tools/call", {"name": "mail__x", "requestState": state}))[1]["requestState"] == "s"
    for hub, name in ((names(), "files__x"), (names(BOB), "mail__x"), (names(team="other"), "mail__x")):
        with pytest.raises(InvalidRequest, match="requestState"):
            await routed("tools/call", {"name": name, "requestState": state}, hub)


async def test_a_task_id_is_no_request_state_and_the_other_way_round() -> None:
    said = sealed_by(names(), "mail", taskId="7", requestState="7")

    with pytest.raises(InvalidRequest):
        await routed("tasks/get", {"taskId": said["requestState"]})
    with pytest.raises(InvalidRequest):
        await routed("tools/call", {"name": "mail__x", "requestState": said["taskId"]})


def test_each_server_gets_its_part_of_a_filter() -> None:
    hub = names(hidden=("resource:files/f:secret",))
    task = sealed_by(hub, "mail", taskId="7")["taskId"]
    uris = ["mcp+files+f:a", "mcp+files+f:secret", "mcp+mail+m:b", "f:a", "mcp+nobody+f:a"]
    able: Json = {"toolsListChanged": True, "resourceSubscriptions": uris, "taskIds": [task]}

    assert hub.part(hub.lanes["files"], able) == {"toolsListChanged": True, "resourceSubscriptions": ["f:a"]}
    assert hub.part(hub.lanes["mail"], able) == {
        "toolsListChanged": True,
        "resourceSubscriptions": ["m:b"],
        "taskIds": ["7"],
    }
    assert hub.part(hub.lanes["mail"], {"resourceSubscriptions": ["mcp+files+f:a"]}) == {}
