"""Spans of one kind share one shape; what clients choose can neither fill the memory nor break the encoding."""

from typing import Any

import pytest
from opentelemetry.trace import SpanKind

from portkey_mcp.model import Endpoint, McpServer, Principal, Visit, Workspace
from portkey_mcp.telemetry import shapes
from portkey_mcp.telemetry.shapes import KEPT, LONGEST, Shape, clean, client_shape, own, server_shape

SERVER = McpServer("demo", "files", "http", url="https://files.example.com/mcp")
VISIT = Visit(Principal("p", "P", "local"), Endpoint("server", Workspace("demo", "Demo", {}, {}), "files"))


def received(
    method: str = "tools/call", params: Any = None, version: str = "2026-07-28", visit: Visit = VISIT
) -> Shape:
    return server_shape(visit, "modern", version, method, params)


def sent(server: McpServer = SERVER, params: Any = None) -> Shape:
    return client_shape(server, "modern", "2026-07-28", "tools/call", params)


def test_calls_of_one_tool_share_a_shape_whatever_their_arguments() -> None:
    assert received(params={"name": "a", "arguments": {"x": 1}}) is received(params={"name": "a"})
    assert sent(params={"name": "a", "_meta": {}}) is sent(params={"name": "a"})
    assert (received().kind, sent().kind) == (SpanKind.SERVER, SpanKind.CLIENT)


def test_what_differs_has_a_shape_of_its_own() -> None:
    hub = Visit(VISIT.principal, Endpoint("hub", VISIT.endpoint.workspace))
    bundle = Visit(VISIT.principal, Endpoint("bundle", VISIT.endpoint.workspace, "files"))
    others = [
        received(),
        received(params={"name": "a"}),
        received(params={"name": ""}),
        received("prompts/get", {"name": "a"}),
        received(version=""),
        received(visit=hub),
        received(visit=bundle),
        sent(),
        sent(McpServer("demo", "files", "http", url="http://127.0.0.1:1/mcp")),
        sent(McpServer("demo", "files", "stdio")),
    ]
    assert len({(shape.kind, shape.name, *sorted(map(str, shape.attributes.items()))) for shape in others}) == 10
    assert len(set(others)) == 10


def test_names_that_clients_choose_do_not_fill_the_memory() -> None:
    for number in range(KEPT + 10):
        received(params={"name": f"tool{number}"})
    assert shapes._server.cache_info().currsize == KEPT
    assert received(params={"name": "x" * LONGEST + "a" * 9}) is received(params={"name": "x" * LONGEST + "b" * 9})
    assert received("m" * LONGEST + "a", version="v" * LONGEST + "a") is received(
        "m" * LONGEST + "b", version="v" * LONGEST + "b"
    )


def test_what_is_a_spans_own_is_text_without_secrets() -> None:
    uri = {"uri": "https://me:pass@h/p?token=x#y"}
    assert own("resources/read", uri, 7, "s1") == {
        "mcp.session.id": "s1",
        "jsonrpc.request.id": "7",
        "mcp.resource.uri": "https://h/p",
    }
    assert own("tools/call", uri, None) == own("resources/read", {"uri": 5}, None) == {}


@pytest.mark.parametrize(("text", "cleaned"), [("é", "é"), ("a\ud800b", "a?b"), ("x" * 300, "x" * LONGEST)])
def test_text_is_cut_and_can_be_encoded(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned
