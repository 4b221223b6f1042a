"""Stands between the gateway and one stdio server, so that no server outlives a gateway that was killed.

Run by path, with nothing but the standard library: `python -I -S tether.py COMMAND [ARGUMENT…]`. The server inherits
stdin, stdout and stderr untouched. That the gateway is gone, for whatever reason, shows as the end of stdin, which the
kernel closes even after kill -9; no parent-death signal, and none of its races, is needed. The same end of stdin is how
a living gateway says stop. Then: a grace to leave by itself, SIGTERM, SIGKILL, to the server's whole process group.
SIGTERM to the tether is forwarded.
Ends with the server's exit code, 128 + N where signal N ended it, 127 where it could not be started.
"""

import contextlib
import os
import select
import signal
import subprocess
import sys
import threading

LEAVE_GRACE = 2.0
"""Seconds a server has to leave after its stdin ended (S25 basic/lifecycle, shutdown), as in the SDK."""
TERMINATE_GRACE = 2.0
"""Seconds between SIGTERM and SIGKILL, as in the SDK."""


def main(command: list[str]) -> int:
    """Run the server to its end; returns the exit code."""
    _close_the_rest()
    stopped: list[int] = []  # SIGTERM may come before there is anybody to forward it to
    signal.signal(signal.SIGTERM, lambda number, _: stopped.append(number))
    try:
        server = subprocess.Popen(command, process_group=0)  # noqa: S603 - the command is what an admin registered
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)
        return 127
    # The server's end must show as the end of its stdout: nobody else may hold the pipe open.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    signal.signal(signal.SIGTERM, lambda *_: _signal_group(server.pid, signal.SIGTERM))
    if stopped:
        _signal_group(server.pid, signal.SIGTERM)
    ended = threading.Event()
    threading.Thread(target=_await_end_of_stdin, args=(server.pid, ended), daemon=True).start()
    # Without reaping it: as long as the zombie holds the pid, the group's number cannot become somebody else's.
    os.waitid(os.P_PID, server.pid, os.WEXITED | os.WNOWAIT)
    ended.set()
    _signal_group(server.pid, signal.SIGKILL)
    code = server.wait()
    return code if code >= 0 else 128 - code


def _close_the_rest() -> None:
    """Whatever else was inherited: uvloop leaves second ends of the three pipes open, which would hide their end."""
    for name in os.listdir("/dev/fd"):
        if int(name) > 2:
            with contextlib.suppress(OSError):  # the one that the list was read with is closed already
                os.close(int(name))


def _await_end_of_stdin(group: int, ended: threading.Event) -> None:
    """Then end the group, step by step."""
    stdin = select.poll()
    stdin.register(0, 0)  # no event asked for: POLLHUP and POLLERR come unasked, and data is the server's to read
    stdin.poll()
    if not ended.wait(LEAVE_GRACE):
        _signal_group(group, signal.SIGTERM)
    if not ended.wait(TERMINATE_GRACE):
        _signal_group(group, signal.SIGKILL)


def _signal_group(group: int, number: int) -> None:
    # Gone already; macOS says EPERM of a group of zombies.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
