"""The fixture upstream as a program: `python -m tests.conformance.upstream --port 9000 --era legacy|modern|both`.

It serves `/mcp` on loopback, and prints `ready http://127.0.0.1:PORT/mcp` once it does. Port 0 takes a free one.
"""

import argparse
import socket

import uvicorn
from starlette.types import ASGIApp

from tests.conformance.everything.eras import Era, gate
from tests.conformance.everything.replay import RememberedEvents
from tests.conformance.everything.server import build

RETRY = 50
"""Milliseconds a legacy client is asked to wait before it comes back for the rest of a stream."""


def app(era: Era) -> ASGIApp:
    """The fixture server as an ASGI app that lives in this era; its lifespan has to run."""
    http = build(with_tasks=era != "legacy").streamable_http_app(event_store=RememberedEvents(), retry_interval=RETRY)
    return gate(http, era)


def main() -> None:
    parser = argparse.ArgumentParser(description="The conformance suite's fixture server.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--era", choices=["legacy", "modern", "both"], default="both")
    chosen = parser.parse_args()
    listening = socket.create_server(("127.0.0.1", chosen.port))
    config = uvicorn.Config(
        app(chosen.era), log_level="warning", lifespan="on", http="h11", timeout_graceful_shutdown=1
    )
    print(f"ready http://127.0.0.1:{listening.getsockname()[1]}/mcp", flush=True)
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
