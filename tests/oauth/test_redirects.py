"""Redirect URIs: what may be registered, and what then fits."""

from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portkey_mcp.oauth.redirects import LONGEST, fits, host_of, is_loopback, redirect_problem, with_answer

LOOPBACKS = ("http://localhost/callback", "http://127.0.0.1/callback", "http://[::1]/callback")

GOOD = [
    "https://claude.ai/api/mcp/auth_callback",
    "https://claude.com/api/mcp/auth_callback",
    "https://app.example:8443/cb?tenant=1",
    "https://192.0.2.7/cb",
    "https://[2001:db8::1]/cb",
    "http://localhost/callback",
    "http://LOCALHOST:3118/callback",
    "http://127.0.0.1:3118/callback",
    "http://[::1]:3118/callback",
]
BAD = [
    "",
    "callback",
    "/callback",
    "//app.example/cb",
    "https:",
    "https:///cb",
    "https://",
    "http://app.example/cb",
    "http://localhost.evil.example/cb",
    "http://127.0.0.1.evil.example/cb",
    "http://127.0.0.2/cb",
    "http://0.0.0.0/cb",
    "http://[::ffff:127.0.0.1]/cb",
    "http://127%2e0%2e0%2e1/cb",
    "http://loc%61lhost/cb",
    "http://2130706433/cb",
    "http://ada@localhost/cb",
    "https://app.example@evil.example/cb",
    "https://@evil.example/cb",
    "https://app.example:pass@evil.example/cb",
    "https://app.example/cb#part",
    "https://app.example/cb#",
    "https://app.example\\@evil.example/cb",
    "https:\\\\evil.example/cb",
    "https://app.example/c b",
    "https://app.example/cb\r\nSet-Cookie:a=b",
    "https://app.example/\tcb",
    "https://app.example/cb\x7f",
    "https://äpp.example/cb",
    "https://app.example/<script>",
    "https://app.example:99999/cb",
    "https://app.example:port/cb",
    "https://[::1/cb",
    "javascript:alert(1)",
    "JavaScript://app.example/%0aalert(1)",
    "data:text/html,hello",
    "file:///etc/passwd",
    "ftp://app.example/cb",
    "blob:https://app.example/1",
    "cursor://anysphere.cursor-mcp/oauth/callback",
    "https://app.example/" + "a" * LONGEST,
]


@pytest.mark.parametrize("uri", GOOD)
def test_a10_https_and_http_on_this_machine_may_be_registered(uri: str) -> None:
    assert redirect_problem(uri) == ""


@pytest.mark.parametrize("uri", BAD)
def test_a10_b6_everything_else_may_not(uri: str) -> None:
    assert redirect_problem(uri)


def test_a18_a_scheme_of_a_program_is_taken_where_it_is_configured() -> None:
    uri = "cursor://anysphere.cursor-mcp/oauth/callback"

    assert redirect_problem(uri, ["cursor"]) == ""
    assert redirect_problem(uri, ["vscode"])
    assert redirect_problem(f"{uri}#part", ["cursor"])


@pytest.mark.parametrize("uri", GOOD)
def test_a14_what_was_registered_fits(uri: str) -> None:
    assert fits(uri, ["https://other.example/cb", uri])


@pytest.mark.parametrize("registered", LOOPBACKS)
@given(port=st.integers(1, 65535), before=st.none() | st.integers(1, 65535))
def test_a14_on_loopback_any_port_fits(registered: str, port: int, before: int | None) -> None:
    def at(number: int | None) -> str:
        return registered if number is None else registered.replace("/callback", f":{number}/callback")

    assert fits(at(port), [at(before)])
    assert fits(registered, [at(before)])


@given(st.text(alphabet="abcdef/?#&=%.:@[]\\ \r\n\t0123456789", max_size=12), st.sampled_from(LOOPBACKS))
def test_a14_on_loopback_nothing_but_the_port_may_differ(rest: str, registered: str) -> None:
    origin = registered.removesuffix("/callback")
    asked = f"{origin}:4000/{rest}"

    assert fits(asked, [registered]) == (rest == "callback")


@given(st.text(max_size=20), st.integers(0, 30))
def test_a14_no_character_can_be_slipped_in(slipped: str, at: int) -> None:
    good = "http://localhost:4000/callback"
    asked = good[:at] + slipped + good[at:]
    port = asked.removeprefix("http://localhost:").removesuffix("/callback")
    is_port = len(asked) == len(good) + len(slipped) and port.isascii() and port.isdigit() and 0 < int(port) < 65536

    assert fits(asked, ["http://localhost/callback"]) == (
        asked == "http://localhost/callback" or (is_port and port[0] != "0" and asked.endswith("/callback"))
    )


@pytest.mark.parametrize(
    ("asked", "registered"),
    [
        ("http://127.0.0.1:5/callback", "http://localhost/callback"),
        ("http://localhost:5/callback", "http://127.0.0.1/callback"),
        ("http://[::1]:5/callback", "http://127.0.0.1/callback"),
        ("http://localhost.:5/callback", "http://localhost/callback"),
        ("https://localhost:5/callback", "http://localhost/callback"),
        ("http://localhost:5/callback", "https://localhost/callback"),
        ("http://localhost:5/Callback", "http://localhost/callback"),
        ("http://localhost:5/callback/", "http://localhost/callback"),
        ("http://localhost:5/callback?", "http://localhost/callback"),
        ("http://localhost:5/a/../callback", "http://localhost/callback"),
        ("http://localhost:5/%63allback", "http://localhost/callback"),
        ("http://localhost:5/call\r\nback", "http://localhost/callback"),
        ("http://localhost:5/callback#", "http://localhost/callback"),
        ("http://evil@localhost:5/callback", "http://localhost/callback"),
        ("http://localhost:5@evil.example/callback", "http://localhost/callback"),
        ("http://localhost:0/callback", "http://localhost/callback"),
        ("http://localhost:65536/callback", "http://localhost/callback"),
        ("http://localhost:-1/callback", "http://localhost/callback"),
        ("https://app.example:444/cb", "https://app.example/cb"),
        ("https://app.example:443/cb", "https://app.example/cb"),
        ("https://APP.example/cb", "https://app.example/cb"),
        ("https://app.example/cb?x=1", "https://app.example/cb"),
        ("https://sub.app.example/cb", "https://app.example/cb"),
        ("https://app.example/cb/more", "https://app.example/cb"),
        ("cursor://one:5/cb", "cursor://one/cb"),
        ("https://app.example/*", "https://app.example/cb"),
        ("https://app.example/cb", "https://app.example/*"),
    ],
)
def test_a14_everything_else_must_be_the_same(asked: str, registered: str) -> None:
    assert not fits(asked, [registered])


def test_k7_a_client_without_redirects_fits_nothing() -> None:
    assert not fits("https://claude.ai/api/mcp/auth_callback", [])


def test_b8_a_redirect_is_local_or_is_not() -> None:
    assert [is_loopback(uri) for uri in (*LOOPBACKS, "https://app.example/cb", "cursor://x")] == [
        True,
        True,
        True,
        False,
        False,
    ]


def test_k13_people_see_the_host_or_the_scheme() -> None:
    assert host_of("https://App.example:8443/cb?x=evil.example") == "app.example"
    assert host_of("http://[::1]:5/cb") == "::1"
    assert host_of("cursor://anysphere.cursor-mcp/cb") == "cursor:"


@pytest.mark.parametrize(
    "uri", ["https://a.example/cb", "https://a.example/cb?", "https://a.example/cb?x=1", "https://a.example/cb?x="]
)
def test_the_answer_keeps_the_query_there_was(uri: str) -> None:
    answer = {"code": "c&d", "state": "a b+c", "iss": "https://gw.example"}
    url = with_answer(uri, answer)

    assert url.startswith(uri)
    assert {key: values[0] for key, values in parse_qs(urlsplit(url).query).items() if key in answer} == answer
