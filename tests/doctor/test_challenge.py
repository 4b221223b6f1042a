"""Reading WWW-Authenticate."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portkey_mcp.doctor.challenge import challenges


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (
            'Bearer resource_metadata="https://x/y", scope="a b"',
            [("bearer", {"resource_metadata": "https://x/y", "scope": "a b"})],
        ),
        ("Bearer", [("bearer", {})]),
        ('Basic realm="x", BEARER Error="a\\"b"', [("basic", {"realm": "x"}), ("bearer", {"error": 'a"b'})]),
        ("Negotiate abc==, Bearer a = b", [("negotiate", {}), ("bearer", {"a": "b"})]),
        ("Bearer,Basic", [("bearer", {}), ("basic", {})]),
        ('Bearer a="x, Basic y=z"', [("bearer", {"a": "x, Basic y=z"})]),
        (", Bearer a=b,, c=d ,", [("bearer", {"a": "b", "c": "d"})]),
        ("", []),
        ('Bearer a="b" c=d', None),
        ('Bearer a="b', None),
        ("Bearer a=b, A=c", None),
        ('resource_metadata="https://x"', None),
        ("Bearer resource_metadata=https://x/y", None),
    ],
)
def test_challenges_are_read_as_rfc_9110_has_them(header: str, found: object) -> None:
    assert challenges(header) == found


@given(st.text('Bearer ,="\\\t a') | st.text())
def test_whatever_comes_is_read_or_refused(header: str) -> None:
    found = challenges(header)

    assert found is None or all(one.scheme for one in found)
