"""What can be said of a URL before anything is asked."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portkey_mcp.doctor.target import about_url, canonical, loopback, origin, parsed, secure, target
from portkey_mcp.errors import Mistake


@pytest.mark.parametrize(
    "url",
    [
        *("", "mcp.example.com/mcp", "ftp://h/mcp", "https://", "https:///mcp", "https://h:port/", "https://h:99999/"),
        *("https://h/mcp#top", "https://ada:secret@h/mcp", "https://h/m cp", "https://h/m\ncp", "https://[::1/mcp"),
    ],
)
def test_what_cannot_be_a_connector_s_url_is_a_mistake_and_no_password_is_repeated(url: str) -> None:
    with pytest.raises(Mistake) as raised:
        target(url)

    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("url", "verdict", "what", "mend"),
    [
        ("https://mcp.example.com/mcp", "good", "https, host mcp.example.com", ""),
        ("https://mcp.example.com/mcp", "good", "the path is /mcp", ""),
        ("http://mcp.example.com/mcp", "bad", "it is http", "by https"),
        ("http://127.0.0.1:8080/mcp", "doubtful", "Claude Code can use it from here", "public name"),
        ("http://nas.local/mcp", "doubtful", "Claude Code can use it from here", "public name"),
        ("https://mcp.example.com:8443/mcp", "doubtful", "the port is 8443", "443"),
        ("https://mcp.example.com/mcp?key=1", "doubtful", "it has a query", "Authorization"),
        ("https://mcp.example.com/mcp/", "doubtful", "ends with a slash", "without the slash"),
        ("https://mcp.example.com/Api/mcp", "doubtful", "capital letters", "small letters"),
        ("https://mcp.example.com/team/files/mcp", "doubtful", "the path is /team/files/mcp", "host alias"),
        ("https://mcp.example.com", "doubtful", "the path is /;", "host alias"),
    ],
)
def test_its_parts_are_judged(url: str, verdict: str, what: str, mend: str) -> None:
    findings = list(about_url(target(url)))

    assert any(f.verdict == verdict and what in f.what and mend in f.mend for f in findings), findings


def test_a_good_url_gives_nothing_to_mend() -> None:
    assert {finding.verdict for finding in about_url(target("https://mcp.example.com/mcp"))} == {"good"}


@pytest.mark.parametrize(
    ("url", "same"),
    [
        ("HTTPS://Mcp.Example.com:443/mcp/", "https://mcp.example.com/mcp"),
        ("https://h:8443/Mcp", "https://h:8443/Mcp"),
        ("http://[::1]:80/", "http://[::1]"),
        ("https://h/mcp?a=B", "https://h/mcp?a=B"),
        ("nonsense", "nonsense"),
    ],
)
def test_k8_resources_are_compared_in_canonical_form(url: str, same: str) -> None:
    assert canonical(url) == same


def test_k2_well_known_places_have_the_path_inserted_or_are_at_the_root() -> None:
    given = target("https://H.example:443/team/mcp/")

    assert given.well_known("x") == "https://h.example/.well-known/x/team/mcp"
    assert given.well_known("x", path=False) == "https://h.example/.well-known/x"
    assert given.with_path("/a") == "https://H.example:443/a"


@pytest.mark.parametrize(
    ("url", "fine"),
    [
        *(("https://h/", True), ("http://localhost:1/", True), ("http://127.0.0.2/", True), ("http://[::1]/", True)),
        *(("http://h/", False), ("ftp://localhost/", False), ("", False), ("https:///x", False), ("//h", False)),
    ],
)
def test_oauth_is_spoken_by_https_or_on_this_machine(url: str, fine: bool) -> None:
    assert secure(url) is fine


def test_only_this_very_machine_is_loopback() -> None:
    assert loopback("::1")
    assert not loopback("10.0.0.1")
    assert not loopback("localhost.example.com")


@given(st.text() | st.text("htps:/[]@#?.%0a1 ").map(lambda text: f"https://{text}"))
def test_nothing_that_a_server_may_write_into_a_url_breaks_the_reading(url: str) -> None:
    split = parsed(url)
    canonical(url), secure(url)

    assert bool(split and split.hostname) == bool(origin(url))
