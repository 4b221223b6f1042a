"""Definitions that wait, what they change, and the decision, over the API."""

import pytest

from portkey_mcp.policy.document import ServerPolicy
from tests.admin.conftest import House, error_of

pytestmark = pytest.mark.anyio

DEFINITIONS = "/workspaces/demo/definitions"
HELD = ServerPolicy(new_tools="review", pin=True)
FIRST = {"name": "read", "description": "Reads a file."}
SECOND = {"name": "read", "description": "Reads a secret file.\u200b"}


async def test_what_waits_is_listed_until_it_is_decided(house: House) -> None:
    (first,) = await house.offers("files", FIRST, held=HELD)
    await house.offers("linear", {"name": "list"}, held=HELD)
    async with house.client() as client:
        found = (await client.get(DEFINITIONS, params={"state": "pending"})).json()
        assert [(one["server"], one["name"], one["what"]) for one in found] == [
            ("files", "read", "new"),
            ("linear", "list", "new"),
        ]
        assert found[0]["digest"] == first
        assert [one["server"] for one in (await client.get(DEFINITIONS, params={"server": "files"})).json()] == [
            "files"
        ]
        approved = await client.post(f"{DEFINITIONS}/files/read", json={"digest": first, "decision": "approve"})
        assert (approved.status_code, approved.json()["state"]) == (200, "allowed")
        assert approved.json()["decided_by"] == f"boss ({house.whose['boss'].id})"
        assert [one["server"] for one in (await client.get(DEFINITIONS)).json()] == ["linear"]
        assert error_of(await client.get(DEFINITIONS, params={"state": "refused"})) == (422, "invalid")
    assert house.services.definitions.admits("demo/files", HELD, "read", first)


async def test_a_change_is_shown_word_by_word_and_hidden_characters_are_seen(house: House) -> None:
    (first,) = await house.offers("files", FIRST, held=HELD)
    await house.services.definitions.decide("demo", "files", "read", first, True, "ada")
    (second,) = await house.offers("files", SECOND, held=HELD)
    async with house.client() as client:
        new, old = (await client.get(f"{DEFINITIONS}/files/read")).json()
        assert (new["digest"], new["state"], new["compared_with"]) == (second, "pending", first)
        assert (old["digest"], old["state"], old["compared_with"], old["changes"]) == (first, "allowed", None, None)
        (change,) = new["changes"]
        assert (change["path"], change["what"]) == ("description", "changed")
        assert [run["text"] for run in change["runs"] if run["kind"] != "kept"] == ["secret ", "\\u{200B}"]
        one = (await client.get(f"{DEFINITIONS}/files/read", params={"digest": first[:12]})).json()
        assert [(it["digest"], it["compared_with"]) for it in one] == [(first, None)]
        assert [it["path"] for it in one[0]["changes"]] == ["name", "description"]


async def test_what_is_refused_is_seen_by_nobody_whatever_the_policy_says(house: House) -> None:
    (first,) = await house.offers("files", FIRST)
    async with house.client() as client:
        refused = await client.post(f"{DEFINITIONS}/files/read", json={"digest": first[:8], "decision": "refuse"})
    assert (refused.status_code, refused.json()["state"]) == (200, "refused")
    assert not house.services.definitions.admits("demo/files", ServerPolicy(), "read", first)


async def test_a_tools_name_may_have_slashes(house: House) -> None:
    (digest,) = await house.offers("files", {"name": "a/b c/é"}, held=HELD)
    async with house.client() as client:
        path = f"{DEFINITIONS}/files/a%2Fb%20c/%C3%A9"
        assert [one["name"] for one in (await client.get(path)).json()] == ["a/b c/é"]
        decided = await client.post(path, json={"digest": digest, "decision": "approve"})
        assert decided.json()["name"] == "a/b c/é"


async def test_what_was_never_seen_is_not_found(house: House) -> None:
    await house.offers("files", FIRST)
    async with house.client() as client:
        for path, query in (("files/rm", {}), ("never/read", {}), ("files/read", {"digest": "0" * 12})):
            assert error_of(await client.get(f"{DEFINITIONS}/{path}", params=query)) == (404, "not_found")
            body = {"digest": "0" * 12, "decision": "approve"}
            assert error_of(await client.post(f"{DEFINITIONS}/{path}", json=body)) == (404, "not_found")


@pytest.mark.parametrize(
    "body",
    [{}, {"digest": "0" * 12}, {"digest": "abc", "decision": "approve"}, {"digest": "0" * 12, "decision": "yes"}],
)
async def test_a_decision_names_one_version_and_what_is_to_be_done(house: House, body: dict[str, str]) -> None:
    await house.offers("files", FIRST, held=HELD)
    async with house.client() as client:
        assert error_of(await client.post(f"{DEFINITIONS}/files/read", json=body)) == (422, "invalid")
    assert len(await house.services.definitions.pending("demo")) == 1


async def test_members_neither_read_what_waits_nor_decide(house: House) -> None:
    (first,) = await house.offers("files", FIRST, held=HELD)
    async with house.client("ci") as client:
        answers = [
            await client.get(DEFINITIONS),
            await client.get(f"{DEFINITIONS}/files/read"),
            await client.get(f"{DEFINITIONS}/files/never"),
            await client.post(f"{DEFINITIONS}/files/read", json={"digest": first, "decision": "approve"}),
        ]
    for answer in answers:
        assert error_of(answer) == (403, "forbidden")
        assert "Reads" not in answer.text
    assert len(await house.services.definitions.pending("demo")) == 1


async def test_only_some_of_many_versions_are_compared(house: House) -> None:
    for number in range(7):
        await house.offers("files", {"name": "read", "description": f"Reads {number}."}, held=HELD)
    async with house.client() as client:
        found = (await client.get(f"{DEFINITIONS}/files/read")).json()
    assert sum(one["changes"] is not None for one in found) == 5
    assert len(found) == 7
