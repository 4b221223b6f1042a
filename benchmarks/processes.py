"""The programs of a run: started on a core of their own, watched through /proc, ended with the run. Linux only."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

READY = 30.0
"""Seconds a program may take until it listens."""

ROOT = Path(__file__).parent.parent
_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Usage:
    """What a program has used: processor seconds so far, its memory now and at its peak, in MiB."""

    cpu: float
    peak: float
    rss: float


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def pinned(core: int | None) -> Iterator[None]:
    """While open, this process and what it starts runs on one core; None leaves it as it is."""
    before = os.sched_getaffinity(0)
    if core is not None:
        os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def running(
    command: list[str], port: int, path: str, core: int | None, environment: Mapping[str, str] | None = None
) -> Iterator[int]:
    """Start a program on a core, wait until it answers `GET path`, and end it; yields its process id.

    `environment` is added to that of this process, from which everything about OpenTelemetry is taken away.

    Raises:
        RuntimeError: it ended, or did not answer in time; carries what it printed.
    """
    with tempfile.TemporaryFile() as output:
        with pinned(core):
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                env=_quiet() | dict(environment or {}),
            )
        try:
            _wait_for_answer(process, port, path)
            yield process.pid
        except TimeoutError as error:
            output.seek(0)
            raise RuntimeError(f"{error}: {output.read().decode(errors='replace')[-2000:]}") from None
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _quiet() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "PORTKEY_MCP_"))}


def _wait_for_answer(process: subprocess.Popen[bytes], port: int, path: str) -> None:
    end = time.monotonic() + READY
    while time.monotonic() < end and process.poll() is None:
        if _answers(port, path):
            return
        time.sleep(0.02)
    raise TimeoutError("the program ended" if process.poll() is not None else "the program does not answer")


def _answers(port: int, path: str) -> bool:
    """Whether anything but "not yet" comes back."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=READY) as probe:
            probe.sendall(f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n".encode())
            status = probe.recv(64).split(b" ")
    except OSError:
        return False
    return len(status) > 1 and status[1] != b"503"


def usage(pid: int, *, alone: bool = False) -> Usage:
    """What a program and all its descendants have used, those included that have ended and been waited for.

    `alone` leaves the descendants out: a stdio server is a child of the gateway that is measured.
    """
    if alone:
        stat = _stat(Path("/proc", str(pid)))
        return Usage(sum(int(ticks) for ticks in stat[11:13]) / _TICK, _memory(pid, "VmHWM"), _memory(pid, "VmRSS"))
    parents = {int(path.name): stat for path in Path("/proc").glob("[0-9]*") if (stat := _stat(path))}
    family, found = [pid], set[int]()
    while family:
        member = family.pop()
        found.add(member)
        family += [child for child, stat in parents.items() if int(stat[1]) == member and child not in found]
    alive = [parents[member] for member in found if member in parents]
    ticks = sum(int(ticks) for stat in alive for ticks in stat[11:15])
    peak, rss = (sum(_memory(member, name) for member in found) for name in ("VmHWM", "VmRSS"))
    return Usage(ticks / _TICK, peak, rss)


def _stat(process: Path) -> list[str]:
    """The fields of /proc/PID/stat from the state on (proc(5): field 3 is number 0 here)."""
    try:
        return (process / "stat").read_text().rpartition(") ")[2].split()
    except OSError:
        return []


def _memory(pid: int, name: str) -> float:
    """VmHWM (the peak) or VmRSS (now) in MiB; 0 for a process that is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{name}:")), 0)


def on_core(core: int | None, command: list[str]) -> list[str]:
    """The command, to run on a core of its own whatever the core of the program that starts it."""
    if core is None:
        return command
    move = "import os, sys; os.sched_setaffinity(0, {int(sys.argv[1])}); os.execvp(sys.argv[2], sys.argv[2:])"
    return python("-c", move, str(core), *command)


def python(*arguments: str) -> list[str]:
    """A command of this Python."""
    return [sys.executable, *arguments]
