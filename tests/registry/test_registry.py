"""What is registered reaches the directory; what must not be is refused in words; secrets rest sealed."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from portkey_mcp.errors import Mistake, Mistakes
from portkey_mcp.model import McpServer
from portkey_mcp.policy.document import EMPTY
from portkey_mcp.registry.declared import Declared
from portkey_mcp.registry.registry import Registry
from portkey_mcp.registry.tables import SecretRow
from portkey_mcp.sealing import KeyRing
from portkey_mcp.storage.database import FILE, Database
from tests.registry.test_provision import workspace

pytestmark = pytest.mark.anyio


def http(name: str = "search", **fields: Any) -> McpServer:
    return McpServer(**{"workspace": "demo", "name": name, "transport": "http", "url": "https://x/mcp", **fields})


FILES = McpServer("demo", "files", "stdio", command=("npx", "files", "/srv"), env={"TOKEN": "${env:TOKEN}"})
SEALED = http(headers={"X-Key": "${secret:search-X-Key}"})


async def test_what_was_added_is_in_the_directory_in_order(registry: Registry) -> None:
    await registry.add_workspace("another")
    await registry.add_server(http())
    await registry.add_server(FILES)
    directory = await registry.directory()
    assert list(directory.workspaces) == ["another", "demo"]
    assert directory.workspaces["demo"].name == "Demo"
    assert directory.workspaces["another"].name == "another"
    assert directory.workspaces["demo"].policy is EMPTY
    assert list(directory.workspaces["demo"].servers.items()) == [("files", FILES), ("search", http())]
    assert await registry.origins() == {"demo/files": "cli", "demo/search": "cli"}


async def test_the_directory_is_the_same_object_until_something_changes(registry: Registry, database: Database) -> None:
    before = await registry.directory()
    assert await registry.directory() is before
    await Registry(database, KeyRing.generate()).add_server(FILES)
    assert (await registry.directory()).workspaces["demo"].servers == {"files": FILES}
    assert await registry.revision() == 2


async def test_a_removed_server_takes_its_secrets_along(registry: Registry, database: Database) -> None:
    await registry.add_server(SEALED, secrets={"search-X-Key": "hush"})
    await registry.remove_server("demo", "search")
    assert (await registry.directory()).workspaces["demo"].servers == {}
    async with database.read() as session:
        assert (await session.scalars(select(SecretRow))).all() == []
    await registry.add_server(SEALED, secrets={"search-X-Key": "again"})


async def test_a_secret_rests_sealed_and_is_opened_for_a_link_only(
    registry: Registry, database: Database, tmp_path: Path
) -> None:
    await registry.add_server(SEALED, secrets={"search-X-Key": "hush-hush-hush"})
    assert (await registry.directory()).workspaces["demo"].servers["search"] == SEALED
    assert (await registry.resolve(SEALED)).headers == {"X-Key": "hush-hush-hush"}
    assert await registry.secret("demo", "search-X-Key") == "hush-hush-hush"
    await database.close()
    assert b"hush-hush-hush" not in (tmp_path / FILE).read_bytes()


async def test_a_secret_that_was_moved_to_another_row_does_not_open(registry: Registry, database: Database) -> None:
    await registry.add_server(SEALED, secrets={"search-X-Key": "hush", "other": "loud"})
    async with database.write() as session:
        row = await session.get(SecretRow, ("demo", "search-X-Key"))
        assert row is not None
        await session.execute(update(SecretRow).filter_by(name="other").values(sealed=row.sealed))
    with pytest.raises(Mistake) as wrong:
        await registry.secret("demo", "other")
    expected = "workspace 'demo': the secret 'other' cannot be opened: damaged, or sealed for something else"
    assert str(wrong.value) == expected


async def test_every_field_is_resolved(registry: Registry, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("from-a-file\n")
    server = McpServer(
        *("demo", "a", "stdio"),
        command=("run", "--token=${env:TOKEN}"),
        env={"A": f"${{file:{secret}}}", "B": "${env:NONE:-default}"},
        cwd="/${env:TOKEN}",
        headers={"X": "${env:TOKEN}"},
        url="https://${env:TOKEN}/",
    )
    resolved = await registry.resolve(server)
    assert resolved.command == ("run", "--token=from-the-environment")
    assert resolved.env == {"A": "from-a-file", "B": "default"}
    assert (resolved.cwd, resolved.url) == ("/from-the-environment", "https://from-the-environment/")
    assert resolved.headers == {"X": "from-the-environment"}
    assert resolved.name == "a"


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"headers": {"X": "${env:GONE}"}}, "headers.X: ${env:GONE} is not set in the gateway's environment"),
        ({"url": "https://x/?k=${secret:gone}"}, "url: ${secret:gone} is not stored"),
    ],
)
async def test_a_reference_that_leads_nowhere_names_server_field_and_reference(
    registry: Registry, fields: dict[str, Any], what: str
) -> None:
    with pytest.raises(Mistake) as wrong:
        await registry.resolve(http(**fields))
    assert str(wrong.value) == f"server 'demo/search', {what}"


async def refusal(registry: Registry, server: McpServer, **more: Any) -> str:
    revision = await registry.revision()
    with pytest.raises(Mistake) as wrong:
        await registry.add_server(server, **more)
    assert await registry.revision() == revision
    return str(wrong.value)


async def test_servers_that_cannot_be_are_refused(registry: Registry, database: Database) -> None:
    await registry.add_server(FILES)
    assert await refusal(registry, FILES) == "workspace 'demo' has a server 'files' already"
    assert await refusal(registry, http(workspace="dmeo")) == "there is no workspace 'dmeo'; did you mean 'demo'?"
    assert await refusal(registry, http(workspace="zzz")) == "there is no workspace 'zzz'"
    missing = "server 'demo/search' refers to the secret 'search-X-Key', which is not stored"
    assert await refusal(registry, SEALED) == missing
    assert await refusal(registry, http(url="ftp://x")) == "server 'demo/search': url: 'ftp://x' is no http(s) URL"
    assert await refusal(registry, http(), secrets={"a b": "c"}) == "server 'demo/search': 'a b' cannot name a secret"
    await registry.provision(Declared(workspaces={"demo": workspace(http("managed"), bundles=["reading"])}))
    managed = "already, managed by the configuration file"
    assert await refusal(registry, http("managed")) == f"workspace 'demo' has a server 'managed' {managed}"
    assert await refusal(registry, http("reading")) == f"workspace 'demo' has a bundle 'reading' {managed}"


async def test_all_that_is_wrong_with_a_server_is_said(registry: Registry) -> None:
    with pytest.raises(Mistakes) as wrong:
        await registry.add_server(http("A", url="ftp://x", env={"B": "c"}))
    assert [str(mistake).partition(": ")[2] for mistake in wrong.value.mistakes] == [
        "'A' cannot be a server; expected at most 31 lower-case letters, digits, - and _",
        "env: only a command has an environment",
        "url: 'ftp://x' is no http(s) URL",
    ]


async def test_a_secret_of_another_server_is_not_overwritten(registry: Registry) -> None:
    await registry.add_server(SEALED, secrets={"search-X-Key": "hush"})
    server = http("other", headers={"X": "${secret:search-X-Key}"})
    taken = "workspace 'demo' has a secret 'search-X-Key' already"
    assert await refusal(registry, server, secrets={"search-X-Key": "loud"}) == taken


async def test_b7_a_command_that_nobody_approved_is_not_stored(registry: Registry) -> None:
    said = await refusal(registry, FILES, origin="import", approved=False)
    assert said == "server 'demo/files' runs a command on this machine: npx files /srv; it needs approval"
    await registry.add_server(http(), origin="import", approved=False)


async def test_the_dashboard_may_not_refer_to_the_gateways_own_machine(registry: Registry) -> None:
    said = await refusal(registry, FILES, origin="dashboard")
    assert said == (
        "server 'demo/files': only the configuration file and the command line may refer to variables and files"
    )
    await registry.add_server(SEALED, secrets={"search-X-Key": "hush"}, origin="dashboard")


async def test_workspaces_that_cannot_be_are_refused(registry: Registry) -> None:
    with pytest.raises(Mistake, match="there is a workspace 'demo' already"):
        await registry.add_workspace("demo")
    with pytest.raises(Mistake, match="'api' cannot be a workspace: the gateway uses that path itself"):
        await registry.add_workspace("api")


async def test_only_what_is_there_and_made_by_hand_is_removed(registry: Registry) -> None:
    await registry.add_server(FILES)
    await registry.provision(Declared(workspaces={"demo": workspace(http("managed"))}))
    for name, said in (
        ("flies", "workspace 'demo' has no server 'flies'; did you mean 'files'?"),
        ("zzz", "workspace 'demo' has no server 'zzz'"),
        ("managed", "server demo/managed is managed by the configuration file; remove it there"),
    ):
        with pytest.raises(Mistake) as wrong:
            await registry.remove_server("demo", name)
        assert str(wrong.value) == said


async def test_a_missing_secret_is_a_mistake(registry: Registry) -> None:
    with pytest.raises(Mistake, match="workspace 'demo' has no secret 'x'"):
        await registry.secret("demo", "x")
