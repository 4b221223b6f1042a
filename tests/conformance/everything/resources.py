"""The fixture's resources: text, binary, one from a template, one to be watched."""

import json
import re

from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS

from tests.conformance.everything.call import Call, Json
from tests.conformance.everything.content import PNG

TEXTS = {
    "test://static-text": "This is the content of the static text resource.",
    "test://watched-resource": "This resource may be watched.",
    "test://example-resource": "This is an example.",
}
BINARY = "test://static-binary"
TEMPLATE = "test://template/{id}/data"

LEGACY_NOT_FOUND = -32002
"""The code of 2025-11-25 and earlier; the modern era has plain invalid params (SEP-2164)."""


def resource_list() -> list[Json]:
    texts = [{"uri": uri, "name": uri.removeprefix("test://"), "mimeType": "text/plain"} for uri in TEXTS]
    return [*texts, {"uri": BINARY, "name": "static-binary", "mimeType": "image/png"}]


def template_list() -> list[Json]:
    return [{"uriTemplate": TEMPLATE, "name": "template", "mimeType": "application/json"}]


async def read_resource(call: Call) -> Json:
    """Raises MCPError in the era's own code for a resource that does not exist."""
    uri = call.params["uri"]
    if uri in TEXTS:
        return {"contents": [{"uri": uri, "mimeType": "text/plain", "text": TEXTS[uri]}]}
    if uri == BINARY:
        return {"contents": [{"uri": uri, "mimeType": "image/png", "blob": PNG}]}
    if filled := re.fullmatch(r"test://template/([^/]+)/data", uri):
        data = {"id": filled[1], "templateTest": True, "data": f"Data for ID: {filled[1]}"}
        return {"contents": [{"uri": uri, "mimeType": "application/json", "text": json.dumps(data)}]}
    raise MCPError(INVALID_PARAMS if call.modern else LEGACY_NOT_FOUND, "Resource not found", {"uri": uri})
