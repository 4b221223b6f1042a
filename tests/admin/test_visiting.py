"""Whom a question is about, and what exists for them."""

import pytest

from portkey_mcp.admin.desk import Asker
from portkey_mcp.admin.visiting import existing, visitor
from portkey_mcp.errors import Forbidden, NotFound
from portkey_mcp.model import Access
from portkey_mcp.policy.document import ServerPolicy
from tests.admin.conftest import House

pytestmark = pytest.mark.anyio


def asker(house: House, name: str) -> Asker:
    who = house.whose[name]
    return Asker(who, "demo", who.workspaces["demo"], "10.0.0.7")


async def names(house: House, who: str) -> list[str]:
    about = await visitor(house.services, asker(house, who))
    return [thing.name for thing, _ in await existing(house.services, about)]


async def test_who_asks_is_asked_about_and_from_where(house: House) -> None:
    about = await visitor(house.services, asker(house, "ci"))
    assert (about.visit.principal, about.visit.address) == (house.whose["ci"], "10.0.0.7")
    assert (await visitor(house.services, asker(house, "ci"), address="")).visit.address == ""


async def test_an_admin_asks_about_a_key_by_its_id_or_name_and_knows_not_from_where(house: House) -> None:
    for named in ("ci", house.whose["ci"].id):
        about = await visitor(house.services, asker(house, "boss"), named)
        assert (about.visit.principal, about.visit.address) == (house.whose["ci"], "")
    assert (await visitor(house.services, asker(house, "boss"), "ci", "::1")).visit.address == "::1"


async def test_an_id_is_no_name_of_another_key(house: House) -> None:
    await house.key(house.whose["ci"].id, "admin")
    about = await visitor(house.services, asker(house, "boss"), house.whose["ci"].id)
    assert about.visit.principal == house.whose["ci"]


async def test_a_member_may_not_ask_about_others_nor_an_admin_about_other_workspaces(house: House) -> None:
    await house.key("far", workspace="other")
    for named in ("other-ci", "nobody"):
        with pytest.raises(Forbidden):
            await visitor(house.services, asker(house, "ci"), named)
    for named in ("far", house.whose["far"].id, "nobody", ""):
        with pytest.raises(NotFound):
            await visitor(house.services, asker(house, "boss"), named)


async def test_what_exists_is_what_policy_leaves(house: House) -> None:
    await house.offers("files", {"name": "read"}, {"name": "write"}, {"name": "rm"})
    await house.policy(
        "version: 1\nrules:\n"
        "  - {match: files/rm, for: {roles: [member]}, enabled: false}\n"
        "  - {match: files/write, rename: read}\n"
    )
    assert await names(house, "boss") == ["rm", "write"], "what is called `read` is `write` now"
    assert await names(house, "ci") == ["write"]


async def test_what_waits_for_a_person_or_was_refused_does_not_exist(house: House) -> None:
    reviewed = ServerPolicy(new_tools="review")
    await house.policy("version: 1\nservers: {files: {new_tools: review}}\n")
    held, refused = await house.offers("files", {"name": "held"}, {"name": "refused"}, held=reviewed)
    _, bad = await house.offers("linear", {"name": "plain"}, {"name": "bad"})
    definitions = house.services.definitions
    assert await names(house, "boss") == ["bad", "plain"]
    await definitions.decide("demo", "files", "refused", refused, False, "ada")
    await definitions.decide("demo", "linear", "bad", bad, False, "ada")
    assert await names(house, "boss") == ["plain"]
    await definitions.decide("demo", "files", "held", held, True, "ada")
    assert await names(house, "boss") == ["held", "plain"]


async def test_what_does_not_say_that_it_reads_does_not_exist_where_only_that_may(house: House) -> None:
    await house.offers(
        "files",
        {"name": "read", "annotations": {"readOnlyHint": True}},
        {"name": "odd", "annotations": "readOnlyHint"},
        {"name": "write"},
    )
    await house.policy("version: 1\nrules: [{match: 'files/*', read_only: true}]\n")
    assert await names(house, "boss") == ["read"]


async def test_hidden_text_hides_a_tool_where_policy_says_so(house: House) -> None:
    await house.offers("files", {"name": "plain"}, {"name": "sly", "description": "read\u200b me"})
    await house.policy("version: 1\nrules: [{match: 'files/*', hidden_text: refuse}]\n")
    assert await names(house, "boss") == ["plain"]


async def test_things_of_a_server_that_somebody_may_not_use_do_not_exist_for_them(house: House) -> None:
    await house.person("bob", groups=["ops"])
    for server in ("files", "linear"):
        await house.offers(server, {"name": "read"})
    await house.services.registry.set_access("demo", "files", Access(groups=("ops",)))
    seen = {}
    for who in ("boss", "ci", "bob"):
        about = await visitor(house.services, asker(house, who))
        seen[who] = [thing.server for thing, _ in await existing(house.services, about)]
    assert seen == {"boss": ["linear"], "ci": ["linear"], "bob": ["files", "linear"]}


async def test_a_server_that_is_hidden_and_one_that_there_is_not_are_explained_alike(house: House) -> None:
    await house.services.registry.set_access("demo", "files", Access(people=("key:nobody",)))
    answers = []
    async with house.client("ci") as client:
        for server in ("files", "made-up"):
            for kind in ("", "prompt:"):
                answer = await client.get("/workspaces/demo/explain", params={"thing": f"{kind}{server}/x"})
                answers.append((answer.status_code, answer.text))
            assert (await client.get("/workspaces/demo/limits", params={"thing": f"prompt:{server}/x"})).json() == []
    assert answers == [answers[0]] * 4
    assert answers[0][0] == 404
    async with house.client() as client:
        told = (await client.get("/workspaces/demo/explain", params={"thing": "files/x", "as": "ci"})).json()
    assert (told["verdict"], "certain people and groups" in told["reason"]) == ("hidden", True)
