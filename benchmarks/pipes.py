"""stdio: what the same server process does on a bare pipe, and behind the gateway.

The server runs on the load's core in both cases, the gateway alone on its own. On the bare pipe the client is as small
as one can be: it writes JSON lines, reads JSON lines and checks them.
"""

import asyncio
import json
from asyncio.subprocess import DEVNULL, PIPE
from time import perf_counter

import uvloop

from benchmarks.connection import LoadError
from benchmarks.figures import Cost, figures_of, middle
from benchmarks.load import Point, run
from benchmarks.measure import Say, Wanted
from benchmarks.messages import ECHO, HELLO, INITIALIZED, Operation, right, template
from benchmarks.processes import ROOT, on_core, pinned, python
from benchmarks.targets import GATEWAY_CORE, LOAD_CORE, VARIANTS, Upstreams, gateway

IN_FLIGHT = 16
LONGEST_LINE = 2**20
NODE = ROOT / ".tools/node_modules/.bin/node"
EVERYTHING = ROOT / ".tools/node_modules/@modelcontextprotocol/server-everything/dist/index.js"

_MESSAGE = {"name": "echo", "arguments": {"message": "hello {id}"}}
ECHO_OF_EVERYTHING = Operation("echo", "tools/call echo", "tools/call", _MESSAGE, '"Echo: hello {id}"')


def servers() -> dict[str, tuple[list[str], Operation]]:
    """The servers by name: how each is started, and what it is asked. The npm one only where `make tools` was run."""
    found = {
        "lean": (python("-m", "benchmarks.upstream", "--stdio", "legacy"), ECHO),
        "example": (python("-m", "portkey_mcp.example"), ECHO),
    }
    if NODE.exists() and EVERYTHING.exists():
        found["everything"] = ([str(NODE), str(EVERYTHING), "stdio"], ECHO_OF_EVERYTHING)
    return found


def pipes(upstreams: Upstreams, cores: bool, wanted: Wanted, say: Say) -> list[Cost]:
    """Calls a second on the bare pipe, through the gateway, and the ratio, for each server.

    Raises:
        LoadError: a server gave a wrong answer, or none.
    """
    core = LOAD_CORE if cores else None
    commands = {name: on_core(core, command) for name, (command, _) in servers().items()}
    found = []
    with gateway("gateway", VARIANTS["gateway"], upstreams, GATEWAY_CORE if cores else None, commands) as target:
        for name, (_, operation) in servers().items():
            rates: list[float] = []
            rounds = []
            for _ in range(wanted.rounds):
                with pinned(core):
                    rates.append(uvloop.run(bare_pipe(commands[name], operation, wanted)))
                    tally = uvloop.run(
                        run(
                            Point(operation, "legacy", IN_FLIGHT, target.places[name]),
                            warm_up=wanted.warm_up,
                            seconds=wanted.seconds,
                            calls=wanted.calls,
                        )
                    )
                if tally.wrong:
                    raise LoadError(f"stdio server {name}: {tally.wrong} wrong replies, like {tally.example}")
                rounds.append(figures_of(tally, None))
            bare, through = sorted(rates)[len(rates) // 2], middle(rounds).rate
            say(f"stdio {name}: {bare:,.0f}/s on a bare pipe, {through:,.0f}/s through the gateway")
            found += [
                Cost(f"pipe_{name}", f"stdio server `{name}` on a bare pipe", bare, "calls/s"),
                Cost(f"stdio_{name}", f"stdio server `{name}` through the gateway", through, "calls/s"),
                Cost(f"stdio_ratio_{name}", f"stdio server `{name}`: gateway : bare pipe", through / bare, "x"),
            ]
    return found


async def bare_pipe(command: list[str], operation: Operation, wanted: Wanted) -> float:
    """Calls a second of one server process with `IN_FLIGHT` calls in flight, after the warming up.

    Raises:
        LoadError: an answer was wrong, or the server ended.
    """
    process = await asyncio.create_subprocess_exec(
        *command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, limit=LONGEST_LINE, cwd=ROOT
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        hello = HELLO["legacy"]
        process.stdin.write(template(hello, "legacy") % 0 + b"\n")
        await _reply(process.stdout)
        process.stdin.write(INITIALIZED + b"\n")
        text = template(operation, "legacy") + b"\n"
        for ident in range(1, IN_FLIGHT + 1):
            process.stdin.write(text % (ident, ident))
        asked, counted, began = IN_FLIGHT, 0, perf_counter() + wanted.warm_up
        while (now := perf_counter()) - began < wanted.seconds and not (wanted.calls and counted >= wanted.calls):
            line = await _reply(process.stdout)
            if not right(operation, json.loads(line)["id"], line, True):
                raise LoadError(f"a wrong answer on the bare pipe: {line[:200]!r}")
            asked, counted = asked + 1, counted + (now >= began)
            process.stdin.write(text % (asked, asked))
        return counted / (perf_counter() - began)
    finally:
        process.kill()
        await process.wait()


async def _reply(stdout: asyncio.StreamReader) -> bytes:
    """The next answer; what the server tells besides is passed over."""
    while line := await stdout.readline():
        if b'"id":' in line and b'"method":' not in line:
            return line
    raise LoadError("the stdio server ended")
