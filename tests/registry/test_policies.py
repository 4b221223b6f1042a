"""Versions of a policy: who, when and why; nothing wrong is stored, nothing is lost, and a file's is the file's."""

from datetime import UTC, datetime, timedelta

import anyio
import pytest
from sqlalchemy import select

from portkey_mcp.errors import Mistake, Mistakes
from portkey_mcp.model import Workspace
from portkey_mcp.policy.document import EMPTY, parse
from portkey_mcp.registry.declared import Declared, DeclaredPolicy
from portkey_mcp.registry.policies import Policies, PolicyVersion
from portkey_mcp.registry.registry import Registry
from portkey_mcp.registry.tables import PolicyVersionRow
from portkey_mcp.storage.database import Database

pytestmark = pytest.mark.anyio

FIRST = "# ours\nrules: [{match: '*', enabled: false}]\n"
SECOND = "rules:\n  - match: 'files/*'\n    enabled: true   # why not\n"
OF_A_FILE = DeclaredPolicy("rules: []\n", {"rules": []}, "rules/demo.yaml")


@pytest.fixture
def policies(database: Database, registry: Registry) -> Policies:
    return Policies(database)


async def save(policies: Policies, text: str, based_on: int | None = None) -> PolicyVersion:
    return await policies.save("demo", text, who="cli:ada", why="because", origin="cli", based_on=based_on)


async def provision(registry: Registry, *declared: DeclaredPolicy, slug: str = "demo") -> None:
    workspaces = {slug: Workspace(slug, slug, {}, {})}
    await registry.provision(
        Declared(workspaces=workspaces, policies=dict.fromkeys([slug], *declared) if declared else {})
    )


async def refused(what: object) -> str:
    with pytest.raises(Mistake) as wrong:
        await what  # type: ignore[misc]
    return str(wrong.value)


async def test_a_saved_version_is_in_force_and_tells_who_when_and_why(policies: Policies, registry: Registry) -> None:
    assert await policies.current("demo") is None
    before = await registry.revision()
    made = await save(policies, FIRST)

    assert (made.number, made.text, made.who, made.why, made.origin) == (1, FIRST, "cli:ada", "because", "cli")
    assert datetime.now(UTC) - made.at < timedelta(minutes=5)
    assert await policies.current("demo") == made
    assert await registry.revision() == before + 1
    assert (await registry.directory()).workspaces["demo"].policy == parse(
        {"rules": [{"match": "*", "enabled": False}]}
    )


async def test_versions_count_up_and_the_newest_comes_first(policies: Policies) -> None:
    first, second = await save(policies, FIRST), await save(policies, SECOND)

    assert await policies.history("demo") == [second, first]
    assert await policies.version("demo", 1) == first


async def test_the_same_text_makes_no_new_version(policies: Policies) -> None:
    first = await save(policies, FIRST)

    assert await save(policies, FIRST) == first
    assert await policies.history("demo") == [first]


async def test_a_wrong_document_replaces_nothing(policies: Policies, registry: Registry) -> None:
    first = await save(policies, FIRST)
    directory = await registry.directory()

    with pytest.raises(Mistakes) as wrong:
        await save(policies, "rules:\n  - match: '*'\n    enabeld: true\n")
    assert str(wrong.value) == "policy:3:5: unknown key 'enabeld'; did you mean 'enabled'?"
    assert await policies.current("demo") == first
    assert await registry.directory() is directory


async def test_who_began_from_an_older_version_is_told_and_overwrites_nothing(policies: Policies) -> None:
    await save(policies, FIRST, based_on=0)
    second = await save(policies, SECOND, based_on=1)

    assert await refused(save(policies, "rules: []", based_on=1)) == (
        "the policy of workspace 'demo' was changed meanwhile: this text was made from version 1, and version 2, by "
        "cli:ada, is in force; compare the two, and save again"
    )
    assert "was made from no policy" in await refused(save(policies, "rules: []", based_on=0))
    assert await policies.current("demo") == second


async def test_of_two_who_save_at_once_from_one_version_exactly_one_succeeds(policies: Policies) -> None:
    await save(policies, FIRST)
    ended: list[str] = []

    async def attempt(text: str) -> None:
        try:
            ended.append(f"version {(await save(policies, text, based_on=1)).number}")
        except Mistake:
            ended.append("refused")

    async with anyio.create_task_group() as tasks:
        for number in range(5):
            tasks.start_soon(attempt, f"rules: []  # {number}\n")
    assert sorted(ended) == ["refused"] * 4 + ["version 2"]


async def test_rolling_back_makes_a_new_version_of_the_old_text(policies: Policies) -> None:
    await save(policies, FIRST)
    await save(policies, SECOND)
    again = await policies.roll_back("demo", 1, who="cli:bob", why="too open", origin="cli")

    assert (again.number, again.text, again.who, again.why) == (3, FIRST, "cli:bob", "too open")
    assert await policies.current("demo") == again


async def test_what_is_not_there_is_named(policies: Policies) -> None:
    assert await refused(policies.current("dmeo")) == "unknown workspace 'dmeo'; did you mean 'demo'?"
    assert await refused(policies.version("demo", 1)) == (
        "the policy of workspace 'demo' has no version 1; it has none yet"
    )
    await save(policies, FIRST)
    assert (await refused(policies.version("demo", 9))).endswith("there are 1 to 1")


async def test_a_files_policy_is_a_version_for_each_text_and_changes_in_the_file_only(
    policies: Policies, registry: Registry
) -> None:
    await provision(registry, OF_A_FILE)
    await provision(registry, OF_A_FILE)
    [made] = await policies.history("demo")

    assert (made.text, made.who, made.origin, made.managed) == ("rules: []\n", "rules/demo.yaml", "file", True)
    told = "the policy of workspace 'demo' is managed by a configuration file; edit it there: rules/demo.yaml"
    assert await refused(save(policies, FIRST)) == told
    assert await refused(policies.roll_back("demo", 1, who="x", why="", origin="api")) == told
    assert await refused(policies.refuse_managed("demo")) == told

    await provision(registry, DeclaredPolicy("rules: []  # new\n", {"rules": []}, "rules/demo.yaml"))
    assert [version.number for version in await policies.history("demo")] == [2, 1]


async def test_a_file_takes_over_a_policy_made_by_hand_and_the_history_keeps_it(
    policies: Policies, registry: Registry
) -> None:
    await save(policies, FIRST)
    await provision(registry, OF_A_FILE)

    assert [version.text for version in await policies.history("demo")] == ["rules: []\n", FIRST]
    assert (await registry.directory()).workspaces["demo"].policy == parse({"rules": []})


async def test_a_policy_that_left_its_file_is_no_more_and_may_be_made_by_hand(
    policies: Policies, registry: Registry
) -> None:
    await provision(registry, OF_A_FILE)
    await provision(registry)

    ended, _ = await policies.history("demo")
    assert (ended.text, ended.why, ended.managed) == ("", "no longer declared", False)
    assert await policies.current("demo") is None
    assert (await registry.directory()).workspaces["demo"].policy is EMPTY
    assert "there was none" in await refused(policies.roll_back("demo", 2, who="x", why="", origin="cli"))
    assert (await save(policies, FIRST, based_on=0)).number == 3
    await provision(registry)
    assert (await registry.directory()).workspaces["demo"].policy != EMPTY


async def test_a_files_workspace_stays_for_a_policy_made_by_hand_in_it(policies: Policies, registry: Registry) -> None:
    await provision(registry, slug="mine")
    await policies.save("mine", FIRST, who="x", why="", origin="cli")
    await registry.provision(Declared())

    assert (await registry.directory()).workspaces["mine"].policy != EMPTY


async def test_versions_go_with_their_workspace(database: Database, registry: Registry) -> None:
    await provision(registry, OF_A_FILE, slug="files")
    await registry.provision(Declared())

    async with database.read() as session:
        assert (await session.scalars(select(PolicyVersionRow).filter_by(workspace="files"))).all() == []
