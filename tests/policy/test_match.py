"""Patterns mean what the document says, whatever characters they are made of."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portkey_mcp.policy.match import compile_pattern, glob, plain, plainest, readings

ODD = st.text(alphabet="ab*?[]!\\^$.|(){}/\n é漢", max_size=12)


def by_the_book(pattern: str, name: str) -> bool:
    """The definition of a glob, slow and plain."""
    reachable = {0}
    for sign in pattern:
        if sign == "*":
            reachable = set(range(min(reachable, default=0), len(name) + 1)) if reachable else set()
        else:
            reachable = {at + 1 for at in reachable if at < len(name) and sign in ("?", name[at])}
    return len(name) in reachable


@given(ODD, ODD)
def test_a_glob_matches_exactly_what_its_definition_says(pattern: str, name: str) -> None:
    assert glob(pattern)(name) is by_the_book(pattern, name)


@given(st.text())
def test_a_name_without_wildcards_matches_itself_and_nothing_longer(name: str) -> None:
    text = re.sub(r"[*?]", "", name)
    assert glob(text)(text)
    assert not glob(text)(text + "x")
    assert not glob(text)(text + "\n")


@pytest.mark.parametrize(
    ("pattern", "kind", "server", "name", "fits"),
    [
        ("files/read_file", "tool", "files", "read_file", True),
        ("files/read_*", "tool", "files", "read_file", True),
        ("files/read_*", "tool", "files", "Read_file", False),
        ("files/read_*", "prompt", "files", "read_file", False),
        ("f?les/*", "tool", "files", "a/b\nc", True),
        ("*/delete", "tool", "anything", "delete", True),
        ("tool:files/x", "tool", "files", "x", True),
        ("prompt:files/*", "prompt", "files", "x", True),
        ("prompt:files/*", "tool", "files", "x", False),
        ("prompt:*", "prompt", "files", "x", True),
        ("prompt:*", "resource", "files", "x", False),
        ("resource:files/file:///srv/*", "resource", "files", "file:///srv/a/b", True),
        ("resource:files/file:///srv/*", "template", "files", "file:///srv/{path}", True),
        ("template:files/file:///srv/*", "resource", "files", "file:///srv/a/b", True),
        ("resource:files/file:///srv/*", "resource", "other", "file:///srv/a", False),
        ("*", "template", "files", "x", True),
        ("files/[ab]", "tool", "files", "a", False),
        ("files/[ab]", "tool", "files", "[ab]", True),
        ("files/[!a]", "tool", "files", "b", False),
    ],
)
def test_a_pattern_fits_its_kind_server_and_name(pattern: str, kind: str, server: str, name: str, fits: bool) -> None:
    compiled = compile_pattern(pattern)
    assert (kind in compiled.kinds and compiled.server(server) and compiled.name(name)) is fits


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("", "server/tool"),
        ("files", "server/*"),
        ("files/", "server/*"),
        ("/read", "server's name"),
        ("fi les/read", "server's name"),
        ("promt:files/x", "prompt:"),
        ("resource:", "server/tool"),
    ],
)
def test_what_is_no_pattern_is_refused_with_advice(text: str, advice: str) -> None:
    with pytest.raises(ValueError, match=re.escape(advice)):
        compile_pattern(text)


def test_very_long_patterns_with_many_wildcards_do_not_backtrack() -> None:
    hostile = glob("a*" * 5_000 + "b")
    assert not hostile("a" * 20_000)
    assert hostile("a" * 20_000 + "b")


@pytest.mark.parametrize(
    "uri",
    [
        "file:///secret/key",
        "FILE:///secret/key",
        "file:/secret/key",
        "file://localhost/secret/key",
        "file:///%73ecret/key",
        "file:///%2573ecret/key",
        "file:///public/../secret/key",
        "file:///public/%2e%2e/secret/key",
        "file:///public%2f..%2fsecret/key",
        "file:///public\\..\\secret\\key",
        "file:///.//secret/./key",
        "file:///public%3F/../secret/key",
        "file:///public?/../secret/key",
        "file:///../../secret/key",
    ],
)
def test_every_spelling_of_a_uri_has_the_same_plain_reading(uri: str) -> None:
    assert readings(uri)[0] == uri
    assert plainest(uri) == "file:///secret/key"
    assert "file:///secret/key" in readings(uri)


@pytest.mark.parametrize("uri", ["demo://a/b", "urn:x:y", "no-scheme", "", "mail:a@b", "demo://a/b/"])
def test_a_plain_uri_has_one_reading(uri: str) -> None:
    assert readings(uri) == (uri,)


@given(st.text())
def test_reading_a_uri_never_fails_and_stays_bounded(uri: str) -> None:
    assert len(readings(uri)) <= 4
    assert len(plain(uri)) <= len(uri) + 2


def test_a_pattern_written_encoded_fits_what_it_names_in_every_reading() -> None:
    pattern = compile_pattern("resource:files/file:///a%20b/*")
    assert all(pattern.name(reading) for reading in readings("file:///a%20b/c"))
    assert not compile_pattern("resource:files/file:///%2A").name("file:///anything")
