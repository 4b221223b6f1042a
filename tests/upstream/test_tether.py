"""The tether: no server outlives its gateway, however the gateway ended."""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from portkey_mcp.upstream import tether
from tests.upstream.children import SCRIPT, is_running, until_gone

pytestmark = pytest.mark.anyio

TETHER = Path(tether.__file__)
ROOT = Path(__file__).parents[2]


def tethered(*command: str, **pipes: int) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-I", "-S", str(TETHER), *command], **pipes)  # type: ignore[call-overload,no-any-return]


def gateway_to_kill(*arguments: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "tests.upstream.killed_gateway", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT)


async def ended(process: "subprocess.Popen[bytes]") -> int:
    with anyio.fail_after(15):
        return await anyio.to_thread.run_sync(process.wait)


@pytest.mark.parametrize("loop", ["--asyncio", "--uvloop"])
async def test_killing_the_gateway_leaves_no_server_behind(loop: str) -> None:
    with gateway_to_kill(loop) as gateway:
        assert gateway.stdout is not None
        pid = int(await anyio.to_thread.run_sync(gateway.stdout.readline))
        assert is_running(pid)

        gateway.send_signal(signal.SIGKILL)

    await until_gone(pid)


async def test_the_server_speaks_through_it_and_its_exit_code_is_passed_on() -> None:
    code = "import sys; print(sys.stdin.readline().upper(), end=''); print('err', file=sys.stderr); sys.exit(7)"
    with tethered(
        sys.executable, "-c", code, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        out, err = process.communicate(b"hello\n")

    assert (out, err, process.returncode) == (b"HELLO\n", b"err\n", 7)


def test_it_holds_no_second_end_of_a_pipe_open() -> None:
    """Else a server that closes its stdout and stays would not be noticed."""
    read, write = os.pipe()
    code = "import os, sys; os.close(1); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-I", "-S", str(TETHER), sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=write,
        pass_fds=[write],
    ) as process:
        os.close(write)
        assert select.select([read], [], [], 15)[0]
        assert os.read(read, 1) == b""
        os.close(read)
        assert process.poll() is None
        assert process.stdin is not None
        process.stdin.close()


async def test_a_server_that_a_signal_ended_says_so() -> None:
    code = "import os; os.kill(os.getpid(), 9)"
    with tethered(sys.executable, "-c", code, stdin=subprocess.PIPE) as process:
        assert await ended(process) == 128 + 9


async def test_a_program_that_does_not_exist_is_named() -> None:
    with tethered("no-such-program", stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        _, err = process.communicate()

    assert process.returncode == 127
    assert b"no-such-program: No such file or directory" in err


async def test_sigterm_is_passed_on() -> None:
    with tethered(sys.executable, str(SCRIPT), "stays", stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b'{"id": 1, "method": "ping"}\n')
        process.stdin.flush()
        await anyio.to_thread.run_sync(process.stdout.readline)

        process.terminate()

        assert await ended(process) == 128 + signal.SIGTERM


async def test_the_end_of_stdin_ends_a_server_that_will_not_leave_and_all_it_started() -> None:
    code = """
import signal, subprocess, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import signal; signal.signal(15, signal.SIG_IGN); signal.pause()"])
print(child.pid, flush=True)
child.wait()
"""
    with tethered(sys.executable, "-c", code, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        grandchild = int(await anyio.to_thread.run_sync(process.stdout.readline))

        process.stdin.close()

        assert await ended(process) == 128 + signal.SIGKILL
    await until_gone(grandchild)
