"""`serve` and `demo`: run the gateway in this process until it is told to stop."""

import base64
import errno
import gc
import json
import logging
import secrets
import signal
import socket
import sys
import tempfile
from pathlib import Path
from typing import Final

import uvicorn

from portkey_mcp import __version__
from portkey_mcp.app import Gateway, build
from portkey_mcp.cli.options import Config, Data, Host, Port, load
from portkey_mcp.errors import PortkeyError
from portkey_mcp.settings import Settings
from portkey_mcp.telemetry import logs

GRACE: Final = 10
"""Seconds that calls under way may take to end once the gateway is told to stop; standing streams end at once."""

COLLECT: Final = (5_000, 20, 10)
"""How often Python looks for cycles: after 5,000 objects more, in place of 700. A call makes hundreds and nearly no
cycles; with a thousand calls waiting, the usual figures looked through all of them again and again (a tenth of the CPU
of each)."""

BACKLOG: Final = 2048
"""Connections that may wait to be accepted; uvicorn's own figure."""


def serve(config: Config = None, data: Data = None, host: Host = None, port: Port = None) -> None:
    """Run the gateway."""
    settings = load(config, data, host=host, port=port)
    listener = listen(settings.host, settings.port)
    _run(settings.model_copy(update={"port": listener.getsockname()[1]}), listener, demo=False)


def demo(host: Host = None, port: Port = None) -> None:
    """Run the gateway with a bundled example server. It needs no network, asks for no key and keeps nothing."""
    wanted = load(None, None, host=host, port=port)
    listener = listen(wanted.host, wanted.port)
    with tempfile.TemporaryDirectory(prefix="portkey-mcp-") as scratch:
        file = Path(scratch, "portkey.yaml")
        file.write_text(json.dumps(_demo_document()))
        # A key of its own, so that no key file is made and nobody is told to keep a copy of it.
        keys = f"demo:{base64.b64encode(secrets.token_bytes(32)).decode()}"
        chosen = {"host": wanted.host, "port": listener.getsockname()[1], "auth": "none", "public_url": ""}
        _run(load(file, Path(scratch, "data"), secret_keys=keys, **chosen), listener, demo=True)


def listen(host: str, port: int) -> socket.socket:
    """Bind and listen, so that a port that is taken is known before anything is started.

    Raises:
        PortkeyError: it is taken, or may not be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            hint = "another program has it; choose another with --port, or --port 0 for any free one"
            raise PortkeyError(f"cannot listen on {host} port {port}: {hint}") from None
        raise PortkeyError(f"cannot listen on {host} port {port}: {error.strerror or error}") from None


def _demo_document() -> dict[str, object]:
    example = {"command": [sys.executable, "-m", "portkey_mcp.example"]}
    workspace = {"name": "Demo", "servers": {"example": example}}
    return {"version": 1, "gateway": {"auth": "none"}, "workspaces": {"demo": workspace}}


def _run(settings: Settings, listener: socket.socket, *, demo: bool) -> None:
    _log(settings.log_level)
    gateway = build(settings)
    config = uvicorn.Config(
        gateway,
        log_config=None,
        access_log=False,
        lifespan="on",
        ws="none",
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE,
    )
    # uvicorn raises the signal that stopped it once more: with the default handler it would end us before cleaning up.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    try:
        _Uvicorn(config, gateway, demo_banner(settings) if demo else banner(settings)).run(sockets=[listener])
    except SystemExit:
        raise gateway.failure or PortkeyError("the gateway could not start") from None


def _log(level: str) -> None:
    """Log to stderr; of uvicorn nothing before it has started, since its failures are ours to tell."""
    logs.start(level)
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)


class _Uvicorn(uvicorn.Server):
    """uvicorn that says where it listens only once the gateway is ready, and leaves the failures of its start to us."""

    def __init__(self, config: uvicorn.Config, gateway: Gateway, banner: str) -> None:
        super().__init__(config)
        self._gateway, self._banner = gateway, banner

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
        # What is there now stays: looking through it at every full collection would hold calls up for tens of ms.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*COLLECT)
        print(self._banner + first(self._gateway.first_link), flush=True)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._gateway.end_streams()
        await super().shutdown(sockets)


def banner(settings: Settings) -> str:
    """What `serve` says when it is ready."""
    return f"""portkey-mcp {__version__} listens on {settings.base_url}

  a server   {settings.base_url}/WORKSPACE/SERVER/mcp   (`portkey-mcp servers list` names them all)
  a hub      {settings.base_url}/WORKSPACE/mcp
  a key      portkey-mcp keys create NAME --workspace WORKSPACE
"""


def first(link: str) -> str:
    """What `serve` says besides as long as nobody is known; the link makes the first person, who owns everything."""
    return (
        f"\nNobody can sign in yet. The first person makes an account here, once, within a day:\n\n  {link}\n"
        if link
        else ""
    )


def demo_banner(settings: Settings) -> str:
    """What `demo` says when it is ready; its last line calls a tool as it is printed."""
    url = f"{settings.base_url}/demo/example/mcp"
    call = {"name": "echo", "arguments": {"text": "Hello from portkey-mcp"}}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call})
    return f"""portkey-mcp {__version__} listens on {settings.base_url}

  server   {url}
  hub      {settings.base_url}/demo/mcp

Give one of these URLs to an MCP client on this machine, or call a tool (Ctrl+C stops the gateway):

  curl -s {url} -H 'Content-Type: application/json' -H 'Accept: application/json, text/event-stream' -d '{body}'
"""
