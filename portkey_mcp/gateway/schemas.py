"""The `x-mcp-header` side of tool calls (SEP-2243): headers made for an upstream, headers checked against a body.

A call of a tool whose schema marks properties carries them as `Mcp-Param-*` headers, so the schema must be known
before the call. It is fetched once per link and again when a tool is unknown or the upstream disagrees.
"""

import time
import weakref
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from mcp.shared.inbound import (
    MCP_PARAM_HEADER_PREFIX,
    X_MCP_HEADER_KEY,
    InboundLadderRejection,
    find_invalid_x_mcp_header,
    mcp_param_headers,
    validate_mcp_param_headers,
    x_mcp_header_map,
)
from mcp_types import HEADER_MISMATCH

from portkey_mcp.errors import InvalidRequest, UpstreamError
from portkey_mcp.gateway.bridge.way import as_object
from portkey_mcp.gateway.call import Call
from portkey_mcp.gateway.pages import ListPage, pages
from portkey_mcp.upstream.link import Link
from portkey_mcp.wire import Json, Raw, dumps

REFRESH_AFTER: Final = 5.0
"""Seconds before a tool that was not in the list is looked for again."""

_PREFIX: Final = MCP_PARAM_HEADER_PREFIX.lower()


class Schemas:
    """Input schemas of the tools behind each link, kept as long as the link lives.

    Only those that mark something: of the others it is enough to know that they do not, an empty schema.
    """

    def __init__(self) -> None:
        self._known: weakref.WeakKeyDictionary[Link, tuple[float, dict[str, Json]]] = weakref.WeakKeyDictionary()

    async def headers(self, call: Call, link: Link, list_page: ListPage) -> dict[str, str] | None:
        """The `Mcp-Param-*` headers of a tool call, after checking those the client sent.

        None when neither side of this call speaks a wire that has them.

        Raises:
            InvalidRequest: -32020, the client's headers contradict its own body.
        """
        outgoing = link.era == "modern" and link.server.transport == "http"
        if call.method != "tools/call" or not (outgoing or call.era == "modern"):
            return None
        known = self._known.get(link)
        if known is not None and known[1].get((call.params or {})["name"]) == {}:
            return {} if outgoing else None  # known to mark nothing: so it is with nearly every call
        arguments = as_object((call.params or {}).get("arguments"))
        if not arguments and not any(name.startswith(_PREFIX) for name in call.headers):
            return None
        schema = await self._schema(link, (call.params or {})["name"], list_page)
        if schema is None:
            return None
        if not schema:
            return {} if outgoing else None
        if call.era == "modern" and not call.checked:
            rejection = _contradiction(schema, arguments, call.headers)
            if rejection is not None:
                # The tool may have changed since; the client, who lists anew when told so, may know better.
                self.forget(link)
                schema = await self._schema(link, (call.params or {})["name"], list_page)
                rejection = _contradiction(schema, arguments, call.headers)
            if rejection is not None:
                raise InvalidRequest(rejection.code, rejection.message, rejection.data)
        if not outgoing or find_invalid_x_mcp_header(schema) is not None:
            return None
        return mcp_param_headers(x_mcp_header_map(schema), arguments)

    def forget(self, link: Link) -> None:
        """Drop what is known of a link's tools: it said they changed, or disagreed with our headers."""
        self._known.pop(link, None)

    async def _schema(self, link: Link, tool: str, list_page: ListPage) -> Json | None:
        fetched, schemas = self._known.get(link, (-REFRESH_AFTER, {}))
        if tool not in schemas and time.monotonic() - fetched >= REFRESH_AFTER:
            schemas = await _fetch(list_page)
            self._known[link] = (time.monotonic(), schemas)
        return schemas.get(tool)


def _contradiction(schema: Json | None, arguments: Json, headers: Mapping[str, str]) -> InboundLadderRejection | None:
    """What is wrong with a client's `Mcp-Param-*` headers."""
    try:
        return validate_mcp_param_headers(schema, arguments, headers)
    except ValueError:
        # The SDK's decoder does not expect letters beyond ASCII in a base64 header value.
        return InboundLadderRejection(HEADER_MISMATCH, "An Mcp-Param header is not readable")


async def _fetch(list_page: ListPage) -> dict[str, Json]:
    schemas: dict[str, Json] = {}
    # A server that calls tools it does not list: nothing is known of them.
    with suppress(UpstreamError):
        async for page in pages(list_page, {}):
            tools = page.get("tools")
            for tool in tools if isinstance(tools, list) else ():
                if isinstance(tool, dict) and isinstance(tool.get("name"), str):
                    schema = as_object(tool.get("inputSchema"))
                    schemas[tool["name"]] = schema if X_MCP_HEADER_KEY in dumps(schema).decode() else {}
    return schemas


def callable_tools(link: Link, result: Json) -> Json:
    """A tools/list result without the tools whose `x-mcp-header` marks are invalid.

    A client must not use those over modern HTTP (2026-07-28 streamable-http, Custom Headers), and the gateway is the
    client of that leg.
    """
    if link.era != "modern" or link.server.transport != "http":
        return result
    return result.once("callable", _callable) if isinstance(result, Raw) else _callable(result)


def _callable(result: Json) -> Json:
    tools = result.get("tools")
    if not isinstance(tools, list) or (isinstance(result, Raw) and X_MCP_HEADER_KEY.encode() not in result.text):
        return result
    good = [
        tool for tool in tools if not isinstance(tool, dict) or not find_invalid_x_mcp_header(tool.get("inputSchema"))
    ]
    return result if len(good) == len(tools) else {**result, "tools": good}
