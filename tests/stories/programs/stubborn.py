"""A server over stdio that does not want to end: `stubborn.py DIARY`. It writes its pid and what befalls it there.

It has one tool, `hello`; it goes on when its stdin ends, and when it is told SIGTERM.
"""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

DIARY = Path(sys.argv[1])


def note(what: str) -> None:
    with DIARY.open("a") as diary:
        diary.write(f"{what}\n")


def answer(method: str) -> dict[str, Any]:
    if method == "initialize":
        info = {"name": "stubborn", "version": "1"}
        return {"result": {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": info}}
    if method == "tools/list":
        return {"result": {"tools": [{"name": "hello", "inputSchema": {"type": "object"}}]}}
    if method == "tools/call":
        return {"result": {"content": [{"type": "text", "text": "Hello."}]}}
    return {"error": {"code": -32601, "message": f"Method not found: {method}"}}


def main() -> None:
    note(str(os.getpid()))
    signal.signal(signal.SIGTERM, lambda *_: note("SIGTERM"))
    for line in sys.stdin:
        message = json.loads(line)
        if "id" in message:
            print(json.dumps({"jsonrpc": "2.0", "id": message["id"], **answer(message["method"])}), flush=True)
    note("end of stdin")
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
