"""A stdio MCP server as a program, with tools that do what tests need. `--era modern` for the other era.

Only the standard library: it starts as fast as Python does, and writes exactly the bytes it wants.
"""

import json
import os
import sys
import threading
import time

HELLO = {
    "protocolVersion": "2025-11-25",
    "capabilities": {"tools": {"listChanged": True}},
    "serverInfo": {"name": "stdio", "version": "1", "pid": os.getpid()},
}
DISCOVERED = {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}, "pid": os.getpid()}
ERA = "modern" if "modern" in sys.argv else "legacy"
lock = threading.Lock()
asked: dict[str, threading.Event] = {}
answers: dict[str, object] = {}
cancelled: list[object] = []


def send(message: dict[str, object]) -> None:
    with lock:
        sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        sys.stdout.flush()


def progress(params: dict[str, object], step: int) -> None:
    token = params.get("_meta", {}).get("progressToken")  # type: ignore[attr-defined]
    send({"method": "notifications/progress", "params": {"progressToken": token, "progress": step, "x": None}})


def ask(method: str) -> object:
    question = f"q{len(asked)}"
    asked[question] = threading.Event()
    send({"id": question, "method": method, "params": {"x": None}})
    asked[question].wait(20)
    return answers.get(question)


def burst(params: dict[str, object]) -> object:
    for step in range(1500):
        progress(params, step)
    return {"done": True}


def vendor_error(params: dict[str, object]) -> object:
    raise KeyError


def die(params: dict[str, object]) -> object:
    os._exit(3)


def chatter(params: dict[str, object]) -> object:
    with lock:
        sys.stdout.flush()
        os.write(1, b"Starting up...\n\xff\xfe not text\n\n[1]\n")
    print("a word for the log", file=sys.stderr, flush=True)
    return {}


def superscript(params: dict[str, object]) -> object:
    send({"id": "\u00b2", "result": {}})
    return {}


def twice(params: dict[str, object]) -> object:
    with lock:
        os.write(1, b'{"jsonrpc":"2.0","id":%d,"result":{"a":1,"a":2}}\n' % params["number"])  # type: ignore[str-bytes-safe]
    threading.Event().wait(60)
    return {}


def hang(params: dict[str, object]) -> object:
    send({"method": "notifications/message", "params": {"started": params.get("number")}})
    threading.Event().wait(60)
    return {}


def change(params: dict[str, object]) -> object:
    send({"method": "notifications/tools/list_changed"})
    return {}


def listen(params: dict[str, object], call_id: object) -> None:
    meta = {"io.modelcontextprotocol/subscriptionId": call_id}
    send({"method": "notifications/subscriptions/acknowledged", "params": {"_meta": meta}})
    send({"method": "notifications/tools/list_changed", "params": {"_meta": meta}})
    send({"method": "notifications/cancelled", "params": {"requestId": call_id}})


METHODS = {
    "test/echo": lambda params: {"got": params, "big": 2**70, "null": None, "float": 1.0},
    "test/burst": burst,
    "test/error": vendor_error,
    "test/twice": twice,
    "test/die": die,
    "test/chatter": chatter,
    "test/hang": hang,
    "test/change": change,
    "test/ask": lambda params: {"answer": ask("roots/list")},
    "test/cancelled": lambda params: {"ids": cancelled},
    "test/superscript": superscript,
    "test/large": lambda params: {"text": "x" * (2 * 1024 * 1024)},
    "ping": lambda params: {},
}


def answer(message: dict[str, object]) -> None:
    method, call_id = message["method"], message["id"]
    params: dict[str, object] = message.get("params") or {}  # type: ignore[assignment]
    if method == "subscriptions/listen":
        listen(params, call_id)
    elif (ERA, method) == ("legacy", "initialize"):
        send({"id": call_id, "result": {**HELLO, "greeting": params}})
    elif (ERA, method) == ("modern", "server/discover"):
        send({"id": call_id, "result": DISCOVERED})
    elif method == "test/error":
        send({"id": call_id, "error": {"code": -32000, "message": "m", "data": None, "vendor": {"n": 2**70}}})
    elif method in METHODS:
        send({"id": call_id, "result": METHODS[str(method)](params)})
    elif "dies-on-the-unknown" in sys.argv:
        os._exit(1)
    else:
        send({"id": call_id, "error": {"code": -32601, "message": "unknown"}})


def main() -> None:
    for line in sys.stdin:
        message = json.loads(line)
        if "method" not in message:
            answers[message["id"]] = message
            asked[message["id"]].set()
        elif "id" in message:
            threading.Thread(target=answer, args=(message,), daemon=True).start()
        elif message["method"] == "notifications/cancelled":
            cancelled.append(message["params"]["requestId"])
        elif message["method"] == "notifications/initialized" and "asks-early" in sys.argv:
            threading.Thread(target=ask, args=("roots/list",), daemon=True).start()
    while "stays" in sys.argv:
        time.sleep(1)
    # Python, when it shuts down, dies aloud over a thread that is just done with writing.
    os._exit(0)


if __name__ == "__main__":
    main()
