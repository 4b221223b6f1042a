"""A stdio server as a message wire: a child process behind its tether, one JSON message a line."""

import asyncio
import json
import logging
import os
import shutil
import sys
from collections import deque
from pathlib import Path
from typing import Any

from mcp.client.stdio import get_default_environment

from portkey_mcp import wire
from portkey_mcp.errors import UpstreamDown
from portkey_mcp.model import McpServer
from portkey_mcp.upstream import reading
from portkey_mcp.upstream.messages import INTERNAL_ERROR
from portkey_mcp.upstream.sse import MAX_EVENT
from portkey_mcp.upstream.tasks import Spawn
from portkey_mcp.wire import Json

log = logging.getLogger(__name__)

TETHER = Path(__file__).with_name("tether.py")
CHUNK = 256 * 1024
"""Bytes read at once; several times a pipe's own 64 KiB buffer."""
MAX_LOG_LINE = 8 * 1024
"""Bytes of one stderr line that reach the log."""
END_TIMEOUT = 6.0
"""Seconds the tether may take to end the server (2 to leave, 2 after SIGTERM), and some to spare."""
EXIT_POLL = 0.01
EXIT_POLLS = 100
"""Seconds between, and number of, looks for the exit code once stdout has ended; a second in all."""


class ProcessWire:
    """See `Wire`. Own framing: the SDK's drops members of error objects, and ends on a byte that is not UTF-8."""

    def __init__(self, server: McpServer, process: asyncio.subprocess.Process, spawn: Spawn) -> None:
        self._server, self._process = server, process
        self._waiting: deque[Json] = deque()
        self._buffer = bytearray()
        self._closing: asyncio.Task[None] | None = None
        self._spawn = spawn
        self._stderr = spawn(self._log_stderr())

    @classmethod
    async def start(cls, server: McpServer, resolved: McpServer, spawn: Spawn) -> "ProcessWire":
        """Start the server's command with the SDK's safe environment and the server's own.

        Raises:
            UpstreamDown: there is no such command or directory, or it cannot be started.
        """
        environment = get_default_environment() | dict(resolved.env)
        command = _command(resolved, environment)
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=environment,
                cwd=resolved.cwd or None,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            raise UpstreamDown(server.name, f"its command could not be started: {error}") from error
        return cls(server, process, spawn)

    @property
    def ending(self) -> str:
        """Why there is nothing more to receive."""
        code = self._process.returncode
        if code is None:
            return "its process closed its output"
        return f"its process ended with exit code {code}; with PORTKEY_MCP_LOG_LEVEL=debug the log has what it said"

    async def send(self, message: Json) -> None:
        """See `Wire.send`."""
        stdin = self._process.stdin
        assert stdin is not None
        if stdin.is_closing() or self._process.returncode is not None:
            raise UpstreamDown(self._server.name, self.ending)
        try:
            stdin.write(wire.dumps(message) + b"\n")
            await stdin.drain()
        except (OSError, RuntimeError) as error:
            raise UpstreamDown(self._server.name, "its process no longer reads", sent=True) from error

    async def receive(self) -> Json | None:
        """See `Wire.receive`. Lines that are not messages are the server's chatter, and only logged."""
        stdout = self._process.stdout
        assert stdout is not None
        while not self._waiting:
            chunk = await stdout.read(CHUNK)
            if not chunk:
                await self._await_exit_code()
                return None
            scan = len(self._buffer)
            self._buffer += chunk
            if (last := self._buffer.rfind(b"\n", scan)) >= 0:
                for line in bytes(self._buffer[:last]).split(b"\n"):
                    self._take(line)
                del self._buffer[: last + 1]
            elif len(self._buffer) > MAX_EVENT:
                log.warning("%s sent a line of more than %d bytes", self._server.key, MAX_EVENT)
                return None
        return self._waiting.popleft()

    async def _await_exit_code(self) -> None:
        """The end of stdout comes a moment before the process's own; not `wait()`, which waits for stderr too."""
        for _ in range(EXIT_POLLS):
            if self._process.returncode is not None:
                return
            await asyncio.sleep(EXIT_POLL)

    def _take(self, line: bytes) -> None:
        if not line.strip():
            return
        try:
            message: Any = reading.read(line)
        except wire.MalformedJson as error:
            # Not the line itself: it may be a result, and those do not belong in a log.
            log.warning("%s wrote %d bytes to stdout that are no message: %s", self._server.key, len(line), error)
            if (ident := _answered(line)) is not None:
                failed = {"code": INTERNAL_ERROR, "message": f"The server's answer cannot be read: {error}"}
                self._waiting.append({"jsonrpc": "2.0", "id": ident, "error": failed})
            return
        for one in message if isinstance(message, list) else [message]:
            if isinstance(one, dict):
                self._waiting.append(one)

    async def close(self) -> None:
        """See `Wire.close`: stdin is closed, the tether does the rest; this waits for it."""
        if self._closing is None:
            self._closing = self._spawn(self._end())
        await asyncio.wait([self._closing])

    async def _end(self) -> None:
        stdin = self._process.stdin
        assert stdin is not None
        stdin.close()
        try:
            async with asyncio.timeout(END_TIMEOUT):
                await self._drain_until_exit()
        except TimeoutError:
            log.warning("the process of %s did not end", self._server.key)
            self._kill()
        finally:
            self._stderr.cancel()
            # What still holds the pipes (a daemon the server started) would keep the transport open for ever.
            transport: Any = getattr(self._process, "_transport", None)
            if transport is not None:
                transport.close()

    async def _drain_until_exit(self) -> None:
        """A server that is stuck writing cannot leave: what it still says is read and dropped."""
        stdout = self._process.stdout
        assert stdout is not None
        while await stdout.read(CHUNK):
            pass
        await self._process.wait()

    def _kill(self) -> None:
        if self._process.returncode is None:
            self._process.kill()

    async def _log_stderr(self) -> None:
        stderr = self._process.stderr
        assert stderr is not None
        channel = logging.getLogger(f"portkey_mcp.upstream.{self._server.name}")
        line = bytearray()
        while chunk := await stderr.read(CHUNK):
            *ended, rest = (bytes(line) + chunk).split(b"\n")
            for one in ended:
                channel.debug("%s", one[:MAX_LOG_LINE].decode("utf-8", "replace").rstrip())
            line = bytearray(rest[:MAX_LOG_LINE])


def _answered(line: bytes) -> Any:
    """The id of the request that an unreadable line was meant to answer; None when it was meant for none.

    Read without the strictness of `wire`, so that the one who waits is told instead of waiting for ever.
    """
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return message.get("id") if isinstance(message, dict) and "method" not in message else None


def _command(resolved: McpServer, environment: dict[str, str]) -> list[str]:
    """The command line, behind the tether where there are process groups.

    Raises:
        UpstreamDown: the command or its directory does not exist.
    """
    if not resolved.command:
        raise UpstreamDown(resolved.name, "it has no command")
    if resolved.cwd and not os.path.isdir(resolved.cwd):
        raise UpstreamDown(resolved.name, f"its working directory {resolved.cwd!r} does not exist")
    name, *arguments = resolved.command
    where = os.path.join(resolved.cwd, name) if os.path.dirname(name) and resolved.cwd else name
    if shutil.which(where, path=environment.get("PATH")) is None:
        hint = "install it, or register the command with its full path"
        raise UpstreamDown(resolved.name, f"command {name!r} was not found; {hint}")
    if sys.platform == "win32":
        return [name, *arguments]
    return [sys.executable, "-I", "-S", str(TETHER), name, *arguments]
