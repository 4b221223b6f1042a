import weakref
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portkey_mcp.errors import NotFound
from portkey_mcp.gateway import session as sessions_module
from portkey_mcp.gateway.session import LARGEST_TOKEN, Live, Sessions, new_session_id
from portkey_mcp.model import Endpoint, Visit, Workspace
from portkey_mcp.sealing import KeyRing
from tests.gateway.house import ADA, BOB

KEYS = KeyRing.generate()
TEAM = Workspace("team", "Team", {}, {})
VISIT = Visit(ADA, Endpoint("server", TEAM, "files"))


def minted(sessions: Sessions, **more: Any) -> str:
    given: dict[str, Any] = {"capabilities": {"roots": {}}, "client_info": {"name": "me"}, **more}
    return sessions.mint(VISIT, "ident", "2025-11-25", **given).token


def test_a_session_opens_in_another_process_with_all_that_was_declared() -> None:
    token = minted(Sessions(KEYS, 30))
    session = Sessions(KEYS, 30).open(token, VISIT)

    assert (session.id, session.version, session.token) == ("ident", "2025-11-25", token)
    assert (session.capabilities, session.client_info) == ({"roots": {}}, {"name": "me"})


@pytest.mark.parametrize(
    "visit",
    [
        Visit(BOB, Endpoint("server", TEAM, "files")),
        Visit(ADA, Endpoint("server", TEAM, "mail")),
        Visit(ADA, Endpoint("hub", TEAM)),
        Visit(ADA, Endpoint("server", Workspace("other", "Other", {}, {}), "files")),
    ],
)
def test_a_session_is_nobody_elses_and_good_at_its_endpoint_only(visit: Visit) -> None:
    sessions = Sessions(KEYS, 30)

    with pytest.raises(NotFound):
        sessions.open(minted(sessions), visit)


def test_a_session_of_another_gateway_does_not_open() -> None:
    with pytest.raises(NotFound):
        Sessions(KeyRing.generate(), 30).open(minted(Sessions(KEYS, 30)), VISIT)


@given(st.text() | st.binary().map(lambda data: "v1.k1." + data.hex()))
def test_no_token_that_a_client_makes_up_does_worse_than_not_found(token: str) -> None:
    with pytest.raises(NotFound):
        Sessions(KEYS, 30).open(token, VISIT)


TOKEN = minted(Sessions(KEYS, 30))


@given(st.data())
def test_a_changed_token_does_not_open(data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(TOKEN) - 2))
    letter = data.draw(st.sampled_from("ABCxyz019_-").filter(lambda letter: letter != TOKEN[place]))

    with pytest.raises(NotFound):
        Sessions(KEYS, 30).open(TOKEN[:place] + letter + TOKEN[place + 1 :], VISIT)


def test_a_session_ends_with_its_lifetime(monkeypatch: pytest.MonkeyPatch) -> None:
    sessions = Sessions(KEYS, 30)
    token = minted(sessions)
    now = sessions_module.time.time()
    monkeypatch.setattr(sessions_module.time, "time", lambda: now + 30 * 86_400 - 5)
    sessions.open(token, VISIT)
    monkeypatch.setattr(sessions_module.time, "time", lambda: now + 30 * 86_400 + 5)

    with pytest.raises(NotFound):
        sessions.open(token, VISIT)


@pytest.mark.anyio
async def test_an_ended_session_opens_no_more_and_its_stream_is_closed() -> None:
    sessions = Sessions(KEYS, 30)
    session = sessions.open(minted(sessions), VISIT)
    stream = sessions.live(session).stream = anyio.CancelScope()
    sessions.end(session)

    assert stream.cancel_called
    with pytest.raises(NotFound):
        sessions.open(session.token, VISIT)


def test_ending_a_session_twice_is_no_mistake() -> None:
    sessions = Sessions(KEYS, 30)
    session = sessions.open(minted(sessions), VISIT)
    sessions.end(session)
    sessions.end(session)


def test_a_large_client_info_keeps_its_name_only() -> None:
    info = {"name": "me", "version": "1", "icons": ["x" * 2000], "title": 7}
    session = Sessions(KEYS, 30).mint(VISIT, "i", "v", {}, info)

    assert session.client_info == {"name": "me", "version": "1"}


@pytest.mark.parametrize(
    ("capabilities", "info"),
    [
        ({"elicitation": {}, "vendor": "x" * 9000}, {}),
        ({"elicitation": {"x": "x" * 9000}}, {}),
        ({"elicitation": {}}, {"name": "x" * 9000}),
    ],
)
def test_a_token_fits_into_a_header_whatever_a_client_declares(
    capabilities: dict[str, Any], info: dict[str, Any]
) -> None:
    sessions = Sessions(KEYS, 30)
    session = sessions.mint(VISIT, "i", "2025-11-25", capabilities, info)

    assert len(session.token) <= LARGEST_TOKEN
    assert "elicitation" in sessions.open(session.token, VISIT).capabilities


def test_what_a_session_set_is_remembered_until_too_many_others_came(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions_module, "KEPT_LIVE", 2)
    sessions = Sessions(KEYS, 30)
    one, two, three = (sessions.mint(VISIT, ident, "v", {}, {}) for ident in "abc")
    kept, lost = sessions.live(one), sessions.live(two)
    sessions.live(one)
    sessions.live(three)

    assert sessions.live(one) is kept
    assert sessions.live(two) is not lost


async def wakes(live: Live, server: str, uri: str, wanted: bool) -> bool:
    changed = live.changed
    live.subscribe(server, uri, wanted)
    return changed.is_set() and not live.changed.is_set()


@pytest.mark.anyio
async def test_a_change_of_subscriptions_wakes_whoever_streams() -> None:
    live = Live()

    assert await wakes(live, "files", "f:x", True)
    assert live.subscriptions == {("files", "f:x")}
    assert await wakes(live, "files", "f:x", False)
    assert live.subscriptions == set()
    assert await wakes(live, "files", "f:never", False)


def test_links_that_were_told_are_forgotten_with_the_links() -> None:
    class Link: ...

    live, link = Live(), Link()
    live.told.add(link)
    gone = weakref.ref(link)
    del link

    assert gone() is None
    assert len(live.told) == 0


def test_session_ids_are_unguessable() -> None:
    assert len({new_session_id() for _ in range(100)}) == 100
    assert len(new_session_id()) >= 16


def test_a_token_in_use_stays_open_when_others_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions_module, "KEPT_OPEN", 2)
    sessions = Sessions(KEYS, 30)
    one, two, three = (sessions.mint(VISIT, ident, "v", {}, {}).token for ident in "abc")
    kept, lost = sessions.open(one, VISIT), sessions.open(two, VISIT)
    sessions.open(one, VISIT)
    sessions.open(three, VISIT)

    assert sessions.open(one, VISIT) is kept
    assert sessions.open(two, VISIT) is not lost
    assert sessions.open(two, VISIT) == lost


def test_what_was_asked_for_keeps_its_id_until_it_is_done() -> None:
    live = Live()

    assert live.connected("files") is None
    assert [live.elicited("files", "one"), live.elicited("files", "two"), live.elicited("mail", "three")] == [
        "one",
        "one",
        "three",
    ]
    assert [live.connected("files"), live.connected("files")] == ["one", None]
