"""What a file says of keys and of who may use a server, as it is declared, and what is wrong with it."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from portkey_mcp.errors import Mistakes
from portkey_mcp.model import Access, DeclaredKey
from portkey_mcp.registry.declared import Declared
from portkey_mcp.registry.document import load

SERVER = "files: {url: 'https://x/', access: {people: [Ada@Example.com, 'key:0a'], groups: [ops]}}"


def written(file: Path, server: str, key: str) -> Path:
    file.write_text(f"version: 1\nworkspaces:\n  demo:\n    servers:\n      {server}\n    api_keys:\n      - {key}\n")
    return file


def test_keys_are_not_shown() -> None:
    assert "hush" not in repr(Declared(api_keys=(DeclaredKey("demo", "ci", "hush"),)))


def test_a_server_can_be_for_some_and_a_key_for_one_server_and_a_time(tmp_path: Path) -> None:
    key = "{name: ci, key: x, scopes: [mcp:read], server: files, expires: 2027-01-31}"
    declared = load(written(tmp_path / "portkey.yaml", SERVER, key))
    access = declared.workspaces["demo"].servers["files"].access

    assert access == Access(("ada@example.com", "key:0a"), ("ops",))
    until = datetime(2027, 1, 31, tzinfo=UTC)
    assert declared.api_keys == (DeclaredKey("demo", "ci", "x", "member", ("mcp:read",), "files", until),)


@pytest.mark.parametrize(
    ("server", "key", "said"),
    [
        ("files: {url: 'https://x/', access: {}}", "{name: ci, key: x}", "5:42: access names nobody"),
        ("files: {url: 'https://x/', access: {groups: [' a']}}", "{name: ci, key: x}", "5:42: ' a' is no name of a"),
        (SERVER, "{name: ci, key: x, server: fles}", "7:36: unknown server 'fles'; did you mean 'files'?"),
        (SERVER, "{name: ci, key: x, scopes: []}", "7:36: scopes names none"),
        (SERVER, "{name: ci, key: x, scopes: [mcp:write]}", "expected 'mcp:read' or 'mcp:call'"),
        (SERVER, "{name: ci, key: x, expires: tomorrow}", "7:37: 'tomorrow' is no date or moment"),
    ],
)
def test_what_is_wrong_with_them_is_said_where_it_stands(tmp_path: Path, server: str, key: str, said: str) -> None:
    with pytest.raises(Mistakes) as wrong:
        load(written(tmp_path / "portkey.yaml", server, key))

    assert said in str(wrong.value)
