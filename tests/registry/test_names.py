"""Names fit in URLs, in `{server}__{tool}`, and beside the gateway's own paths."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portkey_mcp.registry.names import NAME, RESERVED, SLUG, host_problem, name_problem, slug_problem, url_problem


@given(st.text(max_size=60))
def test_what_passes_as_a_slug_is_a_plain_path_segment(text: str) -> None:
    if not slug_problem(text):
        assert SLUG.fullmatch(text)
        assert text.isascii()
        assert text == text.lower()
        assert text not in RESERVED


@given(st.from_regex(NAME, fullmatch=True))
def test_what_passes_as_a_name_divides_from_a_tool_in_one_way_only(name: str) -> None:
    if not name_problem(name):
        assert f"{name}__tool".split("__", 1) == [name, "tool"]
        assert f"{name}___tool".split("__", 1) == [name, "_tool"]


@pytest.mark.parametrize("slug", ["ws-demo", "a1b", "x" * 50])
def test_good_slugs(slug: str) -> None:
    assert slug_problem(slug) == ""


@pytest.mark.parametrize("slug", ["", "ab", "-ab", "ab-", "Demo", "a_b", "x" * 51, "a/b", "demo\n"])
def test_bad_slugs(slug: str) -> None:
    expected = "expected 3 to 50 lower-case letters, digits and dashes, no dash at an end"
    assert slug_problem(slug) == f"{slug!r} cannot be a workspace; {expected}"


@pytest.mark.parametrize("slug", sorted(RESERVED))
def test_the_gateways_own_paths_are_no_workspaces(slug: str) -> None:
    assert slug_problem(slug) == f"{slug!r} cannot be a workspace: the gateway uses that path itself"


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("files", ""),
        ("a", ""),
        ("git_hub-2", ""),
        ("Files", "'Files' cannot be a server; expected at most 31 lower-case letters, digits, - and _"),
        ("", "'' cannot be a server; expected at most 31 lower-case letters, digits, - and _"),
        ("x" * 32, f"'{'x' * 32}' cannot be a server; expected at most 31 lower-case letters, digits, - and _"),
        ("a__b", "'a__b' cannot be a server: `__` divides server and tool on a hub"),
        ("a_", "'a_' cannot be a server: `__` divides server and tool on a hub"),
        ("mcp", "'mcp' cannot be a server: it ends every endpoint's path"),
    ],
)
def test_names_of_servers(name: str, problem: str) -> None:
    assert name_problem(name) == problem


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("https://mcp.example.com/mcp?x=1", ""),
        ("http://127.0.0.1:9000", ""),
        ("${env:SERVER_URL}", ""),
        ("https://${env:HOST}/mcp", ""),
        ("ftp://x/", "'ftp://x/' is no http(s) URL"),
        ("mcp.example.com/mcp", "'mcp.example.com/mcp' is no http(s) URL"),
        ("https://me:pw@x/", "a URL with a user name or password in it is refused; send them in a header"),
        ("https://x/#top", "'https://x/#top' has a fragment (#top), which no server ever sees; remove it"),
        ("https://[x/", "'https://[x/' is no URL: Invalid IPv6 URL"),
    ],
)
def test_urls_of_upstreams(url: str, problem: str) -> None:
    assert url_problem(url) == problem


@pytest.mark.parametrize("host", ["linear.mcp.example.com", "localhost", "a-1.b"])
def test_good_host_aliases(host: str) -> None:
    assert host_problem(host) == ""


@pytest.mark.parametrize("host", ["", "A.com", "x.com:80", "x.com/", "-x.com", "x..com", "a" * 64 + ".com"])
def test_bad_host_aliases(host: str) -> None:
    assert host_problem(host) == f"{host!r} is no host name; expected one in lower case, without port and path"
