"""A person is asked before a call runs, in every client, for exactly this call and once."""

import json
import re
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.stories.policy_house import ERAS, KEYS, PolicyHouse, Scripted, policy_house, refused, said, text
from tests.stories.raw_client import Json, RawClient

pytestmark = pytest.mark.anyio

RULE: Json = {"match": "files/echo", "require_approval": True}
ARGUMENTS: Json = {"to": "prod", "n": 1}
CALL: Json = {"name": "echo", "arguments": ARGUMENTS}
FORM: Json = {"elicitation": {}}

every_upstream = pytest.mark.parametrize("upstream", ERAS)
both = pytest.mark.parametrize("era", ERAS)


def deciding(yes: bool, asked: list[Json]) -> Any:
    def on_request(message: Json) -> Json:
        asked.append(message)
        return {"result": {"action": "accept", "content": {"approve": True}} if yes else {"action": "decline"}}

    return on_request


async def decide(house: PolicyHouse, url: str, key: str, *, yes: bool = True, **headers: str) -> int:
    """What a person does on the page: look, and press a button. Returns the status of the answer."""
    assert (await house.http.get(url)).status_code == 200
    data = {"key": key, "decision": "approve" if yes else "deny"}
    sent = {"sec-fetch-site": "same-origin", **headers}
    return (await house.http.post(url, data=data, headers=sent)).status_code


def page_of(answer: Json) -> str:
    facts = refused(answer)
    assert facts["reason"] == "approval"
    url: str = facts["approvalUrl"]
    assert url in said(answer)
    return url


@every_upstream
async def test_a_legacy_client_is_asked_in_place_and_sees_what_will_run(tmp_path: Path, upstream: str) -> None:
    async with policy_house(tmp_path, upstream, RULE) as house:
        client = await house.client("legacy", capabilities=FORM)
        asked: list[Json] = []
        heard = await client.post(client.request("tools/call", CALL), deciding(True, asked))
        [question] = asked
        assert question["method"] == "elicitation/create"
        assert "files" in question["params"]["message"]
        assert "prod" in question["params"]["message"]
        assert json.loads(said(heard.answer)) == ARGUMENTS
        assert len(house.called()) == 1


@every_upstream
async def test_a_person_who_declines_is_obeyed(tmp_path: Path, upstream: str) -> None:
    async with policy_house(tmp_path, upstream, RULE) as house:
        client = await house.client("legacy", capabilities=FORM)
        heard = await client.post(client.request("tools/call", CALL), deciding(False, []))
        assert "did not approve" in said(heard.answer)
        assert house.called() == []


async def asked_of(client: RawClient) -> Json:
    result: Json = (await client.call("tools/call", CALL)).answer["result"]
    assert result["resultType"] == "input_required"
    return result


def retry(state: Json, *, yes: bool = True, **more: Any) -> Json:
    [key] = state["inputRequests"]
    answer = {"action": "accept", "content": {"approve": True}} if yes else {"action": "decline"}
    return {**CALL, "requestState": state["requestState"], "inputResponses": {key: answer}, **more}


@every_upstream
async def test_a_modern_client_brings_the_answer_with_the_retry(tmp_path: Path, upstream: str) -> None:
    async with policy_house(tmp_path, upstream, RULE) as house:
        client = await house.client("modern", capabilities=FORM)
        state = await asked_of(client)
        assert house.called() == []
        answer = (await client.call("tools/call", retry(state))).answer
        assert json.loads(said(answer)) == ARGUMENTS
        [params] = house.called()
        assert not {"requestState", "inputResponses"} & set(params)


@every_upstream
async def test_an_approval_is_for_these_arguments_and_for_once(tmp_path: Path, upstream: str) -> None:
    async with policy_house(tmp_path, upstream, RULE) as house:
        client = await house.client("modern", capabilities=FORM)
        state = await asked_of(client)
        other = await client.call("tools/call", retry(state, arguments={"to": "elsewhere"}))
        assert "another request" in other.answer["error"]["message"]
        stolen = await house.client("modern", "admin", capabilities=FORM)
        assert "error" in (await stolen.call("tools/call", retry(state))).answer
        assert house.called() == []
        assert "error" not in (await client.call("tools/call", retry(state))).answer
        for _ in range(2):
            again = (await client.call("tools/call", retry(state))).answer
            assert "error" in again or again["result"].get("isError")
        assert len(house.called()) == 1


async def test_what_the_server_asks_after_the_approval_needs_no_second_one(tmp_path: Path) -> None:
    wants = {"mine": {"method": "elicitation/create", "params": {"message": "?", "requestedSchema": {}}}}

    def answer(params: Json) -> Json:
        if params.get("requestState") == "upstream-state":
            return text(json.dumps(params["inputResponses"]))
        return {"resultType": "input_required", "inputRequests": wants, "requestState": "upstream-state"}

    async with policy_house(tmp_path, "modern", RULE, script=Scripted(calls={"echo": answer})) as house:
        client = await house.client("modern", capabilities=FORM)
        state = await asked_of(client)
        second = (await client.call("tools/call", retry(state))).answer["result"]
        assert list(second["inputRequests"]) == ["mine"]
        done = (await client.call("tools/call", retry(second))).answer
        assert json.loads(said(done)) == {"mine": {"action": "accept", "content": {"approve": True}}}
        again = (await client.call("tools/call", retry(second))).answer
        assert "continued already" in again["error"]["message"]


@both
async def test_a_client_that_cannot_be_asked_gets_a_link_and_the_call_passes_once_it_was_approved(
    tmp_path: Path, era: str
) -> None:
    async with policy_house(tmp_path, era, RULE) as house:
        client = await house.client(era)
        url = page_of((await client.call("tools/call", CALL)).answer)
        assert page_of((await client.call("tools/call", CALL)).answer) == url
        assert house.called() == []
        assert await decide(house, url, KEYS["member"]) == 200
        changed = {"name": "echo", "arguments": {"to": "elsewhere"}}
        assert page_of((await client.call("tools/call", changed)).answer) != url
        assert json.loads(said((await client.call("tools/call", CALL)).answer)) == ARGUMENTS
        assert page_of((await client.call("tools/call", CALL)).answer) != url
        assert len(house.called()) == 1


@both
async def test_the_link_is_no_use_to_others(tmp_path: Path, era: str) -> None:
    async with policy_house(tmp_path, era, RULE) as house:
        client = await house.client(era)
        url = page_of((await client.call("tools/call", CALL)).answer)
        assert await decide(house, url, KEYS["viewer"]) == 403
        assert await decide(house, url, "pk_nobody") == 403
        assert await decide(house, url, KEYS["member"], **{"sec-fetch-site": "cross-site"}) == 403
        assert page_of((await client.call("tools/call", CALL)).answer) == url
        assert house.called() == []


@both
async def test_a_denial_on_the_page_is_told(tmp_path: Path, era: str) -> None:
    async with policy_house(tmp_path, era, RULE) as house:
        client = await house.client(era)
        url = page_of((await client.call("tools/call", CALL)).answer)
        assert await decide(house, url, KEYS["admin"], yes=False) == 200
        assert "did not approve" in said((await client.call("tools/call", CALL)).answer)
        assert house.called() == []


async def test_a_refused_approval_costs_no_limit(tmp_path: Path) -> None:
    rule = {**RULE, "limits": [{"calls": 1, "per": "day", "each": "user"}]}
    async with policy_house(tmp_path, "modern", rule) as house:
        client = await house.client("modern", capabilities=FORM)
        declined = await client.call("tools/call", retry(await asked_of(client), yes=False))
        assert declined.answer["result"]["isError"]
        passed = (await client.call("tools/call", retry(await asked_of(client)))).answer
        assert not passed["result"].get("isError")


async def test_on_a_hub_the_question_comes_through_as_well(tmp_path: Path) -> None:
    async with policy_house(tmp_path, "legacy", RULE) as house:
        client = await house.client("modern", at="", capabilities=FORM)
        call = {**CALL, "name": "files__echo"}
        state = (await client.call("tools/call", call)).answer["result"]
        answer = (await client.call("tools/call", retry(state, name="files__echo"))).answer
        assert json.loads(said(answer)) == ARGUMENTS


async def test_what_is_asked_survives_a_restart(tmp_path: Path) -> None:
    async with policy_house(tmp_path, "modern", RULE) as house:
        client = await house.client("modern")
        url = page_of((await client.call("tools/call", CALL)).answer)
        path = re.sub(r"^http://[^/]+", "", url)
    async with policy_house(tmp_path, "modern", RULE) as house:
        assert await decide(house, house.gateway.url + path, KEYS["member"]) == 200
        client = await house.client("modern")
        with anyio.fail_after(120):
            assert json.loads(said((await client.call("tools/call", CALL)).answer)) == ARGUMENTS
