"""What leaves the gateway on the terms of a call, whichever way it goes: results, errors, messages, questions. Pure.

Fails closed: what may not pass is refused, and what cannot be refused is left out.
"""

from typing import Any, Final

from portkey_mcp.errors import Refused, UpstreamError
from portkey_mcp.gateway.bridge.way import as_object
from portkey_mcp.policy.guards import hidden, redact, sizes
from portkey_mcp.policy.terms import Terms
from portkey_mcp.wire import Json

_OWN_META: Final = ("progressToken", "traceparent", "tracestate", "baggage")
_SPEC_META: Final = "io.modelcontextprotocol/"
_NAMES: Final = ("name", "uri", "requestState", "_meta", "ref", "taskId")
"""Members of params that name what is asked for, or belong to the protocol: they decide, and are not searched."""


def guards(terms: Terms) -> bool:
    """Whether anything is looked at on its way to the client."""
    return bool(terms.redact) or terms.hidden_text != "keep"


def guarded(terms: Terms, value: Any) -> Any:
    """Something of the server's without hidden characters, then searched; the same object when nothing changes.

    Raises:
        Refused: it may not pass.
    """
    if terms.hidden_text != "keep":
        # Hidden characters go first: they could split a secret in two.
        value = hidden.guard(terms.hidden_text, value, "result")
    return redact.redact(terms.redact, value, "result").value if terms.redact else value


def finished(terms: Terms, result: Json) -> Json:
    """A result as the terms let it pass: measured, cleaned, searched, and measured again, since masks have a length.

    The server's own state goes back to it as it was. What a task came to (`result` beside a `taskId`) is a result, too.

    Raises:
        Refused: it may not pass; the call has run.
    """
    if isinstance(result.get("result"), dict) and "taskId" in result:
        result = {**result, "result": finished(terms, result["result"])}
    result = sizes.fit_result(terms.max_result, result)
    if not guards(terms):
        return result
    kept = {"requestState": result["requestState"]} if result.get("resultType") == "input_required" else {}
    kept = kept if isinstance(kept.get("requestState"), str) else {}
    inner = {name: value for name, value in result.items() if name not in kept} if kept else result
    found: Json = guarded(terms, inner)
    if found is inner:
        return result
    return sizes.fit_result(terms.max_result, {**found, **kept})


def failed(terms: Terms, error: UpstreamError) -> UpstreamError:
    """The server's error as the terms let it pass; its code always does.

    Raises:
        Refused: its words may not pass.
    """
    if not guards(terms):
        return error
    said = {name: value for name, value in error.error.items() if name != "code"}
    found = guarded(terms, said)
    if found is said:
        return error
    code = {"code": error.error["code"]} if "code" in error.error else {}
    return UpstreamError({**code, **found}, error.status, error.headers)


def greeted(terms: Terms, hello: Json) -> Json:
    """A greeting whose instructions, which clients put before a model, may pass; without them where they may not."""
    if not guards(terms) or "instructions" not in hello:
        return hello
    try:
        said = guarded(terms, hello["instructions"])
    except Refused:
        return {name: value for name, value in hello.items() if name != "instructions"}
    return hello if said is hello["instructions"] else {**hello, "instructions": said}


def told(terms: Terms, message: Json) -> Json | None:
    """A notification or question as the terms let it pass; None where it may not."""
    if not guards(terms) or "params" not in message:
        return message
    try:
        params = guarded(terms, message["params"])
    except Refused:
        return None
    return message if params is message["params"] else {**message, "params": params}


def searched(terms: Terms, params: Json) -> Json:
    """The params of a request, searched before they leave; the same object when nothing changes.

    Raises:
        Refused: they may not leave.
    """
    if not terms.redact:
        return params
    said = {name: value for name, value in params.items() if name not in _NAMES}
    meta = as_object(params.get("_meta"))
    own = {name: value for name, value in meta.items() if name not in _OWN_META and not name.startswith(_SPEC_META)}
    found = redact.redact(terms.redact, {"params": said, "_meta": own}, "arguments").value
    if found["params"] is not said:
        params = {**params, **found["params"]}
    return params if found["_meta"] is own else {**params, "_meta": {**meta, **found["_meta"]}}


def answered(terms: Terms, outcome: Json) -> Json:
    """A client's answer to a question of the server, searched before it leaves; an error where it may not leave."""
    if not terms.redact:
        return outcome
    try:
        found: Json = redact.redact(terms.redact, outcome, "arguments").value
    except Refused as refused:
        return {"error": {"code": -32603, "message": refused.text}}
    return found
