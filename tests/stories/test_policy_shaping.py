"""Tools under another name, with other words, and with arguments that the gateway fills in."""

from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from tests.stories.policy_house import ERAS, PolicyHouse, Scripted, policy_house, refused, said, tool
from tests.stories.raw_client import Json, RawClient

pytestmark = pytest.mark.anyio
both = pytest.mark.parametrize("era", ERAS)

SCHEMA: Json = {
    "type": "object",
    "properties": {"repo": {"type": "string"}, "title": {"type": "string"}, "debug": {"type": "boolean"}},
    "required": ["repo", "title"],
}

RULE: Json = {
    "match": "files/create",
    "rename": "open_ticket",
    "describe": "Open a ticket for our team.",
    "arguments": {"repo": {"value": "acme/core"}, "debug": {"hidden": True}},
}


def house(path: Path, era: str, *rules: Json) -> AbstractAsyncContextManager[PolicyHouse]:
    return policy_house(path, era, *(rules or (RULE,)), script=Scripted([tool("create", inputSchema=SCHEMA)]))


async def listed(client: RawClient) -> list[Json]:
    tools: list[Json] = (await client.call("tools/list")).answer["result"]["tools"]
    return tools


async def unknown(client: RawClient, name: str) -> bool:
    answer = (await client.call("tools/call", {"name": name, "arguments": {"title": "x"}})).answer
    return bool(answer.get("error") == {"code": -32602, "message": f"Unknown tool: {name}"})


@both
async def test_a_tool_is_called_by_its_new_name_and_the_server_gets_its_own(tmp_path: Path, era: str) -> None:
    async with house(tmp_path, era) as served:
        client = await served.client(era)
        [shown] = await listed(client)
        assert (shown["name"], shown["description"]) == ("open_ticket", "Open a ticket for our team.")
        assert shown["inputSchema"] == {
            "type": "object",
            "properties": {"title": {"type": "string"}},
            "required": ["title"],
        }
        answer = (await client.call("tools/call", {"name": "open_ticket", "arguments": {"title": "x"}})).answer
        assert said(answer) == '{"title": "x", "repo": "acme/core"}'
        assert [params["name"] for params in served.called("create")] == ["create"]


@both
async def test_the_old_name_is_nobodys(tmp_path: Path, era: str) -> None:
    async with house(tmp_path, era) as served:
        assert await unknown(await served.client(era), "create")
        assert served.called("create") == []


@both
async def test_on_a_hub_the_new_name_has_the_servers_mark(tmp_path: Path, era: str) -> None:
    async with house(tmp_path, era) as served:
        hub = await served.client(era, at="")
        assert [t["name"] for t in await listed(hub)] == ["files__open_ticket"]
        answer = (await hub.call("tools/call", {"name": "files__open_ticket", "arguments": {"title": "x"}})).answer
        assert said(answer) == '{"title": "x", "repo": "acme/core"}'
        assert await unknown(hub, "files__create")


@both
async def test_what_the_gateway_fills_in_cannot_be_said_and_so_not_be_guessed(tmp_path: Path, era: str) -> None:
    async with house(tmp_path, era) as served:
        client = await served.client(era)
        for sent in ({"repo": "evil/x"}, {"repo": "acme/core"}, {"debug": True}):
            arguments = {"title": "x", **sent}
            answer = (await client.call("tools/call", {"name": "open_ticket", "arguments": arguments})).answer
            assert refused(answer)["reason"] == "arguments"
            assert "acme/core" not in said(answer)
        assert served.called("create") == []


@both
async def test_a_rename_is_for_those_whom_the_rule_is_for(tmp_path: Path, era: str) -> None:
    async with house(tmp_path, era, {**RULE, "for": {"roles": ["viewer"]}}) as served:
        viewer, member = await served.client(era, "viewer"), await served.client(era)
        assert [t["name"] for t in await listed(viewer)] == ["open_ticket"]
        assert [t["name"] for t in await listed(member)] == ["create"]
        assert await unknown(member, "open_ticket")


@both
async def test_a_name_that_was_given_away_hides_the_tool_that_had_it(tmp_path: Path, era: str) -> None:
    script = Scripted([tool("create", description="one"), tool("open_ticket", description="two")])
    rule = {"match": "files/create", "rename": "open_ticket"}
    async with policy_house(tmp_path, era, rule, script=script) as served:
        client = await served.client(era)
        assert [(t["name"], t["description"]) for t in await listed(client)] == [("open_ticket", "one")]
        await client.call("tools/call", {"name": "open_ticket", "arguments": {}})
        assert (len(served.called("create")), len(served.called("open_ticket"))) == (1, 0)


@both
async def test_a_modern_call_may_carry_the_new_name_in_its_header(tmp_path: Path, era: str) -> None:
    async with house(tmp_path, "modern") as served:
        client = await served.client(era)
        answer = (await client.call("tools/call", {"name": "open_ticket", "arguments": {"title": "x"}})).answer
        assert not answer["result"].get("isError")
        [received] = [r for r in served.upstream.received if r.message["method"] == "tools/call"]
        assert received.headers["mcp-name"] == "create"
