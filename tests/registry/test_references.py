"""References lead to values when a link is opened, and to a sentence when they lead nowhere."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portkey_mcp.errors import Mistake
from portkey_mcp.registry.references import LARGEST_FILE, find, literal, problem, resolve
from tests.registry.conftest import ENVIRON

pytestmark = pytest.mark.anyio

WHERE = "server 'demo/a', env.X"


async def secret(name: str) -> str:
    return {"a-key": "${env:TOKEN}"}[name]


async def resolved(text: str) -> str:
    return await resolve(text, WHERE, ENVIRON, secret)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("plain $HOME {x} $", "plain $HOME {x} $"),
        ("Bearer ${env:TOKEN}!", "Bearer from-the-environment!"),
        ("${env:EMPTY}", ""),
        ("${env:EMPTY:-default}", "default"),
        ("${env:MISSING:-a:-b}", "a:-b"),
        ("${env:MISSING:-}", ""),
        ("$${env:TOKEN}", "${env:TOKEN}"),
        ("${secret:a-key}", "${env:TOKEN}"),
    ],
)
async def test_references_are_replaced_once(text: str, value: str) -> None:
    assert await resolved(text) == value


async def test_a_file_gives_its_text_without_the_last_line_end(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_bytes(b" two\nlines \r\n")
    assert await resolved(f"<${{file:{file}}}>") == "< two\nlines >"


@given(st.text())
async def test_a_literal_text_comes_out_as_it_went_in(text: str) -> None:
    if "$${" not in text:
        assert list(find(literal(text))) == []
        assert await resolved(literal(text)) == text


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("${HOME}", "${HOME} is no reference; did you mean ${env:HOME}? A literal `${` is written `$${`"),
        ("${input:x}", "${input:x} is no reference; did you mean ${env:NAME}? A literal `${` is written `$${`"),
        ("x ${env:A", "'${env:A' is not closed; expected `}`, or `$${` for a literal `${`"),
        ("${env:}", "${env:}: expected the name of an environment variable"),
        ("${env:a-b}", "${env:a-b}: expected the name of an environment variable"),
        ("${env:PORTKEY_MCP_X}", "${env:PORTKEY_MCP_X}: the gateway's own settings are not handed out"),
        ("${file:secret}", "${file:secret}: expected an absolute path"),
        ("${secret:}", "${secret:}: expected the name of a stored secret"),
    ],
)
async def test_a_malformed_reference_is_explained(text: str, what: str) -> None:
    assert problem(text) == what
    with pytest.raises(Mistake) as wrong:
        await resolved(text)
    assert str(wrong.value) == f"{WHERE}: {what}"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("${env:MISSING}", "${env:MISSING} is not set in the gateway's environment"),
        ("${secret:gone}", "${secret:gone} is not stored"),
        ("${file:/no/such/file}", "${file:/no/such/file} cannot be read: No such file or directory"),
    ],
)
async def test_a_reference_that_leads_nowhere_is_named_with_its_place(text: str, what: str) -> None:
    assert problem(text) == ""
    with pytest.raises(Mistake) as wrong:
        await resolved(text)
    assert str(wrong.value) == f"{WHERE}: {what}"


@pytest.mark.parametrize(
    ("content", "what"), [(b"x" * (LARGEST_FILE + 1), "is larger than 65536 bytes"), (b"\xff", "is not UTF-8 text")]
)
async def test_a_file_that_is_no_secret_is_refused(tmp_path: Path, content: bytes, what: str) -> None:
    file = tmp_path / "secret"
    file.write_bytes(content)
    with pytest.raises(Mistake) as wrong:
        await resolved(f"${{file:{file}}}")
    assert str(wrong.value) == f"{WHERE}: ${{file:{file}}} {what}"


def test_the_gateways_own_settings_are_not_handed_out_in_any_letter_case() -> None:
    """They are read so, too."""
    assert "not handed out" in problem("${env:portkey_mcp_secret_keys}")
