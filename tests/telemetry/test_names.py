"""Names that leave the process are unique, and our own stand in our own namespace."""

import re

from portkey_mcp.telemetry import names

ATTRIBUTES = {
    key: value for key, value in vars(names).items() if key.isupper() and re.fullmatch(r"[a-z_]+(\.[a-z_]+)+", value)
}


def test_every_attribute_has_one_name() -> None:
    assert len(set(ATTRIBUTES.values())) == len(ATTRIBUTES) == 18


def test_names_without_a_convention_are_in_our_own_namespace() -> None:
    conventional = ("mcp.", "gen_ai.", "rpc.", "jsonrpc.", "error.", "network.", "server.")
    assert all(value.startswith((*conventional, "portkey_mcp.")) for value in ATTRIBUTES.values())
