"""The programs of a run: started on a core of their own, watched through /proc, ended with the run. Linux only."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

READY = 30.0
"""Seconds a program may take until it listens."""

_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Usage:
    """What a program and its children have used: processor seconds so far, and their peak memory in MiB."""

    cpu: float
    peak: float


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
def running(command: list[str], port: int, path: str, core: int | None) -> Iterator[int]:
    """Start a program on a core, wait until it answers `GET path`, and end it; yields its process id.

    Raises:
        RuntimeError: it ended, or did not answer in time; carries what it printed.
    """
    with tempfile.TemporaryFile() as output:
        with pinned(core):
            process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, cwd=_ROOT)
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


_ROOT = Path(__file__).parent.parent


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


def usage(pid: int) -> Usage:
    """What a program and all its descendants have used, those included that have ended and been waited for."""
    parents = {int(path.name): stat for path in Path("/proc").glob("[0-9]*") if (stat := _stat(path))}
    family, found = [pid], set[int]()
    while family:
        member = family.pop()
        found.add(member)
        family += [child for child, stat in parents.items() if int(stat[1]) == member and child not in found]
    alive = [parents[member] for member in found if member in parents]
    ticks = sum(int(ticks) for stat in alive for ticks in stat[11:15])
    return Usage(ticks / _TICK, sum(_peak(member) for member in found) / 1024)


def _stat(process: Path) -> list[str]:
    """The fields of /proc/PID/stat from the state on (proc(5): field 3 is number 0 here)."""
    try:
        return (process / "stat").read_text().rpartition(") ")[2].split()
    except OSError:
        return []


def _peak(pid: int) -> int:
    """VmHWM in KiB."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0)


def python(*arguments: str) -> list[str]:
    """A command of this Python."""
    return [sys.executable, *arguments]
