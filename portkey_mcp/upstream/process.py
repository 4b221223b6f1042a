"""A stdio server as a message wire: a child process behind its tether, one JSON message a line."""

import asyncio
import contextlib
import json
import logging
import os
import shutil
import sys
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

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
MAX_LOG_LINE = 8 * 1024
"""Bytes of one stderr line that reach the log."""
END_TIMEOUT = 6.0
"""Seconds the tether may take to end the server (2 to leave, 2 after SIGTERM), and some to spare."""
EXIT_TIMEOUT = 1.0
"""Seconds to wait for the exit code once stdout has ended; it comes a moment later, or never, where it was closed."""
STDIN, STDOUT = 0, 1


class ProcessWire(asyncio.SubprocessProtocol):
    """See `Wire`. Own framing: the SDK's drops members of error objects, and ends on a byte that is not UTF-8.

    Takes what the event loop hands over, without streams: those cost a call more than everything else here does.
    """

    def __init__(self, server: McpServer, spawn: Spawn) -> None:
        self._server, self._spawn = server, spawn
        self._waiting: deque[Json] = deque()
        self._said = asyncio.Event()
        """There are messages, or there will be no more."""
        self._is_over = False
        """Nothing is read any more: stdout has ended, said too much, or nobody wants to know."""
        self._line: list[bytes] = []
        self._line_size = 0
        self._log_line = b""
        self._takes = asyncio.Event()
        """The server reads what is sent; cleared while more is unsent than the transport wants to hold."""
        self._takes.set()
        self._exited = asyncio.Event()
        self._has_said_all = False
        self._closing: asyncio.Task[None] | None = None

    @classmethod
    async def start(cls, server: McpServer, resolved: McpServer, spawn: Spawn) -> "ProcessWire":
        """Start the server's command with the SDK's safe environment and the server's own.

        Raises:
            UpstreamDown: there is no such command or directory, or it cannot be started.
        """
        environment = get_default_environment() | dict(resolved.env)
        command = _command(resolved, environment)
        try:
            _, wire = await asyncio.get_running_loop().subprocess_exec(
                lambda: cls(server, spawn),
                *command,
                env=environment,
                cwd=resolved.cwd or None,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            raise UpstreamDown(server.name, f"its command could not be started: {error}") from error
        return wire

    @property
    def ending(self) -> str:
        """Why there is nothing more to receive."""
        code = self._process.get_returncode()
        if code is None:
            return "its process closed its output"
        return f"its process ended with exit code {code}; with PORTKEY_MCP_LOG_LEVEL=debug the log has what it said"

    async def send(self, message: Json, headers: Mapping[str, str] | None = None) -> None:
        """See `Wire.send`. Waits where the server does not keep up."""
        if self._stdin.is_closing() or self._exited.is_set():
            raise UpstreamDown(self._server.name, self.ending)
        self._stdin.write(wire.dumps(message) + b"\n")
        if not self._takes.is_set():
            await self._takes.wait()
            if self._stdin.is_closing():
                raise UpstreamDown(self._server.name, "its process no longer reads", sent=True)

    async def receive(self) -> Json | None:
        """See `Wire.receive`. Lines that are not messages are the server's chatter, and only logged."""
        while not self._waiting:
            if self._is_over:
                return None
            self._said.clear()
            await self._said.wait()
        return self._waiting.popleft()

    async def close(self) -> None:
        """See `Wire.close`: stdin is closed, the tether does the rest; this waits for it."""
        if self._closing is None:
            self._closing = self._spawn(self._end())
        await asyncio.wait([self._closing])

    async def _end(self) -> None:
        # A server that is stuck writing cannot leave: what it still says is read and dropped.
        self._end_reading()
        if self._takes.is_set():
            self._stdin.close()
        else:
            self._stdin.abort()  # a server that is stuck and does not read would never see the end come
        try:
            async with asyncio.timeout(END_TIMEOUT):
                await self._exited.wait()
        except TimeoutError:
            log.warning("the process of %s did not end", self._server.key)
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
        finally:
            # What still holds the pipes (a daemon the server started) would keep the transport open for ever.
            self._process.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """As the event loop's protocol: the process runs."""
        self._process = cast(asyncio.SubprocessTransport, transport)
        self._stdin = cast(asyncio.WriteTransport, self._process.get_pipe_transport(STDIN))

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """As the event loop's protocol: the server said something."""
        if fd != STDOUT:
            self._log(data)
        elif not self._is_over:
            self._hear(data)
            if self._waiting:
                self._said.set()

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        """As the event loop's protocol: the server closed one of its ends."""
        if fd == STDIN:
            self._takes.set()
        elif fd == STDOUT:
            self._has_said_all = True
            if self._exited.is_set():
                self._end_reading()
            else:
                asyncio.get_running_loop().call_later(EXIT_TIMEOUT, self._end_reading)

    def process_exited(self) -> None:
        """As the event loop's protocol: the tether ended, with the server's exit code."""
        self._exited.set()
        if self._has_said_all:
            self._end_reading()

    def pause_writing(self) -> None:
        """As the event loop's protocol: the server does not keep up with what is sent."""
        self._takes.clear()

    def resume_writing(self) -> None:
        """As the event loop's protocol: it does again."""
        self._takes.set()

    def _end_reading(self) -> None:
        self._is_over = True
        self._said.set()

    def _hear(self, data: bytes) -> None:
        end = data.rfind(b"\n")
        if end >= 0:
            lines = b"".join((*self._line, data[:end])) if self._line else data[:end]
            self._line.clear()
            self._line_size = 0
            for line in lines.split(b"\n"):
                self._take(line)
            data = data[end + 1 :]
        if data:
            self._line.append(data)
            self._line_size += len(data)
            if self._line_size > MAX_EVENT:
                log.warning("%s sent a line of more than %d bytes", self._server.key, MAX_EVENT)
                self._line.clear()
                self._end_reading()

    def _take(self, line: bytes) -> None:
        if not line or line.isspace():
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

    def _log(self, data: bytes) -> None:
        channel = logging.getLogger(f"portkey_mcp.upstream.{self._server.name}")
        *ended, rest = (self._log_line + data).split(b"\n")
        for one in ended:
            channel.debug("%s", one[:MAX_LOG_LINE].decode("utf-8", "replace").rstrip())
        self._log_line = rest[:MAX_LOG_LINE]


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
