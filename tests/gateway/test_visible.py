from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portkey_mcp.errors import InvalidRequest
from portkey_mcp.gateway.visible import LISTINGS, View, used_things
from portkey_mcp.model import Endpoint, Visit, Workspace
from portkey_mcp.policy.decide import Rules
from portkey_mcp.policy.match import compile_pattern
from portkey_mcp.upstream.reading import LISTS
from portkey_mcp.wire import Json
from tests.gateway.house import ADA, EVE, hiding

TEAM = Endpoint("server", Workspace("team", "Team", {}, {}), "files")
NAMES = st.sampled_from(["read", "write", "secret", "file:///a", "file:///secret"]) | st.text(max_size=5)


def view(*hidden: str, chosen: tuple[str, ...] | None = None, principal: Any = ADA) -> View:
    patterns = None if chosen is None else tuple(compile_pattern(text) for text in chosen)
    return View(Visit(principal, TEAM), "files", Rules(hiding(*hidden)), patterns)


HIDING = view("files/secret", "prompt:files/secret", "resource:files/file:///secret*")


@given(NAMES, st.sampled_from(["tools", "prompts"]))
def test_what_is_listed_can_be_used_and_what_is_not_cannot(name: str, kind: str) -> None:
    method, use = {"tools": ("tools/list", "tools/call"), "prompts": ("prompts/list", "prompts/get")}[kind]
    listed = HIDING.listed(method, {kind: [{"name": name}]})[kind]
    try:
        HIDING.use(use, {"name": name}, "modern")
        usable = True
    except InvalidRequest:
        usable = False

    assert bool(listed) == usable


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("tools/call", {"name": "secret"}),
        ("prompts/get", {"name": "secret"}),
        ("resources/read", {"uri": "file:///secret"}),
        ("resources/read", {"uri": "file:///x/../%73ecret"}),
        ("resources/subscribe", {"uri": "file:///secret"}),
        ("resources/unsubscribe", {"uri": "file:///secret"}),
        ("completion/complete", {"ref": {"type": "ref/prompt", "name": "secret"}}),
        ("completion/complete", {"ref": {"type": "ref/resource", "uri": "file:///secret"}}),
        ("completion/complete", {"ref": {"type": "odd", "name": "secret"}}),
        ("completion/complete", {"ref": {"uri": "file:///secret"}}),
    ],
)
def test_every_use_of_a_hidden_thing_is_refused_as_unknown(method: str, params: Json) -> None:
    with pytest.raises(InvalidRequest) as caught:
        HIDING.use(method, params, "modern")
    assert caught.value.code == -32602
    assert "hidden" not in str(caught.value)


def test_a_legacy_client_gets_its_own_code_for_an_unknown_resource() -> None:
    with pytest.raises(InvalidRequest) as caught:
        HIDING.use("resources/read", {"uri": "file:///secret"}, "legacy")
    assert (caught.value.code, caught.value.data) == (-32002, {"uri": "file:///secret"})


@pytest.mark.parametrize("params", [None, {}, {"name": None}, {"name": 7}, {"name": ["secret"]}])
def test_a_use_that_names_nothing_is_refused(params: Json | None) -> None:
    with pytest.raises(InvalidRequest) as caught:
        used_things("tools/call", params)
    assert caught.value.code == -32602


@given(st.dictionaries(st.sampled_from(["ref", "name", "uri"]), st.none() | st.text() | st.dictionaries(NAMES, NAMES)))
def test_no_params_do_worse_than_an_invalid_request(params: Json) -> None:
    for method in ("tools/call", "resources/read", "completion/complete", "vendor/method"):
        with suppress(InvalidRequest):
            HIDING.use(method, params, "legacy")


def test_a_view_from_which_nothing_can_be_hidden_passes_results_as_they_are() -> None:
    result = {"tools": [{"name": "secret"}], "cacheScope": "public"}

    assert view().whole
    assert view().listed("tools/list", result) is result
    assert view("other/secret").whole


def test_a_list_that_may_differ_between_visitors_is_private() -> None:
    seen = HIDING.listed("tools/list", {"tools": [{"name": "read"}], "cacheScope": "public", "nextCursor": "c"})

    assert seen == {"tools": [{"name": "read"}], "cacheScope": "private", "nextCursor": "c"}


def test_a_legacy_list_gets_no_cache_scope() -> None:
    assert HIDING.listed("tools/list", {"tools": []}) == {"tools": []}


def test_what_is_filtered_as_a_list_is_recalled_as_one() -> None:
    assert LISTINGS.keys() == LISTS


@pytest.mark.parametrize("method", list(LISTINGS))
@pytest.mark.parametrize("things", [None, 7, "x", {}, [None, 7, {"no": "name"}]])
def test_lists_of_another_shape_pass(method: str, things: Any) -> None:
    member = LISTINGS[method].member

    assert HIDING.listed(method, {member: things})[member] == things


def test_a_bundle_shows_what_it_chose_and_policy_left() -> None:
    chosen = view("files/secret", chosen=("files/read", "files/secret"))

    assert [name for name in ("read", "write", "secret") if chosen.shows("tool", name)] == ["read"]
    assert not chosen.shows("prompt", "read")
    assert not chosen.whole


def test_a_stranger_sees_nothing() -> None:
    assert not view(principal=EVE).shows("tool", "read")


def test_updates_of_hidden_resources_are_not_heard() -> None:
    def updated(uri: Any) -> Json:
        return {"method": "notifications/resources/updated", "params": {"uri": uri}}

    assert HIDING.hears(updated("file:///a"))
    assert not HIDING.hears(updated("file:///secret"))
    assert HIDING.hears({"method": "notifications/message", "params": {"uri": "file:///secret"}})
    assert HIDING.hears(updated(7))
