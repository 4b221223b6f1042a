"""A file is applied whole or not at all, on start and on every change, however it is replaced."""

import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from portkey_mcp.errors import Mistakes
from portkey_mcp.identity.authenticate import Identity
from portkey_mcp.registry.provisioning import Provisioning, changed, digest
from portkey_mcp.registry.registry import Registry

pytestmark = pytest.mark.anyio


def text(*names: str, policy: str = "") -> str:
    servers = ", ".join(f"{name}: {{url: 'https://x'}}" for name in names)
    return f"version: 1\nworkspaces: {{file: {{servers: {{{servers}}}{policy}}}}}\n"


def save(file: Path, content: str) -> None:
    file.write_text(content)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "etc" / "portkey.yaml"
    path.parent.mkdir()
    path.write_text(text("a"))
    return path


@pytest.fixture
def provisioning(registry: Registry, identity: Identity) -> Provisioning:
    return Provisioning(registry, identity)


async def servers(registry: Registry) -> list[str]:
    workspace = (await registry.directory()).workspaces.get("file")
    return list(workspace.servers) if workspace else []


@asynccontextmanager
async def watching(provisioning: Provisioning, file: Path) -> AsyncIterator[None]:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(provisioning.watch, file)
        with anyio.fail_after(30):
            yield
        tasks.cancel_scope.cancel()


async def until(registry: Registry, fits: Callable[[list[str]], bool]) -> None:
    async for _ in registry.revisions(every=0.02):
        if fits(await servers(registry)):
            return


async def test_a_file_is_applied_and_says_what_it_declared(
    provisioning: Provisioning, registry: Registry, file: Path
) -> None:
    declared = await provisioning.apply(file)
    assert list(declared.workspaces) == ["file"]
    assert await servers(registry) == ["a"]
    assert provisioning.last_error == ""


async def test_a_wrong_file_changes_nothing_and_is_remembered(
    provisioning: Provisioning, registry: Registry, file: Path
) -> None:
    await provisioning.apply(file)
    save(file, "version: 1\nworkspces: {}")
    with pytest.raises(Mistakes):
        await provisioning.apply(file)
    assert provisioning.last_error == f"{file}:2:1: unknown key 'workspces'; did you mean 'workspaces'?"
    assert await servers(registry) == ["a"]
    save(file, text("a", "b"))
    await provisioning.apply(file)
    assert provisioning.last_error == ""


async def test_members_come_and_go_with_the_file(
    provisioning: Provisioning, registry: Registry, identity: Identity, file: Path
) -> None:
    members = "{email: ada@example.com, role: admin, groups: [ops]}"
    save(file, text("a", policy=f", members: [{members}]"))
    await provisioning.apply(file)
    [ada] = identity.people.members("file")
    assert (ada.role_in("file"), ada.groups_in("file")) == ("admin", ("ops",))
    save(file, text("a"))
    await provisioning.apply(file)
    assert await identity.people.all() == []
    save(file, "version: 1\n")
    await provisioning.apply(file)
    assert "file" not in (await registry.directory()).workspaces


async def test_a_change_is_applied_while_watching(provisioning: Provisioning, registry: Registry, file: Path) -> None:
    await provisioning.apply(file)
    async with watching(provisioning, file):
        save(file, text("a", "b"))
        await until(registry, lambda names: names == ["a", "b"])


async def test_a_change_before_the_watch_began_is_not_lost(
    provisioning: Provisioning, registry: Registry, file: Path
) -> None:
    await provisioning.apply(file)
    save(file, text("b"))
    async with watching(provisioning, file):
        await until(registry, lambda names: names == ["b"])


async def test_every_one_of_several_renames_is_seen(provisioning: Provisioning, registry: Registry, file: Path) -> None:
    await provisioning.apply(file)
    async with watching(provisioning, file):
        for name in ("b", "c", "d"):
            draft = file.with_name("draft")
            draft.write_text(text(name))
            os.replace(draft, file)
            await until(registry, lambda names, name=name: names == [name])


async def test_a_config_map_that_is_swapped_is_seen(
    provisioning: Provisioning, registry: Registry, tmp_path: Path
) -> None:
    """Kubernetes links `portkey.yaml -> ..data/portkey.yaml`, `..data -> ..1`, and replaces the link in the middle."""
    for number, name in (("..1", "a"), ("..2", "b")):
        (tmp_path / number).mkdir()
        (tmp_path / number / "portkey.yaml").write_text(text(name))
    (tmp_path / "..data").symlink_to("..1")
    file = tmp_path / "portkey.yaml"
    file.symlink_to("..data/portkey.yaml")
    await provisioning.apply(file)
    async with watching(provisioning, file):
        (tmp_path / "..draft").symlink_to("..2")
        os.replace(tmp_path / "..draft", tmp_path / "..data")
        await until(registry, lambda names: names == ["b"])


async def test_a_policy_file_is_watched_even_before_it_is_there(
    provisioning: Provisioning, registry: Registry, file: Path
) -> None:
    save(file, text("a", policy=", policy: ../rules.yaml"))
    with pytest.raises(Mistakes, match=r"there is no file .*rules\.yaml"):
        await provisioning.apply(file)
    async with watching(provisioning, file):
        (file.parent / "../rules.yaml").write_text("rules: []")
        await until(registry, lambda names: names == ["a"])


async def test_a_wrong_file_is_logged_and_watched_on(
    provisioning: Provisioning, registry: Registry, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await provisioning.apply(file)
    with caplog.at_level(logging.INFO, "portkey_mcp"):
        async with watching(provisioning, file):
            save(file, "nonsense")
            while not provisioning.last_error:
                await anyio.lowlevel.checkpoint()
            save(file, text("b"))
            await until(registry, lambda names: names == ["b"])
    assert f"{file} was not applied:\n{file}:1:1: expected keys and values, found text" in caplog.messages
    assert provisioning.last_error == ""


async def test_a_touched_file_with_the_same_contents_is_no_change(file: Path) -> None:
    seen, at_the_end = digest([file]), ""

    async def wait() -> None:
        nonlocal at_the_end
        await changed([file], seen)
        at_the_end = digest([file])

    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            for _ in range(100):
                os.utime(file)
                await anyio.lowlevel.checkpoint()
            save(file, text("b"))
    assert at_the_end == digest([file]) != seen


async def test_a_missing_file_has_a_digest_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("")
    assert len({digest([tmp_path / "missing"]), digest([tmp_path / "empty"]), digest([])}) == 3
