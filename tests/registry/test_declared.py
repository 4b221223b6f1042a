"""A declaration never shows a key."""

from portkey_mcp.model import DeclaredKey
from portkey_mcp.registry.declared import Declared


def test_keys_are_not_shown() -> None:
    assert "hush" not in repr(Declared(api_keys=(DeclaredKey("demo", "ci", "hush"),)))
