"""The legacy HTTP session."""

import pytest

from portkey_mcp.errors import UpstreamDown, UpstreamError
from portkey_mcp.upstream.session import NO_SESSION, Session

SESSION = Session("s", "2025-11-25", {})


def test_its_headers_name_it_and_its_version_where_there_are_any() -> None:
    assert SESSION.headers == {"mcp-protocol-version": "2025-11-25", "Mcp-Session-Id": "s"}
    assert Session("", "2025-11-25", {}).headers == {"mcp-protocol-version": "2025-11-25"}
    assert NO_SESSION.headers == {}


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
