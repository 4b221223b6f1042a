"""What the two eras say differently about the same thing: pure conversions, one per message part.

Sources: protocol.md section 1.2; 2026-07-28 basic, `_meta`; SEP-2164 (resource not found); SEP-2549 (caching).
"""

from typing import Final

from mcp_types import (
    CLIENT_CAPABILITIES_META_KEY,
    CLIENT_INFO_META_KEY,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    LOG_LEVEL_META_KEY,
    PROTOCOL_VERSION_META_KEY,
    SERVER_INFO_META_KEY,
)
from mcp_types.methods import CACHEABLE_METHODS
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, LATEST_HANDSHAKE_VERSION, MODERN_PROTOCOL_VERSIONS

from portkey_mcp.gateway.offers import Defined
from portkey_mcp.wire import Json, Raw

RESOURCE_NOT_FOUND: Final = -32002
"""The legacy code of an unknown resource; the modern era forbids it (SEP-2164)."""

HEADER_MISMATCH: Final = -32020

ENVELOPE: Final = (
    PROTOCOL_VERSION_META_KEY,
    CLIENT_INFO_META_KEY,
    CLIENT_CAPABILITIES_META_KEY,
    LOG_LEVEL_META_KEY,
)

TASKS: Final = "io.modelcontextprotocol/tasks"

MODERN_ONLY: Final = ("resultType", "ttlMs", "cacheScope")
"""Members of a modern result that the legacy era does not know."""


def modern_meta(meta: Json, capabilities: Json, client_info: Json, level: str | None) -> Json:
    """The envelope of a request made for a legacy client. `tasks` is a legacy capability and does not travel."""
    envelope: Json = {
        CLIENT_CAPABILITIES_META_KEY: {key: value for key, value in capabilities.items() if key != "tasks"},
    }
    if client_info:
        envelope[CLIENT_INFO_META_KEY] = client_info
    if level is not None:
        envelope[LOG_LEVEL_META_KEY] = level
    return {**meta, **envelope}


def legacy_params(params: Json | None) -> Json | None:
    """A modern request's params as a legacy upstream takes them: no envelope, no retry members."""
    if params is None:
        return None
    bare = {key: value for key, value in params.items() if key not in ("inputResponses", "requestState")}
    meta = bare.get("_meta")
    if isinstance(meta, dict):
        rest = {key: value for key, value in meta.items() if key not in ENVELOPE}
        if rest:
            bare["_meta"] = rest
        else:
            del bare["_meta"]
    return bare


def legacy_result(method: str, result: Json) -> Json:
    """A modern result as a legacy client takes it; what the legacy schema would refuse is left out."""
    meta = result.get("_meta")
    odd = (isinstance(meta, dict) and SERVER_INFO_META_KEY in meta) or method == "tools/list"
    if isinstance(result, Raw) and not odd and isinstance(result.get("structuredContent", {}), dict):
        shorter = result.minus(MODERN_ONLY)
        if shorter is not None:
            return shorter
    bare = {key: value for key, value in result.items() if key not in MODERN_ONLY}
    meta = bare.get("_meta")
    if isinstance(meta, dict) and SERVER_INFO_META_KEY in meta:
        rest = {key: value for key, value in meta.items() if key != SERVER_INFO_META_KEY}
        if rest:
            bare["_meta"] = rest
        else:
            del bare["_meta"]
    if method == "tools/call" and not isinstance(bare.get("structuredContent", {}), dict):
        del bare["structuredContent"]
    if method == "tools/list" and isinstance(bare.get("tools"), list):
        bare["tools"] = [_legacy_tool(tool) for tool in bare["tools"]]
    return bare


def _legacy_tool(tool: object) -> object:
    """Legacy output schemas describe objects only."""
    if not isinstance(tool, dict) or "outputSchema" not in tool:
        return tool
    schema = tool["outputSchema"]
    if isinstance(schema, dict) and schema.get("type") == "object":
        return tool
    bare = {key: value for key, value in tool.items() if key != "outputSchema"}
    return tool.but(bare) if isinstance(tool, Defined) else bare


def modern_result(method: str, result: Json, hello: Json) -> Json:
    """A legacy result with what the modern era requires: result type, server identity, caching hints."""
    info = hello.get("serverInfo")
    if isinstance(result, Raw) and method not in CACHEABLE_METHODS:
        named = {"_meta": {SERVER_INFO_META_KEY: info}} if isinstance(info, dict) else {}
        longer = result.plus({"resultType": "complete", **named})
        if longer is not None:
            return longer
    stamped = {"resultType": "complete", **result}
    if isinstance(info, dict):
        meta = result.get("_meta")
        stamped["_meta"] = {**(meta if isinstance(meta, dict) else {}), SERVER_INFO_META_KEY: info}
    if method in CACHEABLE_METHODS:
        stamped = {"ttlMs": 0, "cacheScope": "private", **stamped}
    return stamped


def legacy_error(method: str, error: Json) -> Json:
    """A modern upstream's error for a legacy client."""
    code, data = error.get("code"), error.get("data")
    if method == "resources/read" and code == INVALID_PARAMS and isinstance(data, dict) and "uri" in data:
        return {**error, "code": RESOURCE_NOT_FOUND}
    return error


def modern_error(method: str, error: Json) -> Json:
    """A legacy upstream's error for a modern client. URL elicitation (-32042) is handled before."""
    if error.get("code") == RESOURCE_NOT_FOUND:
        return {**error, "code": INVALID_PARAMS}
    return error


def own_fault(error: Json) -> Json:
    """An upstream's error in either era, but for a header mismatch: that is the gateway's, not the client's (H5)."""
    return {**error, "code": INTERNAL_ERROR} if error.get("code") == HEADER_MISMATCH else error


def legacy_hello(discovered: Json, version: str) -> Json:
    """An InitializeResult made from a modern upstream's DiscoverResult."""
    meta = discovered.get("_meta")
    info = meta.get(SERVER_INFO_META_KEY) if isinstance(meta, dict) else None
    capabilities = discovered.get("capabilities")
    hello: Json = {
        "protocolVersion": version if version in HANDSHAKE_PROTOCOL_VERSIONS else LATEST_HANDSHAKE_VERSION,
        "capabilities": {
            key: value for key, value in (capabilities or {}).items() if key not in ("extensions", "tasks")
        },
        "serverInfo": info if isinstance(info, dict) else {"name": "mcp-server", "version": "0"},
    }
    if "instructions" in discovered:
        hello["instructions"] = discovered["instructions"]
    return hello


def modern_hello(hello: Json) -> Json:
    """A DiscoverResult made from a legacy upstream's InitializeResult. Legacy tasks do not cross (SEP-2663)."""
    capabilities = hello.get("capabilities")
    found: Json = {
        "supportedVersions": list(MODERN_PROTOCOL_VERSIONS),
        "capabilities": {
            key: value for key, value in (capabilities or {}).items() if key not in ("extensions", "tasks")
        },
    }
    if "instructions" in hello:
        found["instructions"] = hello["instructions"]
    return modern_result("server/discover", found, hello)
