"""Other gateways, as far as pip or npm installs them: the same echo on the same machine in the same run.

Each is installed on demand into `.tools/peers/` and left out, with the reason, where that fails. mcp-proxy and
supergateway put only stdio servers behind HTTP: that is another job, and the server's CPU is not counted.
"""

import json
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from benchmarks.connection import Place
from benchmarks.measure import Say
from benchmarks.pipes import NODE
from benchmarks.processes import ROOT, free_port, on_core, python, running
from benchmarks.targets import GATEWAY_CORE, LOAD_CORE, Target, Upstreams

FOLDER = ROOT / ".tools/peers"
LEAST_SECONDS = 3.0
"""Of measuring a peer: the slow ones answer some dozen calls a second."""

_FASTMCP = """
import sys
from fastmcp.server import create_proxy
create_proxy(sys.argv[1]).run(transport="http", host="127.0.0.1", port=int(sys.argv[2]), path="/mcp", log_level="error")
"""


@dataclass(frozen=True)
class Peer:
    """One gateway: how it is installed, and how it is started from where it was installed.

    `command` gets the folder, the port, the URL of the legacy upstream and the command of the stdio one. `stdio` says
    that it uses the latter, as a child of its own.
    """

    package: str
    install: Callable[[Path, str], None]
    command: Callable[[Path, int, str, list[str]], list[str]]
    stdio: bool


def _pip(folder: Path, package: str) -> None:
    _run(python("-m", "venv", str(folder)))
    _run([str(folder / "bin/python"), "-m", "pip", "install", "--quiet", package])


def _npm(folder: Path, package: str) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise RuntimeError("npm is not installed")
    _run([npm, "install", "--prefix", str(folder), "--no-audit", "--no-fund", "--loglevel=error", package])


def _run(command: list[str]) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise RuntimeError((done.stdout.strip().splitlines() or ["it failed"])[-1])


def _fastmcp(folder: Path, port: int, url: str, server: list[str]) -> list[str]:
    return [str(folder / "bin/python"), "-c", _FASTMCP, url, str(port)]


def _mcp_proxy(folder: Path, port: int, url: str, server: list[str]) -> list[str]:
    return [str(folder / "bin/mcp-proxy"), "--port", str(port), "--log-level", "ERROR", "--", *server]


def _supergateway(folder: Path, port: int, url: str, server: list[str]) -> list[str]:
    node = str(NODE) if NODE.exists() else "node"
    script = str(folder / "node_modules/supergateway/dist/index.js")
    given = ["--outputTransport", "streamableHttp", "--stateful", "--port", str(port), "--logLevel", "none"]
    return [node, script, "--stdio", shlex.join(server), *given]


PEERS = {
    "fastmcp": Peer("fastmcp", _pip, _fastmcp, stdio=False),
    "mcp-proxy": Peer("mcp-proxy", _pip, _mcp_proxy, stdio=True),
    "supergateway": Peer("supergateway", _npm, _supergateway, stdio=True),
}


def install(name: str, folder: Path = FOLDER) -> Path:
    """Install a peer unless it is there already; returns its folder.

    Raises:
        RuntimeError: it cannot be installed; says why.
    """
    place, peer = folder / name, PEERS[name]
    done = place / ".installed"
    if not done.exists():
        folder.mkdir(parents=True, exist_ok=True)
        peer.install(place, peer.package)
        done.touch()
    return place


def version(name: str, folder: Path = FOLDER) -> str:
    """The version that is installed; empty where that cannot be told."""
    place, package = folder / name, PEERS[name].package
    for found in place.glob(f"lib/python3*/site-packages/{package.replace('-', '_')}-*.dist-info"):
        return found.name.removesuffix(".dist-info").rpartition("-")[2]
    described = place / "node_modules" / package / "package.json"
    return str(json.loads(described.read_text())["version"]) if described.exists() else ""


def open_peers(upstreams: Upstreams, cores: bool, stack: ExitStack, say: Say) -> list[Target]:
    """Install and start all of them; one that cannot be is left out and named. They end with `stack`."""
    found = []
    for name in PEERS:
        say(f"peer {name}: installing and starting")
        try:
            found.append(stack.enter_context(_running(name, install(name), upstreams, cores)))
        except (RuntimeError, OSError) as error:
            say(f"peer {name} is left out: {error}")
    return found


@contextmanager
def _running(name: str, folder: Path, upstreams: Upstreams, cores: bool) -> Iterator[Target]:
    peer, port, began = PEERS[name], free_port(), perf_counter()
    server = on_core(LOAD_CORE if cores else None, python("-m", "benchmarks.upstream", "--stdio", "legacy"))
    command = peer.command(folder, port, upstreams.url("legacy"), server)
    with running(command, port, "/", GATEWAY_CORE if cores else None) as pid:
        places = {"legacy": Place(port)}
        yield Target(name, places, pid, perf_counter() - began, alone=peer.stdio, least_seconds=LEAST_SECONDS)
