import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from portkey_mcp.gateway.naming import exposed, exposed_uri, plain_name, plain_uri, server_of
from portkey_mcp.registry.names import name_problem

SERVERS = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,30}", fullmatch=True).filter(lambda name: not name_problem(name))
ODD = st.sampled_from(["_", "__", "-", ".", "/", "é", "\n", "_0123abcd", "\ud800", "x" * 40, "+"])
NAMES = st.text(st.characters(), max_size=90) | st.lists(ODD | st.text(max_size=4), max_size=5).map("".join)


@given(SERVERS, NAMES)
def test_an_exposed_name_is_one_that_models_accept(server: str, name: str) -> None:
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", exposed(server, name))


@given(SERVERS, NAMES)
def test_a_name_comes_back_as_it_went_or_is_looked_up(server: str, name: str) -> None:
    shown = exposed(server, name)

    assert server_of(shown, [server, "another"]) == server
    assert plain_name(shown, server) in (name, None)


@given(SERVERS, st.from_regex(r"[a-zA-Z][a-zA-Z0-9-]{0,20}", fullmatch=True))
def test_an_ordinary_name_needs_no_look_up(server: str, name: str) -> None:
    assert exposed(server, name) == f"{server}__{name}"
    assert plain_name(exposed(server, name), server) == name


@given(st.tuples(SERVERS, NAMES), st.tuples(SERVERS, NAMES))
def test_two_different_things_never_share_a_name(one: tuple[str, str], other: tuple[str, str]) -> None:
    assume(one != other)

    assert exposed(*one) != exposed(*other)


@pytest.mark.parametrize("name", ["a.b", "a b", "x" * 70, "x" * 61, "deploy_0123abcd", "é", ""])
def test_names_that_differ_only_in_what_is_lost_stay_apart(name: str) -> None:
    likely = {exposed("s", other) for other in ("a_b", "a.b", "a b", "x" * 70, "x" * 71, "x" * 61, "deploy_0123abcd")}

    assert exposed("s", name) == exposed("s", name)
    assert len(likely) == 7


def test_a_tool_cannot_pose_as_the_shortened_name_of_another() -> None:
    shortened = exposed("s", "a.b")
    posing = shortened.removeprefix("s__")

    assert exposed("s", posing) != shortened


@given(st.text(max_size=80))
def test_no_name_that_a_client_makes_up_raises(name: str) -> None:
    server = server_of(name, ["s", "s-2"])

    if server is not None:
        own = plain_name(name, server)
        assert own is None or exposed(server, own) == name


@given(SERVERS, st.text(max_size=60) | st.sampled_from(["ui://app/x", "ui://", "file:///a+b", "mcp+x+y:z", "a{?q}"]))
def test_a_uri_comes_back_as_it_went(server: str, uri: str) -> None:
    assert plain_uri(exposed_uri(server, uri)) == (server, uri)


@given(st.text(max_size=60))
def test_no_uri_that_a_client_makes_up_raises(uri: str) -> None:
    found = plain_uri(uri)

    assert found is None or isinstance(found[1], str)


def test_uris_of_apps_keep_their_scheme() -> None:
    assert exposed_uri("maps", "ui://maps/view.html") == "ui://maps+maps/view.html"


def test_the_scheme_of_an_exposed_uri_is_one() -> None:
    scheme = exposed_uri("my_files-2", "file:///x").partition(":")[0]

    assert re.fullmatch(r"[a-z][a-z0-9+.-]*", scheme)
