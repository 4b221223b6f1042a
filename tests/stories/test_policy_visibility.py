"""Hidden is uncallable, and what is listed can be called: at every door, under every name, for any policy."""

from collections.abc import Iterable
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portkey_mcp.gateway.naming import exposed, exposed_uri
from portkey_mcp.model import Bundle, Era, Principal
from portkey_mcp.policy.document import parse
from portkey_mcp.wire import Json
from tests.gateway.house import House, house
from tests.gateway.memory_link import Asked, MemoryLink, error

LONG = "x" * 70
TOOLS = ("read", "Read", "write", "delete_all", LONG)
URIS = ("file:///a", "file:///secret/b", "file:///A")
ANNOTATED: Json = {"read": {"readOnlyHint": True}, "write": {"readOnlyHint": False}}
WHO = {
    "member": Principal("m", "m", "person", {"team": "member"}, ("g",)),
    "viewer": Principal("v", "v", "person", {"team": "viewer"}),
}

PATTERNS = (
    *("*", "alpha/*", "alpha/read", "*/write", "alpha/*e*", f"alpha/{LONG}", "alpha/[Rr]ead", "al?ha/r*"),
    *("prompt:*", "prompt:alpha/write", "resource:*", "resource:alpha/file:///secret/*", "resource:alpha/file:///a"),
)
WHOM = st.sampled_from([{}, {"roles": ["viewer"]}, {"roles": ["member"]}, {"groups": ["g"]}, {"people": ["v"]}])


@st.composite
def rules(draw: Any) -> Json:
    whom = draw(WHOM)
    rule: Json = {"match": draw(st.sampled_from(PATTERNS)), **({"for": whom} if whom else {})}
    kind = draw(st.sampled_from(["enabled", "enabled", "enabled", "read_only", "rename", "redact", "timeout"]))
    if kind == "rename":
        name = draw(st.sampled_from([*TOOLS, "new_name", "y" * 80]))
        return {**rule, "match": f"alpha/{draw(st.sampled_from(TOOLS))}", "rename": name}
    if kind == "read_only":
        return {**rule, "match": "alpha/*", "read_only": draw(st.booleans())}
    values = {"enabled": draw(st.booleans()), "redact": ["email"], "timeout": "10s"}
    return {**rule, kind: values[kind]}


DOCUMENTS = st.lists(rules(), max_size=6)


def upstream(era: Era) -> MemoryLink:
    """A server that answers a call of what it has, and refuses all else."""
    link = MemoryLink("alpha", era)
    link.on(
        "tools/list", {"tools": [{"name": n, "inputSchema": {}, "annotations": ANNOTATED.get(n, {})} for n in TOOLS]}
    )
    link.on("prompts/list", {"prompts": [{"name": name} for name in TOOLS]})
    link.on("resources/list", {"resources": [{"uri": uri, "name": uri} for uri in URIS]})

    async def call(asked: Asked) -> Json:
        if (asked.params or {})["name"] not in TOOLS:
            raise error(-32602, f"Unknown tool: {(asked.params or {})['name']}")
        return {"content": [], "called": (asked.params or {})["name"]}

    async def read(asked: Asked) -> Json:
        if (asked.params or {})["uri"] not in URIS:
            raise error(-32002, "Resource not found")
        return {"contents": []}

    async def complete(asked: Asked) -> Json:
        ref = (asked.params or {})["ref"]
        if ref.get("name") not in TOOLS and ref.get("uri") not in URIS:
            raise error(-32602, "Unknown reference")
        return {"completion": {"values": ["leak"]}}

    link.on("tools/call", call)
    link.on("prompts/get", call)
    link.on("resources/read", read)
    link.on("resources/subscribe", {})
    link.on("completion/complete", complete)
    return link


BUNDLE = Bundle("team", "some", "Some", ("alpha/*e*", "prompt:alpha/*", "resource:alpha/*"))
DOORS = ("alpha", "", "some")


async def listed(served: House, method: str, at: str, who: Principal, era: Era) -> list[str]:
    member = {"tools/list": "tools", "prompts/list": "prompts", "resources/list": "resources"}[method]
    things = (await served.answer(method, at=at, principal=who, era=era))["result"][member]
    return [thing["uri" if member == "resources" else "name"] for thing in things]


async def passes(served: House, method: str, params: Json, at: str, who: Principal, era: Era) -> bool:
    return "result" in await served.answer(method, params, at=at, principal=who, era=era)


def spellings(names: Iterable[str]) -> set[str]:
    """Every name by which somebody may try a tool: its own, other cases, with marks of servers, shortened ones."""
    own = {*names, "new_name", "y" * 80}
    cased = {name.upper() for name in own} | {name.swapcase() for name in own}
    marked = {exposed("alpha", name) for name in own | cased} | {f"alpha__{name}" for name in own}
    return own | cased | marked | {name[:64] for name in marked} | {f" {name}" for name in own} | {"alpha/read", ""}


async def tools_agree(served: House, who: Principal, era: Era) -> None:
    for at in DOORS:
        shown = await listed(served, "tools/list", at, who, era)
        assert len(set(shown)) == len(shown)
        for name in spellings(TOOLS):
            called = await passes(served, "tools/call", {"name": name, "arguments": {}}, at, who, era)
            assert called == (name in shown), (at, name, shown)


async def the_rest_agrees(served: House, who: Principal, era: Era) -> None:
    for at in DOORS:
        prompts = await listed(served, "prompts/list", at, who, era)
        for name in {*TOOLS, *(exposed("alpha", name) for name in TOOLS)}:
            assert await passes(served, "prompts/get", {"name": name}, at, who, era) == (name in prompts), (at, name)
            if name not in prompts:
                ref = {"ref": {"type": "ref/prompt", "name": name}, "argument": {"name": "a", "value": ""}}
                assert not await passes(served, "completion/complete", ref, at, who, era)
            if name in TOOLS and name not in prompts:
                alien = {"ref": {"type": "alien", "name": name, "uri": "file:///a"}, "argument": {}}
                assert not await passes(served, "completion/complete", alien, at, who, era)
        resources = await listed(served, "resources/list", at, who, era)
        for uri in {*URIS, *(exposed_uri("alpha", uri) for uri in URIS)}:
            assert await passes(served, "resources/read", {"uri": uri}, at, who, era) == (uri in resources), (at, uri)


@pytest.mark.parametrize("era", ["legacy", "modern"])
@settings(max_examples=30, deadline=None)
@given(document=DOCUMENTS, who=st.sampled_from(sorted(WHO)))
def test_what_is_listed_is_exactly_what_can_be_called(era: Era, document: list[Json], who: str) -> None:
    async def agree() -> None:
        policy = parse({"version": 1, "rules": document})
        async with house(upstream(era), policy=policy, bundles=[BUNDLE]) as served:
            await tools_agree(served, WHO[who], era)
            await the_rest_agrees(served, WHO[who], era)

    anyio.run(agree)


ALIASES = (
    "FILE:///secret/b",
    "file://localhost/secret/b",
    "file://elsewhere/secret/b",
    "file:///secret/./b",
    "file:///x/../secret/b",
    "file:///%73ecret/b",
    "file:///%2573ecret/b",
    "file:///secret/b?x=1",
    "file:///secret/b#part",
    "file:////secret//b",
    "file:\\\\\\secret\\b",
)


@pytest.mark.parametrize("uri", ALIASES)
def test_no_other_spelling_of_a_uri_opens_what_is_denied(uri: str) -> None:
    async def agree() -> None:
        policy = parse({"rules": [{"match": "resource:alpha/file:///secret/*", "enabled": False}]})
        async with house(upstream("modern"), policy=policy, bundles=[BUNDLE]) as served:
            for at, name in (("alpha", uri), ("", exposed_uri("alpha", uri)), ("some", exposed_uri("alpha", uri))):
                for method in ("resources/read", "resources/subscribe"):
                    answer = await served.answer(method, {"uri": name}, at=at, era="legacy")
                    assert answer["error"]["code"] == -32002, (method, name)

    anyio.run(agree)


@pytest.mark.parametrize("at", DOORS)
def test_a_task_is_hidden_as_soon_as_its_tool_is(at: str) -> None:
    name = "read" if at == "alpha" else "alpha__read"
    tasks = {"extensions": {"io.modelcontextprotocol/tasks": {}}}

    async def agree() -> None:
        link = upstream("modern")
        link.on("tools/call", {"resultType": "task", "taskId": "t-1", "status": "working"})
        link.on("tasks/get", {"resultType": "complete", "taskId": "t-1", "status": "working"})
        policy = parse({"rules": [{"match": "alpha/write", "enabled": False}]})
        async with house(link, policy=policy, bundles=[BUNDLE]) as served:

            async def get(task: str) -> Json:
                return await served.answer("tasks/get", {"taskId": task}, at=at, capabilities=tasks)

            begun = await served.answer("tools/call", {"name": name, "arguments": {}}, at=at, capabilities=tasks)
            task = begun["result"]["taskId"]
            assert "result" in await get(task)
            object.__setattr__(served.workspace, "policy", parse({"rules": [{"match": "alpha/r*", "enabled": False}]}))
            assert (await get(task))["error"]["message"].startswith("Unknown task")
            assert "error" in await get("t-2")

    anyio.run(agree)
