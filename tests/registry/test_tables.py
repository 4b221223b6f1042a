"""Columns and the values that travel must not drift apart."""

from dataclasses import fields

from portkey_mcp.model import Bundle, McpServer
from portkey_mcp.registry.tables import BundleRow, ServerRow


def test_a_servers_columns_are_its_fields_and_its_origin() -> None:
    assert set(ServerRow.__table__.columns.keys()) == {field.name for field in fields(McpServer) if field.init} | {
        "origin"
    }


def test_a_bundles_columns_are_its_fields_and_its_origin() -> None:
    assert set(BundleRow.__table__.columns.keys()) == {field.name for field in fields(Bundle)} | {"origin"}
