"""A gateway with a policy in front of a server that does as a test says, and clients with roles, in both eras."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import httpx2

from tests.stories.gateway import Gateway, gateway
from tests.stories.house import document
from tests.stories.raw_client import Json, RawClient, raw_http
from tests.stories.raw_upstream import PATIENCE, RawUpstream, raw_upstream
from tests.stories.raw_upstream_script import LEGACY_HELLO, MODERN_HELLO, answers

ERAS = ("legacy", "modern")

KEYS = {role: f"pk_{role}_{'0' * 24}" for role in ("admin", "member", "viewer")}
"""An API key for each role, called as its role is."""

ABLE: Json = {"tools": {"listChanged": True}, "prompts": {}, "resources": {}, "completions": {}, "logging": {}}

OBJECT: Json = {"type": "object"}


def tool(name: str, **more: Any) -> Json:
    """A tool's definition."""
    return {"name": name, "description": f"The {name} tool.", "inputSchema": OBJECT, **more}


def text(words: str, **more: Any) -> Json:
    """A tool's result."""
    return {"content": [{"type": "text", "text": words}], **more}


@dataclass
class Scripted:
    """What the server offers and answers, to be changed by a test while it runs.

    `calls` maps a tool's name to its result, or to what makes one of the call's params; a result `{"first": …}` is told
    to the raw upstream as it is (see `raw_upstream_script`).
    """

    tools: list[Json] = field(default_factory=lambda: [tool("echo"), tool("other")])
    prompts: list[Json] = field(
        default_factory=lambda: [{"name": n} for n in ("greet", *(f"mark-{i}" for i in range(9)))]
    )
    resources: list[Json] = field(default_factory=lambda: [{"uri": "file:///a", "name": "a"}])
    calls: dict[str, Json | Callable[[Json], Json]] = field(default_factory=dict)
    instructions: str = "Say it."

    def __call__(self, message: Json, era: str) -> list[Json]:
        """The messages of one answer."""
        method, params = message["method"], message.get("params") or {}
        lists: dict[str, Json] = {
            "tools/list": {"tools": self.tools},
            "prompts/list": {"prompts": self.prompts},
            "resources/list": {"resources": self.resources},
            "resources/templates/list": {"resourceTemplates": []},
        }
        if era == "legacy":
            lists["initialize"] = {**LEGACY_HELLO, "capabilities": ABLE, "instructions": self.instructions}
        else:
            discovered = {**MODERN_HELLO, "capabilities": ABLE, "ttlMs": 0, "instructions": self.instructions}
            lists["server/discover"] = discovered
        found: Any = lists.get(method)
        if method == "tools/call":
            found = self.calls.get(params["name"], text(json.dumps(params.get("arguments"))))
        elif method == "prompts/get":
            found = self.calls.get("prompt", {"messages": []})
        elif method == "resources/read":
            found = self.calls.get("resource", {"contents": [{"uri": params["uri"], "text": "it"}]})
        if found is None:
            return answers(message, era)
        result = found(params) if callable(found) else found
        if "say" in result:
            return answers({**message, "params": {**params, "say": result["say"]}}, era)
        if era == "modern":
            result = {"resultType": "complete", **result}
        return [{"jsonrpc": "2.0", "id": message["id"], "result": result}]

    def told(self, message: Json) -> Json:
        """How a call is to be answered, where its result says that."""
        params = message.get("params") or {}
        found: Any = self.calls.get(params.get("name", "")) if message.get("method") == "tools/call" else None
        result = found(params) if callable(found) else found
        say: Json = (result or {}).get("say", {})
        return say


@dataclass
class PolicyHouse:
    """The gateway with one workspace, `team`, and one server, `files`, behind it."""

    gateway: Gateway
    upstream: RawUpstream
    script: Scripted
    http: httpx2.AsyncClient
    _more: Json
    _governed: int = 0

    async def client(
        self, era: str, role: str = "member", *, at: str = "files", capabilities: Json | None = None
    ) -> RawClient:
        """A client with a role that has said hello at the server, at a bundle, or (empty) at the hub."""
        client = RawClient(self.http, self.gateway.at(*filter(None, ("team", at))), era, KEYS[role])
        client.capabilities = capabilities or {}
        await client.hello(capabilities)
        return client

    def called(self, name: str = "echo") -> list[Json]:
        """The params of each call of a tool that reached the server."""
        return [m["params"] for m in self.upstream.requests("tools/call") if m["params"]["name"] == name]

    async def govern(self, *rules: Json, **more: Any) -> None:
        """Save another policy in the watched file, and return when the gateway serves by it."""
        assert self.gateway.config is not None
        # One more prompt is hidden each time: the list shows when the new policy is in force.
        self._governed += 1
        mark = f"mark-{self._governed}"
        marked = [*rules, {"match": f"prompt:files/{mark}", "enabled": False}]
        self.gateway.config.write_text(policed(self.upstream.url, marked, more, self._more))
        admin = await self.client("modern", "admin")
        with anyio.fail_after(PATIENCE):
            while mark in [prompt["name"] for prompt in (await admin.call("prompts/list")).answer["result"]["prompts"]]:
                await anyio.lowlevel.checkpoint()


def policed(url: str, rules: Any, policy: Json, workspace: Json) -> str:
    """The text of a `portkey.yaml` with this policy."""
    keys = [{"name": role, "key": key, "role": role} for role, key in KEYS.items()]
    part = {
        "servers": {"files": {"url": url}},
        "api_keys": keys,
        "policy": {"version": 1, "rules": list(rules), **policy},
    }
    return document({"team": {**part, **workspace}})


@asynccontextmanager
async def policy_house(
    data: Path, era: str, *rules: Json, script: Scripted | None = None, workspace: Json | None = None, **policy: Any
) -> AsyncIterator[PolicyHouse]:
    """Everything, until the block ends. `era` is the server's; `policy` holds members of the document beside rules."""
    script = script or Scripted()
    settings = {name: policy.pop(name) for name in ("trusted_proxies", "call_timeout_seconds") if name in policy}
    async with raw_upstream(era) as upstream, raw_http() as http:
        upstream.script, upstream.told = script, script.told
        written = policed(upstream.url, rules, policy, workspace or {})
        async with gateway(written, data, **settings) as running:
            yield PolicyHouse(running, upstream, script, http, workspace or {})


def said(answer: Json) -> str:
    """The text of a result."""
    return "\n".join(block.get("text", "") for block in answer["result"]["content"])


def refused(answer: Json) -> Json:
    """What a program learns of a refusal that a model can read."""
    assert answer["result"]["isError"] is True, answer
    facts: Json = answer["result"]["_meta"]["com.portkey-mcp/error"]
    return facts
