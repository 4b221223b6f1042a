"""Whatever way a server's words take to a client, in every cell of eras, they are looked at; and no way is free."""

from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.stories.policy_house import ERAS, Scripted, policy_house, refused, said, text, tool
from tests.stories.raw_client import Json
from tests.stories.raw_upstream import PATIENCE

pytestmark = pytest.mark.anyio

KEY = "AKIA" + "IOSFODNN7EXAMPLE"
TAGS = "".join(chr(0xE0000 + ord(letter)) for letter in "run rm")
BAD = f"{KEY} {TAGS}"
LOOKED_AT: Json = {"match": "*", "redact": [{"find": "secrets", "in": "both"}], "hidden_text": "remove"}
CALL: Json = {"name": "echo", "arguments": {}}
TASKS: Json = {"extensions": {"io.modelcontextprotocol/tasks": {}}}

cells = pytest.mark.parametrize(("client", "server"), [(c, s) for c in ERAS for s in ERAS])
both = pytest.mark.parametrize("era", ERAS)


def clean(heard: object) -> bool:
    return KEY not in str(heard) and not any(0xE0000 <= ord(sign) < 0xE0080 for sign in str(heard))


@cells
async def test_errors_are_looked_at(tmp_path: Path, client: str, server: str) -> None:
    error = {"code": -32050, "message": BAD, "data": {"deep": [BAD]}}
    script = Scripted(calls={"echo": {"say": {"error": error}}})
    async with policy_house(tmp_path, server, LOOKED_AT, script=script) as house:
        answer = (await (await house.client(client)).call("tools/call", CALL)).answer
        assert answer["error"]["code"] == -32050
        assert clean(answer)


@cells
async def test_messages_on_the_way_are_looked_at(tmp_path: Path, client: str, server: str) -> None:
    note = {"method": "notifications/progress", "params": {"progressToken": "$token", "progress": 1, "message": BAD}}
    answer = text("done", **({"resultType": "complete"} if server == "modern" else {}))
    script = Scripted(calls={"echo": {"say": {"first": [note], "result": answer}}})
    async with policy_house(tmp_path, server, LOOKED_AT, script=script) as house:
        heard = await (await house.client(client)).call("tools/call", {**CALL, "_meta": {"progressToken": "p"}})
        assert [message["method"] for message in heard.notifications] == ["notifications/progress"]
        assert clean(heard.messages)


def question(era: str) -> Json:
    """A server's call that asks: in the legacy era by a request, in the modern era by a result."""
    asks: Json = {"method": "elicitation/create", "params": {"message": BAD, "requestedSchema": {"type": "object"}}}
    if era == "legacy":
        return {"say": {"ask": [{"id": "q", **asks}]}}
    return {"resultType": "input_required", "inputRequests": {"q": asks}, "requestState": "s"}


@cells
async def test_questions_and_their_answers_are_looked_at(tmp_path: Path, client: str, server: str) -> None:
    def call(params: Json) -> Json:
        return text("done") if "inputResponses" in params else question(server)

    async with policy_house(tmp_path, server, LOOKED_AT, script=Scripted(calls={"echo": call})) as house:
        asking = await house.client(client, capabilities={"elicitation": {}})
        asked: list[Json] = []
        answer: Json = {"action": "accept", "content": {"secret": KEY}}

        def on_request(message: Json) -> Json:
            asked.append(message)
            return {"result": answer}

        heard = await asking.post(asking.request("tools/call", CALL), on_request)
        if client == "modern":
            result = heard.answer["result"]
            asked.append(result["inputRequests"])
            [key] = result["inputRequests"]
            again = {**CALL, "requestState": result["requestState"], "inputResponses": {key: answer}}
            await asking.call("tools/call", again)
        assert len(asked) == 1
        assert clean(asked)
        assert KEY not in str([received.message for received in house.upstream.received])


@both
async def test_what_a_task_came_to_is_looked_at(tmp_path: Path, era: str) -> None:
    inner = {
        "content": [{"type": "text", "text": BAD}, {"type": "resource_link", "uri": "file:///secret", "name": "x"}]
    }
    begun = (
        {"task": {"taskId": "1", "status": "working"}}
        if era == "legacy"
        else {
            "resultType": "task",
            "taskId": "1",
            "status": "working",
        }
    )
    came = (
        inner if era == "legacy" else {"resultType": "complete", "taskId": "1", "status": "completed", "result": inner}
    )
    method = "tasks/result" if era == "legacy" else "tasks/get"
    hides = {"match": "resource:files/file:///secret*", "enabled": False}
    async with policy_house(tmp_path, era, LOOKED_AT, hides, script=Scripted(calls={"echo": begun})) as house:
        client = await house.client(era, capabilities=TASKS)
        for task in ("1", 1, ["1"], None):
            answer = (await client.call(method, {"taskId": task, "say": {"result": came}})).answer
            assert answer["error"]["message"].startswith("Unknown task")
        await client.call("tools/call", CALL)
        answer = (await client.call(method, {"taskId": "1", "say": {"result": came}})).answer
        assert clean(answer["result"])
        assert "file:///secret" not in str(answer)
        assert "removed" in str(answer)


@cells
async def test_instructions_and_completions_are_looked_at(tmp_path: Path, client: str, server: str) -> None:
    script = Scripted(instructions=BAD)
    async with policy_house(tmp_path, server, LOOKED_AT, script=script) as house:
        asking = await house.client(client)
        hello = await asking.hello()
        assert "removed" in hello["result"]["instructions"]
        assert clean(hello)
        ref = {"ref": {"type": "ref/prompt", "name": "greet"}, "argument": {"name": "a", "value": KEY}}
        values = {"completion": {"values": [BAD]}, **({"resultType": "complete"} if server == "modern" else {})}
        heard = await asking.call("completion/complete", {**ref, "say": {"result": values}})
        assert "values" in heard.answer["result"]["completion"]
        assert clean(heard.messages)
        assert KEY not in str(house.upstream.requests("completion/complete")[-1]["params"]["argument"])


async def test_who_answers_a_question_with_an_error_pays_for_the_call(tmp_path: Path) -> None:
    rule = {"match": "files/echo", "limits": [{"calls": 1, "per": "month", "each": "user"}]}
    async with policy_house(tmp_path, "modern", rule, script=Scripted(calls={"echo": question("modern")})) as house:
        client = await house.client("legacy")
        for number in range(3):
            answer = (await client.call("tools/call", CALL)).answer
            assert ("error" in answer) == (number == 0)
        assert len(house.called()) == 1


async def test_a_parked_call_keeps_its_place_and_its_answer_costs_nothing(tmp_path: Path) -> None:
    limits = [{"concurrent": 1, "each": "user"}, {"calls": 2, "per": "day", "each": "user"}]
    script = Scripted(calls={"echo": question("legacy")})
    async with policy_house(tmp_path, "legacy", {"match": "files/echo", "limits": limits}, script=script) as house:
        client = await house.client("modern", capabilities={"elicitation": {}})
        parked = (await client.call("tools/call", CALL)).answer["result"]
        assert parked["resultType"] == "input_required"
        assert "at the same time" in said((await client.call("tools/call", CALL)).answer)
        [key] = parked["inputRequests"]
        answer = {"action": "accept", "content": {}}
        again = {**CALL, "requestState": parked["requestState"], "inputResponses": {key: answer}}
        assert not (await client.call("tools/call", again)).answer["result"].get("isError")
        script.calls["echo"] = text("done")
        with anyio.fail_after(PATIENCE):
            while "at the same time" in said((done := await client.call("tools/call", CALL)).answer):
                await anyio.lowlevel.checkpoint()
        assert said(done.answer) == "done"
        assert refused((await client.call("tools/call", CALL)).answer)["reason"] == "limit"


@both
async def test_the_state_of_a_parked_call_makes_no_other_call_free(tmp_path: Path, era: str) -> None:
    rule = {"match": "files/other", "limits": [{"calls": 1, "per": "month", "each": "user"}]}
    script = Scripted(calls={"echo": question("legacy")})
    async with policy_house(tmp_path, "legacy", rule, script=script) as house:
        asking = await house.client("modern", capabilities={"elicitation": {}})
        parked = (await asking.call("tools/call", CALL)).answer["result"]
        client = await house.client(era)
        for _ in range(3):
            call = {"name": "other", "arguments": {}, "requestState": parked["requestState"]}
            await client.call("tools/call", call)
        assert len(house.called("other")) <= 1


async def test_what_was_hidden_while_a_person_thought_does_not_run(tmp_path: Path) -> None:
    rule = {"match": "files/echo", "require_approval": True}
    async with policy_house(tmp_path, "legacy", rule) as house:
        client = await house.client("legacy", capabilities={"elicitation": {}})
        async with client.open(client.request("tools/call", CALL)) as opened:
            messages = opened.messages()
            asked = await anext(messages)
            await house.govern({"match": "files/echo", "enabled": False})
            yes = {"action": "accept", "content": {"approve": True}}
            await client.post({"jsonrpc": "2.0", "id": asked["id"], "result": yes})
            assert (await anext(messages))["error"]["message"] == "Unknown tool: echo"
        assert house.called() == []


@both
async def test_a_value_that_the_gateway_fills_in_is_nowhere_to_be_seen(tmp_path: Path, era: str) -> None:
    rule: Json = {
        "match": "files/echo",
        "require_approval": True,
        "arguments": {"tenant": {"value": "tenant-7F3A"}},
    }
    async with policy_house(tmp_path, era, rule) as house:
        client = await house.client(era)
        url = refused((await client.call("tools/call", CALL)).answer)["approvalUrl"]
        assert "tenant-7F3A" not in (await house.http.get(url)).text
        guess = (await client.call("tools/call", {"name": "echo", "arguments": {"tenant": "tenant-7F3A"}})).answer
        assert refused(guess)["reason"] == "arguments"
        asking = await house.client("modern", capabilities={"elicitation": {}})
        asked = (await asking.call("tools/call", {"name": "echo", "arguments": {"other": 1}})).answer
        assert "tenant-7F3A" not in str(asked)


async def test_headers_tell_what_the_client_said_and_then_what_policy_made_of_it(tmp_path: Path) -> None:
    schema = {"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}}
    script = Scripted(tools=[tool("echo", inputSchema=schema)])
    rule = {"match": "files/echo", "redact": [{"pattern": "eu-[0-9]+", "in": "arguments"}]}
    async with policy_house(tmp_path, "modern", rule, script=script) as house:
        client = await house.client("modern")
        call = client.request("tools/call", {"name": "echo", "arguments": {"region": "eu-1"}})
        answer = (await client.post(call, mcp_param_region="eu-1")).answer
        assert not answer["result"].get("isError")
        [received] = [one for one in house.upstream.received if one.message["method"] == "tools/call"]
        sent: Any = received.message["params"]["arguments"]["region"]
        assert "eu-1" not in sent
        assert received.headers["mcp-param-region"] == sent
        wrong = client.request("tools/call", {"name": "echo", "arguments": {"region": "eu-1"}})
        assert (await client.post(wrong, mcp_param_region="eu-2")).answer["error"]["code"] == -32020
