"""The legacy HTTP session."""

import pytest

from portkey_mcp.errors import UpstreamDown, UpstreamError
from portkey_mcp.upstream.session import NO_SESSION, Session

SESSION = Session("s", "2025-11-25", {})


def test_its_headers_name_it_and_its_version_where_there_are_any() -> None:
    assert SESSION.lines == b"mcp-protocol-version: 2025-11-25\r\nMcp-Session-Id: s\r\n"
    assert Session("", "2025-11-25", {}).lines == b"mcp-protocol-version: 2025-11-25\r\n"
    assert NO_SESSION.lines == b""


def test_an_id_goes_back_byte_by_byte_as_it_came() -> None:
    assert Session(b"\xe9".decode("latin-1"), "", {}).lines == b"Mcp-Session-Id: \xe9\r\n"


@pytest.mark.parametrize(("ident", "version"), [("a\r\nX: y", ""), ("", "2025\n"), ("\0", "")])
def test_what_no_header_can_hold_names_no_session(ident: str, version: str) -> None:
    with pytest.raises(ValueError, match="control character"):
        Session(ident, version, {})


@pytest.mark.parametrize(
    ("session", "error", "lost"),
    [
        (SESSION, UpstreamDown("up", "", 404), True),
        (SESSION, UpstreamError({"code": -32001}, 404), True),
        (SESSION, UpstreamError({"code": -32601}, 404), False),
        (SESSION, UpstreamDown("up", "", 400), False),
        (NO_SESSION, UpstreamDown("up", "", 404), False),
    ],
)
def test_it_is_lost_when_a_404_is_about_it(session: Session, error: UpstreamDown | UpstreamError, lost: bool) -> None:
    assert session.is_lost(error) is lost
