"""One run: programs started, everything asked for measured, programs ended."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace

import uvloop

from benchmarks.connection import LoadError
from benchmarks.decisions import decisions
from benchmarks.figures import Cost, Report
from benchmarks.load import whole_hub
from benchmarks.measure import PLAN, Planned, Say, Wanted, measure
from benchmarks.messages import ECHO, ERAS, HUB_SERVERS, HUB_TOOLS
from benchmarks.peers import open_peers, version
from benchmarks.pipes import pipes
from benchmarks.processes import pinned
from benchmarks.spans import arriving
from benchmarks.standing import Scale, at_rest, growth, idle_streams, sessions, waiting
from benchmarks.targets import (
    GATEWAY_CORE,
    LOAD_CORE,
    VARIANTS,
    Target,
    Upstreams,
    gateway,
    open_target,
    open_upstreams,
)

PARTS = ("calls", "standing", "stdio", "decisions")


def run_all(wanted: Wanted, parts: Sequence[str], scale: Scale, peers: bool, cores: bool, say: Say) -> Report:
    """Measure the parts that are wanted, each on programs of its own.

    Raises:
        RuntimeError: a program did not start.
        LoadError: a program broke off, or gave an answer that leaves nothing to measure.
    """
    report = Report()
    with ExitStack() as stack:
        upstreams = open_upstreams(cores, stack)
        stack.enter_context(pinned(LOAD_CORE if cores else None))
        if "calls" in parts:
            _calls(report, wanted, upstreams, peers, cores, say)
        if "standing" in parts:
            _standing(report, wanted, scale, upstreams, cores, say)
        if "stdio" in parts:
            report.costs.extend(pipes(upstreams, cores, wanted, say))
        if "decisions" in parts:
            report.costs.extend(decisions())
    return report


def _calls(report: Report, wanted: Wanted, upstreams: Upstreams, peers: bool, cores: bool, say: Say) -> None:
    with ExitStack() as stack:
        targets = [open_target(name, upstreams, cores, stack) for name in wanted.targets]
        for target in targets:
            if target.name in VARIANTS:
                _check_hub(target)
        others = open_peers(upstreams, cores, stack, say) if peers else []
        report.versions.update({peer.name: version(peer.name) for peer in others})
        plan = with_peers(PLAN, [peer.name for peer in others])
        targets += others
        report.rows.extend(measure(wanted, targets, plan, say))
        for target in targets:
            if target.pid is not None:
                report.memory[target.name], report.start[target.name] = target.used().peak, target.start


def with_peers(plan: Sequence[Planned], names: Sequence[str]) -> list[Planned]:
    """The plan with peers at one point of it: the legacy echo at 16 in flight."""
    return [
        replace(planned, targets=(*planned.targets, *names))
        if (planned.operation, planned.client, planned.upstream, planned.clients) == (ECHO, "legacy", "legacy", 16)
        else planned
        for planned in plan
    ]


def _check_hub(target: Target) -> None:
    """The hub's pages together must hold every tool: what is measured later is only the first page."""
    for era in ERAS:
        tools, pages = uvloop.run(whole_hub(target.places[f"hub-{era}"], era))
        if tools != HUB_SERVERS * HUB_TOOLS:
            raise LoadError(f"{target.name}: the hub listed {tools} tools on {pages} pages")


def _standing(report: Report, wanted: Wanted, scale: Scale, upstreams: Upstreams, cores: bool, say: Say) -> None:
    def start(name: str = "gateway") -> AbstractContextManager[Target]:
        return gateway(name, VARIANTS[name], upstreams, GATEWAY_CORE if cores else None)

    asked: list[tuple[str, Callable[[], list[Cost]]]] = [
        ("start and memory", lambda: at_rest(start, lambda: start("bare"))),
        ("whether spans arrive", lambda: arriving(start(), upstreams.receiver, wanted.seconds)),
    ]
    sized: list[tuple[str, Callable[[], list[Cost]]]] = [
        (f"{scale.sessions:,} sessions", lambda: sessions(start, scale)),
        (f"{scale.calls:,} calls", lambda: growth(start, scale)),
        (f"{scale.waiting:,} slow calls", lambda: waiting(start, scale)),
        (f"{scale.streams:,} idle streams", lambda: idle_streams(start, scale)),
    ]
    for title, ask in [*asked, *sized]:
        say(f"measuring {title} ...")
        for cost in ask():
            say(f"  {cost.title}: {cost.value:,.2f} {cost.unit}")
            # What was measured on a smaller scale is not what a goal is about.
            small = (title, ask) in sized and scale != Scale()
            report.costs.append(replace(cost, name=f"small_{cost.name}") if small else cost)
