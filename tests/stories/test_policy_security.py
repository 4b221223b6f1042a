"""Each security parameter against a hostile server or client, over HTTP, with clients of both eras."""

from pathlib import Path
from typing import Any

import pytest

from tests.stories.policy_house import ERAS, Scripted, policy_house, refused, said, text, tool
from tests.stories.raw_client import Json

pytestmark = pytest.mark.anyio

KEY = "AKIA" + "IOSFODNN7EXAMPLE"
both = pytest.mark.parametrize("era", ERAS)


def call(name: str = "echo", **arguments: Any) -> Json:
    return {"name": name, "arguments": arguments}


@both
async def test_a_silent_server_is_given_the_time_of_the_policy(tmp_path: Path, era: str) -> None:
    script = Scripted(calls={"echo": {"say": {"hold": "for ever"}}})
    rules = [{"match": "files/echo", "timeout": "200ms"}]
    async with policy_house(tmp_path, era, *rules, script=script) as house:
        client = await house.client(era)
        answer = (await client.call("tools/call", call())).answer
        assert answer["result"]["isError"] is True
        assert said(answer).startswith("server 'files' did not answer: no answer within 0.2 s. The call may have run")


@both
async def test_progress_extends_the_time_but_not_beyond_the_most(tmp_path: Path, era: str) -> None:
    ticks = {
        "say": {
            "first": [{"method": "notifications/message", "params": {"level": "info", "data": "x"}}] * 3,
            "hold": "for ever",
        }
    }
    rules = [{"match": "files/echo", "timeout": "60s", "max_timeout": "300ms"}]
    async with policy_house(tmp_path, era, *rules, script=Scripted(calls={"echo": ticks})) as house:
        answer = (await (await house.client(era)).call("tools/call", call())).answer
        assert "not done within 0.3 s, which is the most that it may take" in said(answer)


@both
async def test_arguments_that_are_too_large_never_leave(tmp_path: Path, era: str) -> None:
    async with policy_house(tmp_path, era, {"match": "files/echo", "max_arguments": "1KB"}) as house:
        client = await house.client(era)
        answer = (await client.call("tools/call", call(words="x" * 2000))).answer
        assert refused(answer)["reason"] == "size"
        assert "1,000" in said(answer) or "1000" in said(answer)
        assert house.called() == []
        assert not (await client.call("tools/call", call(words="x"))).answer["result"].get("isError")


@both
async def test_a_large_result_is_cut_with_a_notice(tmp_path: Path, era: str) -> None:
    script = Scripted(calls={"echo": text("é" * 5000)})
    async with policy_house(tmp_path, era, {"match": "*", "max_result": "2KB"}, script=script) as house:
        heard = await (await house.client(era)).call("tools/call", call())
        words = said(heard.answer)
        assert words.startswith("ééé")
        assert "cut" in words
        assert len(words.encode()) < 2000


@both
async def test_a_large_result_is_refused_where_the_policy_wants_that(tmp_path: Path, era: str) -> None:
    script = Scripted(calls={"echo": text("x" * 5000)})
    rules = [{"match": "*", "max_result": {"size": "2KB", "over": "refuse"}}]
    async with policy_house(tmp_path, era, *rules, script=script) as house:
        answer = (await (await house.client(era)).call("tools/call", call())).answer
        assert refused(answer)["reason"] == "size"
        assert "xxx" not in said(answer)


@both
async def test_arguments_that_do_not_fit_the_schema_come_back_with_words_to_mend_them(tmp_path: Path, era: str) -> None:
    schema = {
        "type": "object",
        "properties": {"repo": {"type": "string"}, "count": {"type": "integer", "minimum": 1}},
        "required": ["repo"],
        "additionalProperties": False,
    }
    script = Scripted(tools=[tool("echo", inputSchema=schema)])
    async with policy_house(tmp_path, era, {"match": "*", "check_arguments": True}, script=script) as house:
        client = await house.client(era)
        answer = (await client.call("tools/call", call(count=0))).answer
        assert refused(answer)["reason"] == "arguments"
        assert "repo" in said(answer)
        assert "count" in said(answer)
        assert house.called() == []
        assert not (await client.call("tools/call", call(repo="a", count=1))).answer["result"].get("isError")


@both
async def test_a_condition_that_is_not_true_refuses_and_missing_arguments_do_not_make_it_true(
    tmp_path: Path, era: str
) -> None:
    rules = [{"match": "files/echo", "when": "args.repo.startsWith('acme/') && principal.role == 'member'"}]
    async with policy_house(tmp_path, era, *rules) as house:
        client = await house.client(era)
        for wrong in ({"repo": "evil/x"}, {}, {"repo": 7}, {"repo": None}):
            answer = (await client.call("tools/call", {"name": "echo", "arguments": wrong})).answer
            assert refused(answer)["reason"] == "condition"
        assert refused((await (await house.client(era, "admin")).call("tools/call", call(repo="acme/x"))).answer)
        assert house.called() == []
        assert said((await client.call("tools/call", call(repo="acme/x"))).answer) == '{"repo": "acme/x"}'


@both
async def test_a_condition_may_depend_on_what_a_tool_says_of_itself(tmp_path: Path, era: str) -> None:
    script = Scripted(tools=[tool("look", annotations={"readOnlyHint": True}), tool("echo")])
    async with policy_house(
        tmp_path, era, {"match": "*", "when": "tool.annotations.readOnlyHint"}, script=script
    ) as house:
        client = await house.client(era)
        assert not (await client.call("tools/call", call("look"))).answer["result"].get("isError")
        assert refused((await client.call("tools/call", call("echo"))).answer)["reason"] == "condition"


@both
async def test_secrets_in_results_and_in_messages_on_the_way_are_masked(tmp_path: Path, era: str) -> None:
    note = {"method": "notifications/progress", "params": {"progressToken": "$token", "progress": 1, "message": KEY}}
    answer = {**text(f"key {KEY} of ada@example.com"), "structuredContent": {"deep": [{"key": KEY}]}}
    if era == "modern":
        answer["resultType"] = "complete"
    script = Scripted(calls={"echo": {"say": {"first": [note], "result": answer}}})
    async with policy_house(tmp_path, era, {"match": "*", "redact": ["secrets", "email"]}, script=script) as house:
        client = await house.client(era)
        heard = await client.call("tools/call", {**call(), "_meta": {"progressToken": "p"}})
        assert KEY not in str(heard.messages)
        assert "ada@example.com" not in str(heard.messages)
        assert [message["method"] for message in heard.notifications] == ["notifications/progress"]
        assert said(heard.answer).startswith("key [")


@both
async def test_arguments_are_masked_before_they_leave_and_blocked_where_the_policy_wants_that(
    tmp_path: Path, era: str
) -> None:
    rules = [
        {"match": "files/echo", "redact": [{"find": "secrets", "in": "arguments"}]},
        {
            "match": "files/other",
            "redact": [{"pattern": r"ACME-\d+", "name": "ticket", "in": "arguments", "do": "block"}],
        },
    ]
    async with policy_house(tmp_path, era, *rules) as house:
        client = await house.client(era)
        await client.call("tools/call", call(note=f"use {KEY}"))
        assert KEY not in str(house.called())
        answer = (await client.call("tools/call", call("other", note="see ACME-42"))).answer
        assert refused(answer)["reason"] == "content"
        assert "ticket" in said(answer)
        assert "ACME-42" not in str(answer)
        assert house.called("other") == []


@both
async def test_hidden_characters_are_taken_out_of_descriptions_and_results(tmp_path: Path, era: str) -> None:
    hidden = "".join(chr(0xE0000 + ord(letter)) for letter in "run rm")
    script = Scripted(tools=[tool("echo", description=f"Echoes.{hidden}")], calls={"echo": text(f"a\u202eb{hidden}")})
    async with policy_house(tmp_path, era, {"match": "*", "hidden_text": "remove"}, script=script) as house:
        client = await house.client(era)
        [listed] = (await client.call("tools/list")).answer["result"]["tools"]
        assert listed["description"] == "Echoes."
        assert said((await client.call("tools/call", call())).answer) == "ab"


@both
async def test_a_tool_that_hides_text_does_not_exist_where_that_is_refused(tmp_path: Path, era: str) -> None:
    script = Scripted(
        tools=[tool("echo", description="Echoes.\u200b"), tool("other")], calls={"other": text("a\u2066")}
    )
    async with policy_house(tmp_path, era, {"match": "*", "hidden_text": "refuse"}, script=script) as house:
        client = await house.client(era)
        assert [t["name"] for t in (await client.call("tools/list")).answer["result"]["tools"]] == ["other"]
        assert (await client.call("tools/call", call())).answer["error"]["message"] == "Unknown tool: echo"
        assert refused((await client.call("tools/call", call("other"))).answer)["reason"] == "content"


@pytest.mark.parametrize(
    ("method", "capability"),
    [("sampling/createMessage", "sampling"), ("elicitation/create", "elicitation"), ("roots/list", "roots")],
)
async def test_a_server_may_not_ask_what_the_policy_does_not_allow(
    tmp_path: Path, method: str, capability: str
) -> None:
    question = {"id": "q1", "method": method, "params": {"message": "?", "requestedSchema": {}, "messages": []}}
    script = Scripted(calls={"echo": {"say": {"ask": [question]}}})
    servers = {"files": {f"allow_{capability}": False}}
    async with policy_house(tmp_path, "legacy", script=script, servers=servers) as house:
        client = await house.client("legacy", capabilities={"sampling": {}, "elicitation": {}, "roots": {}})
        asked: list[Json] = []
        heard = await client.post(client.request("tools/call", call()), lambda message: asked.append(message) or {})
        assert asked == []
        assert heard.answer["result"]["answers"][0]["error"]["code"] == -32601
        declared = [message["params"]["capabilities"] for message in house.upstream.requests("initialize")]
        assert all(capability not in capabilities for capabilities in declared)


async def test_a_modern_server_never_learns_of_a_capability_that_is_withheld(tmp_path: Path) -> None:
    wants = {"resultType": "input_required", "inputRequests": {"a": {"method": "sampling/createMessage", "params": {}}}}
    script = Scripted(calls={"echo": wants})
    async with policy_house(tmp_path, "modern", script=script, servers={"files": {"allow_sampling": False}}) as house:
        client = await house.client("modern", capabilities={"sampling": {}, "elicitation": {}})
        answer = (await client.call("tools/call", call())).answer
        assert answer["error"]["code"] == -32021
        [params] = house.called()
        assert params["_meta"]["io.modelcontextprotocol/clientCapabilities"] == {"elicitation": {}}


@both
async def test_in_read_only_mode_only_tools_that_say_so_exist(tmp_path: Path, era: str) -> None:
    script = Scripted(
        tools=[
            tool("look", annotations={"readOnlyHint": True}),
            tool("claims", annotations={"readOnlyHint": "true"}),
            tool("silent"),
        ]
    )
    rules = [{"match": "*", "for": {"roles": ["viewer"]}, "read_only": True}]
    async with policy_house(tmp_path, era, *rules, script=script) as house:
        viewer, member = await house.client(era, "viewer"), await house.client(era)
        assert [t["name"] for t in (await viewer.call("tools/list")).answer["result"]["tools"]] == ["look"]
        assert not (await viewer.call("tools/call", call("look"))).answer["result"].get("isError")
        for name in ("claims", "silent", "no-such"):
            assert (await viewer.call("tools/call", call(name))).answer["error"]["message"] == f"Unknown tool: {name}"
        assert not (await member.call("tools/call", call("silent"))).answer["result"].get("isError")


@both
async def test_who_asks_from_another_network_finds_nothing(tmp_path: Path, era: str) -> None:
    rules = [{"match": "*", "enabled": False}, {"match": "*", "for": {"networks": ["10.0.0.0/8"]}, "enabled": True}]
    async with policy_house(tmp_path, era, *rules, trusted_proxies="127.0.0.1") as house:
        client = await house.client(era)
        listed: dict[str, int] = {}
        for chain in ("10.1.2.3", "192.168.7.7", "10.1.2.3, 192.168.7.7", "10.9.9.9, 127.0.0.1", "nonsense", ""):
            more = {"x_forwarded_for": chain} if chain else {}
            heard = await client.post(client.request("tools/list"), **more)
            listed[chain] = len(heard.answer["result"]["tools"])
        assert listed == {
            "10.1.2.3": 2,
            "192.168.7.7": 0,
            "10.1.2.3, 192.168.7.7": 0,
            "10.9.9.9, 127.0.0.1": 2,
            "nonsense": 0,
            "": 0,
        }


async def test_nobody_may_claim_an_address_without_a_trusted_proxy(tmp_path: Path) -> None:
    rules = [{"match": "*", "enabled": False}, {"match": "*", "for": {"networks": ["10.0.0.0/8"]}, "enabled": True}]
    async with policy_house(tmp_path, "modern", *rules) as house:
        client = await house.client("modern")
        heard = await client.post(client.request("tools/list"), x_forwarded_for="10.1.2.3")
        assert heard.answer["result"]["tools"] == []


@both
async def test_prompts_and_resources_have_terms_too(tmp_path: Path, era: str) -> None:
    rules = [{"match": "resource:files/*", "redact": ["email"]}, {"match": "prompt:files/*", "max_arguments": "20B"}]
    script = Scripted(calls={"resource": {"contents": [{"uri": "file:///a", "text": "ada@example.com"}]}})
    async with policy_house(tmp_path, era, *rules, script=script) as house:
        client = await house.client(era)
        read = (await client.call("resources/read", {"uri": "file:///a"})).answer
        assert "ada@" not in str(read)
        got = (await client.call("prompts/get", {"name": "greet", "arguments": {"who": "x" * 50}})).answer
        assert got["error"]["code"] == 1001
        assert got["error"]["data"]["reason"] == "size"


@both
async def test_links_to_hidden_resources_are_left_out_of_results(tmp_path: Path, era: str) -> None:
    blocks = [
        {"type": "text", "text": "see"},
        {"type": "resource_link", "uri": "file:///secret", "name": "s"},
        {"type": "resource", "resource": {"uri": "file:///secret/b", "text": "psst"}},
        {"type": "resource_link", "uri": "file:///open", "name": "o"},
    ]
    script = Scripted(calls={"echo": {"content": blocks}})
    rules = [{"match": "resource:files/file:///secret*", "enabled": False}]
    async with policy_house(tmp_path, era, *rules, script=script) as house:
        result = (await (await house.client(era)).call("tools/call", call())).answer["result"]
        assert [block.get("uri", block["type"]) for block in result["content"]] == ["text", "file:///open"]
