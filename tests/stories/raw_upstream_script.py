"""What the raw upstreams of the stories say. Pure: a request in, the messages of its answer out, verbatim.

A request says itself how it wants to be answered, in the member `say` of its params:

    first    notifications to send before the answer, each a message without `jsonrpc`
    burst    a number of further notifications, `{"n": 0}`, `{"n": 1}`, …
    result   the result, or
    error    the error
    stream   over HTTP, answer as an event stream even where nothing comes first
    hold     a name: do not answer before the test releases it
    end      over stdio, end instead of answering
    ask      over HTTP, requests of the server's own, put to the client first; their answers are in the result

In `first`, the progress token `$token` and the subscription id `$request` stand for those of the request.
"""

from typing import Any

from mcp.shared.subscriptions import SUBSCRIPTION_ID_META_KEY

Json = dict[str, Any]

TICK = "notifications/vendor/tick"

LARGE = 2**63 + 1

LEGACY_HELLO: Json = {
    "protocolVersion": "2025-11-25",
    "capabilities": {
        "tools": {"listChanged": True, "vendor": None},
        "logging": {},
        "x-unknown": {"large": LARGE, "none": None, "": [1.0, -0.0, 1e-7]},
    },
    "serverInfo": {"name": "raw", "version": "1", "x-born": LARGE, "title": None},
    "instructions": "Say it \u2028 with \N{WAVING HAND SIGN} or \ud800.",
    "x-unknown": [None, {"deep": [{}]}],
    "_meta": {"com.example/motd": None},
}

MODERN_HELLO: Json = {
    "resultType": "complete",
    "supportedVersions": ["2026-07-28"],
    "capabilities": {
        "tools": {"listChanged": True, "vendor": None},
        "extensions": {"com.example/raw": {"large": LARGE}},
        "x-unknown": {"none": None, "": [1.0, -0.0]},
    },
    "instructions": "Say it \u2028 with \N{WAVING HAND SIGN} or \ud800.",
    "ttlMs": 777,
    "cacheScope": "public",
    "x-unknown": [None, {"deep": [{}]}],
    "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "raw", "version": "1", "x-born": LARGE}},
}


def say_of(message: Json) -> Json:
    """How a request wants to be answered; empty where it does not say."""
    params = message.get("params")
    say = params.get("say") if isinstance(params, dict) else None
    return say if isinstance(say, dict) else {}


def answers(message: Json, era: str) -> list[Json]:
    """The messages a request is answered with, the response last."""
    say = say_of(message)
    first = [_filled(notification, message) for notification in say.get("first", [])]
    burst = [{"method": TICK, "params": {"n": n}} for n in range(say.get("burst", 0))]
    heard = [{"jsonrpc": "2.0", **notification} for notification in [*first, *burst]]
    return [*heard, {"jsonrpc": "2.0", "id": message["id"], **_outcome(message, say, era)}]


def _outcome(message: Json, say: Json, era: str) -> Json:
    if "error" in say:
        return {"error": say["error"]}
    if "result" in say:
        return {"result": say["result"]}
    own = {("legacy", "initialize"): LEGACY_HELLO, ("modern", "server/discover"): MODERN_HELLO}
    if (era, message["method"]) in own:
        return {"result": own[era, message["method"]]}
    if say:
        return {"result": {"resultType": "complete"} if era == "modern" else {}}
    return {"error": {"code": -32601, "message": "Method not found", "data": {"x": None}, "vendor": [LARGE]}}


def _filled(notification: Json, request: Json) -> Json:
    """A notification with the request's own progress token and id where placeholders stand."""
    params = notification.get("params")
    if not isinstance(params, dict):
        return notification
    filled = dict(params)
    if params.get("progressToken") == "$token":
        filled["progressToken"] = request["params"]["_meta"]["progressToken"]
    meta = params.get("_meta")
    if isinstance(meta, dict) and meta.get(SUBSCRIPTION_ID_META_KEY) == "$request":
        filled["_meta"] = {**meta, SUBSCRIPTION_ID_META_KEY: request["id"]}
    return {**notification, "params": filled}
