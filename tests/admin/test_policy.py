"""Reading, saving, changing, bringing back and checking a policy, as a program does it."""

from pathlib import Path
from typing import Any

import pytest

from portkey_mcp.registry.provisioning import Provisioning
from tests.admin.conftest import House, error_of

pytestmark = pytest.mark.anyio

POLICY = "/workspaces/demo/policy"
ORDERLY = """\
# who may do what
version: 1
rules:
  - match: files/*      # all of it
    timeout: 30s
"""


async def test_without_a_policy_there_is_version_0(house: House) -> None:
    async with house.client() as client:
        answer = await client.get(POLICY)
    nothing = {"number": 0, "text": "", "who": "", "why": "", "origin": None, "managed": False, "at": None}
    assert (answer.status_code, answer.json()) == (200, nothing)


async def test_what_is_saved_is_in_force_as_it_was_written(house: House) -> None:
    async with house.client() as client:
        saved = await client.put(POLICY, json={"text": ORDERLY, "why": "order", "based_on": 0})
        assert saved.status_code == 200
        assert (await client.get(POLICY)).json() == saved.json()
    said = saved.json()
    assert (said["number"], said["text"], said["why"], said["origin"]) == (1, ORDERLY, "order", "api")
    assert said["who"] == f"boss ({house.whose['boss'].id})"
    assert said["managed"] is False
    workspace = (await house.services.registry.directory()).workspaces["demo"]
    assert workspace.policy.rules[0].match == ("files/*",)


async def test_a_wrong_document_replaces_nothing_and_every_mistake_has_its_place(house: House) -> None:
    await house.policy(ORDERLY)
    wrong = "version: 1\nrules:\n  - match: files\n  - match: 'files/*'\n    enabeld: false\n"
    async with house.client() as client:
        answer = await client.put(POLICY, json={"text": wrong, "based_on": 1})
        assert error_of(answer) == (422, "invalid")
        assert (await client.get(POLICY)).json()["text"] == ORDERLY
    first, second = answer.json()["error"]["mistakes"]
    assert (first["line"], second["line"], second["column"]) == (3, 5, 5)
    assert "enabled" in second["message"]
    assert "There are 2 mistakes" in answer.json()["error"]["message"]


async def test_who_read_an_older_version_overwrites_nothing_unless_they_mean_to(house: House) -> None:
    await house.policy(ORDERLY)
    await house.policy("version: 1\n")
    async with house.client() as client:
        for based_on in (0, 1, 3):
            answer = await client.put(POLICY, json={"text": ORDERLY, "based_on": based_on})
            assert error_of(answer) == (409, "conflict"), based_on
        change = {"match": "files/*", "member": "enabled", "value": False}
        assert error_of(await client.patch(POLICY, json={**change, "based_on": 1})) == (409, "conflict")
        assert (await client.put(POLICY, json={"text": ORDERLY, "based_on": None})).json()["number"] == 3
        assert (await client.patch(POLICY, json={**change, "based_on": 3})).json()["number"] == 4


async def test_what_a_file_manages_is_told_so_and_changes_there_only(house: House, tmp_path: Path) -> None:
    file = tmp_path / "portkey.yaml"
    file.write_text(
        "version: 1\nworkspaces: {demo: {policy: {version: 1, rules: [{match: 'files/*', timeout: 30s}]}}}\n"
    )
    # The file takes over the workspace only where nobody made one by hand; here it declares the policy of `filed`.
    file.write_text(file.read_text().replace("demo", "filed"))
    await Provisioning(house.services.registry, house.services.identity).apply(file)
    house.directory = await house.services.registry.directory()
    await house.key("keeper", "admin", "filed")
    filed = "/workspaces/filed/policy"
    async with house.client("keeper") as client:
        there = (await client.get(filed)).json()
        assert (there["number"], there["managed"], there["origin"]) == (1, True, "file")
        answers = [
            await client.put(filed, json={"text": ORDERLY, "based_on": 1}),
            await client.patch(filed, json={"match": "files/*", "member": "enabled", "value": False}),
            await client.post(f"{filed}/rollback", json={"number": 1}),
        ]
        for answer in answers:
            assert error_of(answer) == (409, "conflict")
            assert "portkey.yaml" in answer.text
        assert (await client.get(filed)).json() == there


async def test_one_member_is_changed_and_all_else_stays_as_it_was_written(house: House) -> None:
    await house.policy(ORDERLY)
    async with house.client() as client:
        for value, text in (
            ("60s", ORDERLY.replace("30s", "60s")),
            ("30s", ORDERLY),
        ):
            change = {"match": "files/*", "member": "timeout", "value": value, "why": "slow disks"}
            saved = await client.patch(POLICY, json=change)
            assert (saved.status_code, saved.json()["text"]) == (200, text)
        hidden = {"match": "files/rm", "member": "enabled", "value": False, "for": {"roles": ["member"]}}
        added = (await client.patch(POLICY, json=hidden)).json()
        assert added["text"].startswith(ORDERLY)
        assert (await client.patch(POLICY, json=hidden)).json()["number"] == added["number"], "it says that already"
        assert (await client.patch(POLICY, json={**hidden, "value": None})).json()["text"] == ORDERLY
    rules = (await house.services.registry.directory()).workspaces["demo"].policy.rules
    assert [rule.match for rule in rules] == [("files/*",)]


async def test_a_first_change_begins_a_policy_and_to_take_out_what_is_not_there_does_not(house: House) -> None:
    change = {"match": "files/rm", "member": "enabled", "value": None}
    async with house.client() as client:
        assert (await client.patch(POLICY, json=change)).json()["number"] == 0
        assert (await client.patch(POLICY, json={**change, "value": False, "based_on": 0})).json()["number"] == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"match": "files"}, "files"),
        ({"member": "enabeld"}, "did you mean"),
        ({"member": "match", "value": "*"}, "member"),
        ({"member": "for", "value": None}, "member"),
        ({"value": "perhaps"}, "true or false"),
        ({"for": {"rolls": ["member"]}}, "rolls"),
        ({"for": {"roles": 7}}, "roles"),
        ({"for": {}}, "names nobody"),
    ],
)
async def test_a_wrong_change_changes_nothing_and_says_what_would_be_right(
    house: House, change: dict[str, Any], said: str
) -> None:
    await house.policy(ORDERLY)
    async with house.client() as client:
        whole = {"match": "files/*", "member": "enabled", "value": False, **change}
        answer = await client.patch(POLICY, json=whole)
    assert error_of(answer) == (422, "invalid")
    assert said in answer.json()["error"]["message"]
    assert [one.number for one in await house.services.policies.history("demo")] == [1]


async def test_a_value_that_no_document_can_hold_is_refused(house: House) -> None:
    deep: Any = 1
    for _ in range(400):
        deep = [deep]
    await house.policy(ORDERLY)
    async with house.client() as client:
        change = {"match": "files/rm", "member": "arguments", "value": {"path": {"value": deep}}}
        assert error_of(await client.patch(POLICY, json=change)) == (422, "invalid")
    assert [one.number for one in await house.services.policies.history("demo")] == [1]


async def test_every_version_stays_and_can_be_brought_back(house: House) -> None:
    for text in (ORDERLY, "version: 1\n"):
        await house.policy(text)
    async with house.client() as client:
        back = await client.post(f"{POLICY}/rollback", json={"number": 1})
        assert (back.status_code, back.json()["number"], back.json()["text"]) == (200, 3, ORDERLY)
        assert back.json()["why"] == "back to version 1"
        versions = (await client.get(f"{POLICY}/versions")).json()
        assert [(one["number"], one["origin"]) for one in versions] == [(3, "api"), (2, "cli"), (1, "cli")]
        assert all("text" not in one for one in versions)
        second = (await client.get(f"{POLICY}/versions/2")).json()
        assert (second["text"], second["who"], second["why"]) == ("version: 1\n", "cli:ada", "a test")


async def test_a_version_that_never_was_is_not_found(house: House) -> None:
    await house.policy(ORDERLY)
    async with house.client() as client:
        for number, status in (("2", 404), ("0", 422), ("x", 422), (str(10**30), 422)):
            assert (await client.get(f"{POLICY}/versions/{number}")).status_code == status, number
        assert error_of(await client.post(f"{POLICY}/rollback", json={"number": 2})) == (422, "invalid")


async def test_a_document_is_for_those_who_rule_the_workspace(house: House) -> None:
    await house.policy(ORDERLY)
    async with house.client("ci") as client:
        answers = [
            await client.get(POLICY),
            await client.get(f"{POLICY}/versions"),
            await client.get(f"{POLICY}/versions/1"),
            await client.put(POLICY, json={"text": "version: 1\n", "based_on": 1}),
            await client.patch(POLICY, json={"match": "files/*", "member": "enabled", "value": False}),
            await client.post(f"{POLICY}/rollback", json={"number": 1}),
        ]
    for answer in answers:
        assert error_of(answer) == (403, "forbidden")
        assert "files" not in answer.text
    assert [one.number for one in await house.services.policies.history("demo")] == [1]


async def test_a_draft_is_checked_and_nothing_is_saved(house: House) -> None:
    await house.offers("linear", {"name": "delete_issue"}, {"name": "list_issues"})
    draft = "version: 1\nrules: [{match: linear/delete_issue, for: {roles: [member]}, enabled: false}]\n"
    async with house.client() as client:
        said = (await client.post(f"{POLICY}/check", json={"text": draft})).json()
        assert (said["mistakes"], said["warnings"]) == ([], [])
        assert said["impact"] == ["member: linear/delete_issue would disappear"], "keys fare like their role"
        said = (await client.post(f"{POLICY}/check", json={"text": draft.replace("issue", "isue")})).json()
        assert ["did you mean linear/delete_issue?" in line for line in said["warnings"]] == [True]
        assert (await client.get(POLICY)).json()["number"] == 0


async def test_of_a_very_long_draft_only_mistakes_are_told(house: House) -> None:
    draft = "version: 1\nrules:\n" + "  - {match: files/nothing, enabled: false}\n" * 501
    async with house.client() as client:
        said = (await client.post(f"{POLICY}/check", json={"text": draft})).json()
        assert (said["mistakes"], said["impact"]) == ([], None)
        assert "501 rules" in said["warnings"][0]
        said = (await client.post(f"{POLICY}/check", json={"text": f"{draft}rule: []"})).json()
        assert [one["line"] for one in said["mistakes"]] == [504]


async def test_a_draft_with_mistakes_is_told_of_those_alone(house: House) -> None:
    async with house.client() as client:
        answer = await client.post(f"{POLICY}/check", json={"text": "version: 1\nrules: [{match: '*', timeout: soon}]"})
    said = answer.json()
    assert (answer.status_code, said["warnings"], said["impact"]) == (200, [], [])
    assert [one["line"] for one in said["mistakes"]] == [2]


async def test_a_check_tells_a_member_of_nothing_that_is_hidden_from_them(house: House) -> None:
    await house.offers("linear", {"name": "delete_issue"}, {"name": "list_issues"})
    await house.policy("version: 1\nrules: [{match: linear/delete_issue, for: {roles: [member]}, enabled: false}]\n")
    draft = "version: 1\nrules: [{match: linear/delete_isue, timeout: 3s}, {match: linear/list_isues, timeout: 3s}]\n"
    async with house.client("ci") as client:
        answer = await client.post(f"{POLICY}/check", json={"text": draft})
    assert answer.status_code == 200
    assert answer.json()["impact"] is None
    assert "delete_issue" not in answer.text
    assert "did you mean linear/list_issues?" in answer.text
