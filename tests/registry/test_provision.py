"""A file's part of the registry becomes what the file says, in one step, and nothing made by hand is lost."""

from collections.abc import Iterable
from typing import Any

import pytest

from portkey_mcp.errors import Mistake
from portkey_mcp.identity.authenticate import Identity
from portkey_mcp.model import Bundle, DeclaredKey, McpServer, Workspace
from portkey_mcp.policy.document import EMPTY, parse
from portkey_mcp.registry.declared import Declared, DeclaredPolicy
from portkey_mcp.registry.registry import Registry

pytestmark = pytest.mark.anyio

CI_KEY = "ci-" + "k" * 30
RULES = {"rules": [{"match": "*", "enabled": False}]}
POLICY = DeclaredPolicy("rules: [{match: '*', enabled: false}]", RULES, "rules.yaml")


def server(name: str, url: str = "https://x/mcp", slug: str = "demo") -> McpServer:
    return McpServer(slug, name, "http", url)


def workspace(*servers: McpServer, slug: str = "demo", bundles: Iterable[str] = ()) -> Workspace:
    chosen = {name: Bundle(slug, name, "", ("a/*",)) for name in bundles}
    return Workspace(slug, slug.title(), {one.name: one for one in servers}, chosen)


def declared(*workspaces: Workspace, **more: Any) -> Declared:
    return Declared(workspaces={one.slug: one for one in workspaces}, **more)


async def test_what_is_declared_is_there_and_what_left_is_gone(registry: Registry) -> None:
    await registry.provision(
        declared(
            workspace(server("a"), server("b"), bundles=["reading"]),
            workspace(server("c", slug="second"), slug="second"),
            hosts={"a.example.com": "demo/a", "b.example.com": "demo"},
            policies={"demo": POLICY},
        )
    )
    directory = await registry.directory()
    assert directory.workspaces["demo"].servers == {"a": server("a"), "b": server("b")}
    assert directory.workspaces["demo"].bundles == {"reading": Bundle("demo", "reading", "", ("a/*",))}
    assert directory.workspaces["demo"].policy == parse(RULES)
    assert directory.workspaces["second"].servers == {"c": server("c", slug="second")}
    assert directory.hosts == {"a.example.com": "demo/a", "b.example.com": "demo"}
    assert set((await registry.origins()).values()) == {"file"}
    await registry.provision(declared(workspace(server("a", "https://y")), hosts={"a.example.com": "demo"}))
    directory = await registry.directory()
    assert list(directory.workspaces) == ["demo"]
    assert directory.workspaces["demo"].servers == {"a": server("a", "https://y")}
    assert directory.workspaces["demo"].bundles == {}
    assert directory.workspaces["demo"].policy is EMPTY
    assert directory.hosts == {"a.example.com": "demo"}


async def test_what_was_made_by_hand_stays_beside_the_file(registry: Registry) -> None:
    await registry.add_server(server("mine"))
    await registry.provision(declared(workspace(server("a"))))
    assert list((await registry.directory()).workspaces["demo"].servers) == ["a", "mine"]
    await registry.provision(declared())
    assert list((await registry.directory()).workspaces["demo"].servers) == ["mine"]


async def test_a_files_workspace_stays_for_what_was_made_by_hand_in_it(registry: Registry, identity: Identity) -> None:
    files = [workspace(slug=slug) for slug in ("with-server", "with-key", "with-member", "empty")]
    await registry.provision(declared(*files, policies={"with-key": POLICY}), identity.provision)
    await registry.add_server(server("mine", slug="with-server"))
    await identity.create_key("with-key", "mine")
    await identity.people.add("ada@example.com", workspace="with-member")
    await registry.provision(declared(), identity.provision)
    directory = await registry.directory()
    assert list(directory.workspaces) == ["demo", "with-key", "with-member", "with-server"]
    assert directory.workspaces["with-key"].policy is EMPTY
    assert [key.workspace for key in await identity.list_keys()] == ["with-key"]


async def test_a_file_takes_over_nothing_that_was_made_by_hand(registry: Registry) -> None:
    await registry.add_server(server("mine"))
    remedy = "of that name was made by hand; remove it, or choose another name in the file"
    before = await registry.directory()
    for wanted, said in (
        (workspace(server("mine")), f"server demo/mine: one {remedy}"),
        (workspace(bundles=["mine"]), f"demo/mine: a server {remedy}"),
    ):
        with pytest.raises(Mistake) as wrong:
            await registry.provision(declared(workspace(slug="new"), wanted))
        assert str(wrong.value) == said
    assert await registry.directory() is before


async def test_a_server_may_become_a_bundle_of_the_same_name(registry: Registry) -> None:
    await registry.provision(declared(workspace(server("a"))))
    await registry.provision(declared(workspace(bundles=["a"])))
    found = (await registry.directory()).workspaces["demo"]
    assert (list(found.servers), list(found.bundles)) == ([], ["a"])


async def test_keys_come_in_the_same_step_with_their_references_resolved(
    registry: Registry, identity: Identity
) -> None:
    keys = (DeclaredKey("new", "ci", "${env:CI_KEY}"),)
    await registry.provision(declared(workspace(slug="new"), api_keys=keys), identity.provision)
    await identity.refresh()
    principal = await identity.verify(CI_KEY)
    assert principal is not None
    assert principal.workspaces == {"new": "member"}


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("${env:GONE}", "${env:GONE} is not set in the gateway's environment"),
        ("${env:SHORT}", "the key has 5 characters; expected at least 20"),
    ],
)
async def test_a_wrong_key_leaves_everything_as_it_was(
    registry: Registry, identity: Identity, key: str, said: str
) -> None:
    before = await registry.directory()
    with pytest.raises(Mistake) as wrong:
        await registry.provision(
            declared(workspace(server("a"), slug="new"), api_keys=(DeclaredKey("new", "ci", key),)),
            identity.provision,
        )
    assert str(wrong.value) == f"workspace 'new', API key 'ci': {said}"
    assert await registry.directory() is before
