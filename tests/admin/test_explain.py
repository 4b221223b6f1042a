"""Why a tool is there or is not, asked over the API."""

from typing import Any

import pytest

from portkey_mcp.policy.document import ServerPolicy
from tests.admin.conftest import House, error_of

pytestmark = pytest.mark.anyio

EXPLAIN = "/workspaces/demo/explain"


async def asked(house: House, key: str = "boss", **query: str) -> Any:
    async with house.client(key) as client:
        answer = await client.get(EXPLAIN, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_without_a_policy_everything_is_allowed(house: House) -> None:
    await house.offers("files", {"name": "read"})
    said = await asked(house, "ci", thing="files/read")
    assert said == {
        "verdict": "allowed",
        "reason": "no rule says otherwise",
        "allowed": True,
        "role": "member",
        "steps": [],
        "demands": [],
        "review": "",
    }


async def test_everybody_is_told_of_themselves_and_an_admin_of_every_key(house: House) -> None:
    await house.policy("version: 1\nrules: [{match: files/rm, for: {roles: [member]}, enabled: false}]\n")
    for said in (
        await asked(house, "boss", thing="files/rm", **{"as": "ci"}),
        await asked(house, "boss", thing="files/rm", **{"as": house.whose["ci"].id}),
    ):
        assert (said["verdict"], said["role"]) == ("hidden", "member")
        assert [(step["rule"], step["match"], step["decides"]) for step in said["steps"]] == [(1, ["files/rm"], True)]
    assert (await asked(house, "boss", thing="files/rm"))["verdict"] == "allowed"


async def test_a_member_cannot_tell_what_is_hidden_from_what_does_not_exist_nor_read_the_rules(house: House) -> None:
    await house.offers("files", {"name": "read"}, {"name": "rm"})
    await house.offers("files", {"name": "new"}, held=ServerPolicy(new_tools="review"))
    rules = "[{match: files/rm, enabled: false}, {match: 'files/*', for: {roles: [member]}, timeout: 5s}]"
    await house.policy(f"version: 1\nrules: {rules}\nservers: {{files: {{new_tools: review}}}}\n")
    async with house.client("ci") as client:
        answers = [await client.get(EXPLAIN, params={"thing": f"files/{name}"}) for name in ("rm", "new", "no-such")]
    assert {(answer.status_code, answer.text) for answer in answers} == {(404, answers[0].text)}
    said = await asked(house, "ci", thing="files/read")
    assert (said["verdict"], said["steps"]) == ("allowed", [])
    assert [demand["text"] for demand in said["demands"]] == ["timeout 5 s"]


async def test_what_a_change_decides_is_told_at_once(house: House) -> None:
    assert (await asked(house, thing="files/rm"))["verdict"] == "allowed"
    await house.policy("version: 1\nrules: [{match: files/rm, enabled: false}]\n")
    assert (await asked(house, thing="files/rm"))["verdict"] == "hidden"


async def test_a_member_may_not_ask_for_others_and_nobody_for_what_does_not_exist(house: House) -> None:
    async with house.client("ci") as client:
        for named in ("boss", "nobody"):
            answer = await client.get(EXPLAIN, params={"thing": "files/rm", "as": named})
            assert error_of(answer) == (403, "forbidden")
    async with house.client() as client:
        answer = await client.get(EXPLAIN, params={"thing": "files/rm", "as": "nobody"})
        assert error_of(answer) == (404, "not_found")


async def test_a_condition_is_asked_of_the_arguments_that_are_given(house: House) -> None:
    await house.policy("version: 1\nrules: [{match: files/read, when: 'args.path.startsWith(\"/srv/\")'}]\n")
    for args, verdict in ((None, "depends"), ('{"path": "/srv/a"}', "allowed"), ('{"path": "/etc"}', "refused")):
        said = await asked(house, thing="files/read", **({} if args is None else {"args": args}))
        assert said["verdict"] == verdict


async def test_the_address_is_the_askers_or_the_one_that_is_given(house: House) -> None:
    await house.policy("version: 1\nrules: [{match: '*', for: {networks: [10.0.0.0/8]}, enabled: false}]\n")
    async with house.client(address="10.1.1.1") as client:
        for query, verdict in (({}, "hidden"), ({"address": "1.1.1.1"}, "allowed"), ({"as": "ci"}, "allowed")):
            said = (await client.get(EXPLAIN, params={"thing": "files/read", **query})).json()
            assert said["verdict"] == verdict, query


async def test_what_a_tool_says_of_itself_counts(house: House) -> None:
    await house.policy("version: 1\nrules: [{match: 'files/*', read_only: true}]\n")
    assert (await asked(house, thing="files/read"))["verdict"] == "depends"
    await house.offers("files", {"name": "read", "annotations": {"readOnlyHint": True}}, {"name": "write"})
    assert (await asked(house, thing="files/read"))["verdict"] == "allowed"
    assert (await asked(house, thing="files/write"))["verdict"] == "hidden"


async def test_a_definition_that_waits_is_why_a_tool_is_hidden(house: House) -> None:
    await house.policy("version: 1\nservers: {files: {new_tools: review}}\n")
    (digest,) = await house.offers("files", {"name": "rm"}, held=ServerPolicy(new_tools="review"))
    said = await asked(house, thing="files/rm")
    assert (said["verdict"], said["review"]) == ("hidden", "waiting for a person to review it")
    decide = house.services.definitions.decide
    await decide("demo", "files", "rm", digest, False, "ada")
    assert (await asked(house, thing="files/rm"))["review"] == "refused by a person"
    await decide("demo", "files", "rm", digest, True, "ada")
    assert (await asked(house, thing="files/rm"))["verdict"] == "allowed"


async def test_what_is_left_of_limits_is_told(house: House) -> None:
    await house.policy("version: 1\nrules: [{match: 'files/*', limits: [{calls: 2, per: day, each: user}]}]\n")
    (demand,) = (await asked(house, thing="files/read"))["demands"]
    assert (demand["member"], demand["holds"], demand["left"]["left"]) == ("limits", True, 2)


async def test_limits_that_nobody_can_count_are_no_explanation(house: House) -> None:
    await house.policy("version: 1\nrules: [{match: 'files/*', limits: [{calls: 2, per: day, each: user}]}]\n")
    await house.services.counter.close()  # type: ignore[attr-defined]
    async with house.client() as client:
        assert error_of(await client.get(EXPLAIN, params={"thing": "files/read"})) == (503, "unavailable")


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"thing": "files"},
        {"thing": "files/read", "args": "{"},
        {"thing": "files/read", "args": "[]"},
        {"thing": "files/read", "args": '{"a": 1, "a": 2}'},
    ],
)
async def test_what_is_not_understood_is_told_in_words(house: House, query: dict[str, str]) -> None:
    async with house.client() as client:
        assert error_of(await client.get(EXPLAIN, params=query)) == (422, "invalid")
