"""The programs under load: the upstream itself, the bare proxy, and the gateway with this or that switched on.

Another feature of the gateway is measured by one more entry in `VARIANTS`.
"""

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from benchmarks.connection import Place
from benchmarks.messages import ERAS, HUB_SERVERS, VERSIONS, Era
from benchmarks.processes import ROOT, Usage, free_port, python, running, usage

GATEWAY_CORE, LOAD_CORE = 0, 1
RULES = 200
"""Rules of the policy, where there is one."""
LIMITED = {
    "match": "*",
    "limits": [{"calls": 10**9, "per": "day", "each": "user"}, {"calls": 10**9, "per": "month", "each": "workspace"}],
}
ACCOUNTS = 20
"""Service accounts, each with its API key. A gateway lets one of them hold no more than 1,000 sessions upstream."""


@dataclass(frozen=True)
class Variant:
    """A gateway: what is switched on. `feature` names what it shows the cost of, beside the bare one."""

    title: str
    key: bool = False
    policy: bool = False
    spans: bool = False
    limits: bool = False
    feature: str = ""


VARIANTS = {
    "gateway": Variant("gateway", key=True, policy=True, spans=True, feature="everything"),
    "untraced": Variant("gateway, no telemetry", key=True, policy=True, feature="API key and policy"),
    "key": Variant("gateway, key only", key=True, feature="API key"),
    "policy": Variant("gateway, policy only", policy=True, feature=f"policy of {RULES} rules"),
    "limits": Variant("gateway, limits only", limits=True, feature="two limits, counted on disk"),
    "spans": Variant("gateway, spans only", spans=True, feature="SERVER and CLIENT spans, exported"),
    "bare": Variant("gateway, bare"),
}
TITLES = {"direct": "direct", "proxy": "proxy"} | {name: variant.title for name, variant in VARIANTS.items()}
TARGETS = tuple(TITLES)


@dataclass(frozen=True)
class Upstreams:
    """Where the servers behind the targets are: a port for each era, and the receiver of spans."""

    ports: Mapping[Era, int]
    receiver: int

    def url(self, era: Era, path: str = "/mcp") -> str:
        """The URL of one of them."""
        return f"http://127.0.0.1:{self.ports[era]}{path}"


@dataclass(frozen=True)
class Target:
    """A program under load. `pid` is None for the upstream itself, which is no target but the ceiling.

    `places` are its endpoints by the upstream's era; the hub of such upstreams is called `hub-` and the era.
    `alone`: its children are upstreams, and not counted. `least_seconds`: a slow one is measured for longer.
    """

    name: str
    places: Mapping[str, Place]
    pid: int | None
    start: float = 0.0
    alone: bool = False
    least_seconds: float = 0.0

    def used(self) -> Usage:
        """What it has used so far."""
        return usage(self.pid, alone=self.alone) if self.pid is not None else Usage(0, 0, 0)


def open_upstreams(cores: bool, stack: ExitStack) -> Upstreams:
    """Start the upstreams and the receiver on the load's core; they end with `stack`."""
    core = LOAD_CORE if cores else None
    ports: dict[Era, int] = {era: free_port() for era in ERAS}
    for era, port in ports.items():
        stack.enter_context(running(python("-m", "benchmarks.upstream", str(port), era), port, "/", core))
    receiver = free_port()
    stack.enter_context(running(python("-m", "benchmarks.receiver", str(receiver)), receiver, "/", core))
    return Upstreams(ports, receiver)


def open_target(name: str, upstreams: Upstreams, cores: bool, stack: ExitStack) -> Target:
    """Start one target on the gateway's core; it ends with `stack`."""
    core = GATEWAY_CORE if cores else None
    if name == "direct":
        return Target(name, {str(era): Place(port) for era, port in upstreams.ports.items()}, None)
    if name == "proxy":
        return stack.enter_context(_proxy(upstreams, core))
    return stack.enter_context(gateway(name, VARIANTS[name], upstreams, core))


@contextmanager
def _proxy(upstreams: Upstreams, core: int | None) -> Iterator[Target]:
    port = free_port()
    urls = [upstreams.url(era) for era in ERAS]
    began = perf_counter()
    with running(python("-m", "benchmarks.proxy", str(port), *urls), port, "/bench/modern/mcp", core) as pid:
        places = {str(era): Place(port, f"/bench/{era}/mcp") for era in ERAS}
        yield Target("proxy", places, pid, perf_counter() - began)


@contextmanager
def gateway(
    name: str,
    variant: Variant,
    upstreams: Upstreams,
    core: int | None,
    commands: Mapping[str, list[str]] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Target]:
    """A gateway as a process of its own; `commands` are stdio servers it has besides, each a place under its name."""
    port = free_port()
    document = _document(variant, upstreams, commands or {})
    places: dict[str, Place] = {}
    for slug, workspace in document["workspaces"].items():
        keys = tuple(key["key"] for key in workspace.get("api_keys", ()))
        paths = {slug: slug} | {server: f"{slug}/{server}" for server in workspace["servers"]}
        places |= {end: Place(port, f"/{path}/mcp", keys[0] if keys else "", keys) for end, path in paths.items()}
    spans = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{upstreams.receiver}"} if variant.spans else {}
    with tempfile.TemporaryDirectory(prefix="portkey-mcp-bench-") as folder:
        config = Path(folder, "portkey.yaml")
        config.write_text(json.dumps(document))
        serve = ["serve", "--config", str(config), "--data", str(Path(folder, "data")), "--port", str(port)]
        command = python("-c", "from portkey_mcp.cli import main; main()", *serve)
        began = perf_counter()
        with running(command, port, "/readyz", core, {**spans, **(environment or {})}) as pid:
            yield Target(name, places, pid, perf_counter() - began)


def _document(variant: Variant, upstreams: Upstreams, commands: Mapping[str, list[str]]) -> dict[str, Any]:
    """The gateway's configuration: one workspace with a server of each era, and one for each era's hub."""
    servers: dict[str, Any] = {era: {"url": upstreams.url(era), "protocol": VERSIONS[era]} for era in ERAS}
    workspaces: dict[str, dict[str, Any]] = {
        "bench": {
            "servers": servers
            | {
                name: {"command": command, "cwd": str(ROOT), "protocol": VERSIONS["legacy"]}
                for name, command in commands.items()
            }
        }
    }
    for era in ERAS:
        workspaces[f"hub-{era}"] = {
            "servers": {
                f"server-{number:02}": {"url": upstreams.url(era, f"/hub/{number}/mcp"), "protocol": VERSIONS[era]}
                for number in range(HUB_SERVERS)
            }
        }
    for slug, workspace in workspaces.items():
        if variant.key:
            workspace["api_keys"] = [
                {"name": f"load-{number}", "key": f"pk_benchmark-{slug:->20}-{number}", "role": "member"}
                for number in range(ACCOUNTS)
            ]
        if variant.policy:
            workspace["policy"] = policy([*workspace["servers"]])
        if variant.limits:
            workspace["policy"] = {"version": 1, "rules": [LIMITED]}
    auth = "required" if variant.key else "none"
    return {"version": 1, "gateway": {"auth": auth}, "workspaces": workspaces}


def policy(servers: list[str]) -> dict[str, Any]:
    """A policy of `RULES` rules, a quarter of them about the servers that are measured; none hides what is called."""
    others = ["files", "github", "linear", "search", "wiki", "mail", "calendar", "billing"]
    rules: list[dict[str, Any]] = []
    for number in range(RULES):
        server = servers[number // 4 % len(servers)] if number % 4 == 0 else others[number % len(others)]
        match = f"{server}/delete_{number}" if number % 3 else f"{server}/remove_{number}_*"
        rule: dict[str, Any] = {"match": match, "enabled": False}
        rules.append(rule | ({"for": {"roles": ["viewer", "member"]}} if number % 5 == 0 else {}))
    return {"version": 1, "rules": rules}
