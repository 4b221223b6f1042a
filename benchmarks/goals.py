"""What the figures should be, and whether they are: one entry for each goal, judged from one run's report."""

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.figures import Report
from benchmarks.messages import ERAS, Era
from benchmarks.peers import PEERS

Measured = Callable[[Report], float | None]


@dataclass(frozen=True)
class Goal:
    """One promise. `measured` finds its figure in a report; None: it was not measured in this run."""

    title: str
    goal: float
    unit: str
    measured: Measured
    at_most: bool = False

    def met(self, value: float) -> bool:
        """Whether the figure is what it should be."""
        return value <= self.goal if self.at_most else value >= self.goal


def _other(era: Era) -> Era:
    return ERAS[1 - ERAS.index(era)]


def _least(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return min(known) if known and len(known) == len(values) else None


def _most(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return max(known) if known and len(known) == len(values) else None


def against_proxy(operation: str, target: str, *, across: bool, clients: int = 16) -> Measured:
    """Calls per CPU second, divided by the bare proxy's for the same client; the worse of the two client eras."""

    def measured(report: Report) -> float | None:
        ratios: list[float | None] = []
        for client in ERAS:
            mine = report.cpu(operation, client, _other(client) if across else client, clients, target)
            bare = report.cpu(operation, client, client, clients, "proxy")
            ratios.append(bare / mine if bare and mine else None)
        return _least(ratios)

    return measured


def against_peer(names: tuple[str, ...]) -> Measured:
    """Calls per CPU second, divided by those of the best of these peers."""

    def measured(report: Report) -> float | None:
        mine = report.cpu("echo", "legacy", "legacy", 16, "gateway")
        costs = [cost for name in names if (cost := report.cpu("echo", "legacy", "legacy", 16, name))]
        return min(costs) / mine if mine and costs else None

    return measured


def rate(operation: str) -> Measured:
    """Calls a second at 16 in flight; the slower era."""

    def measured(report: Report) -> float | None:
        found = [report.find(operation, era, era, 16, "gateway") for era in ERAS]
        return _least([figures.rate if figures else None for figures in found])

    return measured


def added_p50(report: Report) -> float | None:
    """Milliseconds that the gateway adds to the upstream's own, one call at a time; the worse era."""
    pairs = [[report.find("echo", era, era, 1, name) for name in ("gateway", "direct")] for era in ERAS]
    return _most([mine.p50 - bare.p50 if mine and bare else None for mine, bare in pairs])


def tail(report: Report) -> float | None:
    """p99 : p50 at 64 in flight; the worse era."""
    found = [report.find("echo", era, era, 64, "gateway") for era in ERAS]
    return _most([figures.p99 / figures.p50 if figures and figures.p50 else None for figures in found])


def cost(*names: str) -> Measured:
    """The highest of these single figures."""
    return lambda report: _most([report.cost(name) for name in names])


GOALS = (
    Goal(
        "echo, everything on, same era: gateway : proxy",
        0.5,
        "x",
        against_proxy("echo", "gateway", across=False),
    ),
    Goal("echo, everything on, across eras", 0.5, "x", against_proxy("echo", "gateway", across=True)),
    Goal("echo, no telemetry, same era", 0.75, "x", against_proxy("echo", "untraced", across=False)),
    Goal("echo, no telemetry, across eras", 0.75, "x", against_proxy("echo", "untraced", across=True)),
    Goal("100 KB result, same era", 0.5, "x", against_proxy("large", "gateway", across=False)),
    Goal("100 KB result, across eras", 0.5, "x", against_proxy("large", "gateway", across=True)),
    Goal("calls per CPU second : fastest peer", 2.5, "x", against_peer(tuple(PEERS))),
    Goal("calls per CPU second : FastMCP's proxy", 100, "x", against_peer(("fastmcp",))),
    Goal("added p50, one in flight", 0.7, "ms", added_p50, at_most=True),
    Goal("p99 : p50, 64 in flight", 4, "x", tail, at_most=True),
    Goal("tools/list of 100 tools", 3_000, "/s", rate("list")),
    Goal("tools/list of a hub of 20 x 50", 500, "/s", rate("hub")),
    Goal("connect + list + call cycles", 200, "/s", rate("cycle")),
    Goal("memory after the first call", 120, "MiB", cost("idle_rss"), at_most=True),
    Goal("10,000 live legacy sessions", 50, "MiB", cost("sessions_legacy", "sessions_modern"), at_most=True),
    Goal("growth over 500,000 calls (none: less than 5)", 5, "MiB", cost("growth"), at_most=True),
    Goal("slow call, 1,000 at once : echo, CPU (explained: less than 1.5)", 1.5, "x", cost("slow_ratio"), at_most=True),
    Goal("2,000 idle listen streams: CPU", 1, "%", cost("streams_modern", "streams_legacy"), at_most=True),
    Goal("a decision of policy, 200 rules, 500 tools", 20, "µs", cost("decision", "decision_first"), at_most=True),
    Goal("stdio, a server on the Python SDK: gateway : bare pipe", 0.5, "x", cost("stdio_ratio_example")),
    Goal("stdio, server-everything on Node: gateway : bare pipe", 0.5, "x", cost("stdio_ratio_everything")),
)
