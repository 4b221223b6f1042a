"""States: for one provider, one browser, ten minutes and one use."""

from dataclasses import replace

import pytest

from portkey_mcp.errors import Unauthenticated
from portkey_mcp.identity import pending
from portkey_mcp.identity.pending import BROWSER, LIFE, PendingSignIns, new_browser
from portkey_mcp.sealing import KeyRing
from portkey_mcp.trust import Provider

CORP = Provider("corp", "https://idp.example", "gateway")


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_state_stands_for_its_sign_in_and_shows_nothing_of_it() -> None:
    signs, browser = PendingSignIns(KeyRing.generate()), new_browser()
    state, made = signs.make(CORP, browser, "/ui/approve/abc")
    assert all(secret not in state for secret in (made.nonce, made.verifier, "approve"))
    assert made.nonce not in repr(made)
    assert signs.take(CORP, browser, state) == made


def test_a_state_ends_after_ten_minutes() -> None:
    clock, browser = Clock(), new_browser()
    signs = PendingSignIns(KeyRing.generate(), clock)
    state, _ = signs.make(CORP, browser, "/ui/")
    clock.now += LIFE
    with pytest.raises(Unauthenticated):
        signs.take(CORP, browser, state)


@pytest.mark.parametrize(
    "other",
    [
        replace(CORP, id="evil"),
        replace(CORP, issuer="https://evil.example"),
        replace(CORP, client_id="another"),
    ],
)
def test_a_state_is_for_one_provider_as_it_was_configured_then(other: Provider) -> None:
    signs, browser = PendingSignIns(KeyRing.generate()), new_browser()
    state, _ = signs.make(CORP, browser, "/ui/")
    with pytest.raises(Unauthenticated):
        signs.take(other, browser, state)
    assert signs.take(CORP, browser, state)


@pytest.mark.parametrize("state", ["", "v1.k1.AAAA", "x" * 5000, "ß"])
def test_what_is_no_state_is_refused(state: str) -> None:
    with pytest.raises(Unauthenticated):
        PendingSignIns(KeyRing.generate()).take(CORP, new_browser(), state)


def test_no_cookie_is_no_browser() -> None:
    signs = PendingSignIns(KeyRing.generate())
    state, _ = signs.make(CORP, "", "/ui/")
    with pytest.raises(Unauthenticated):
        signs.take(CORP, "", state)


def test_two_browsers_are_two() -> None:
    one, two = new_browser(), new_browser()
    assert one != two
    assert BROWSER.fullmatch(one)


def test_no_more_states_are_remembered_than_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pending, "MOST_TAKEN", 10)
    clock, browser = Clock(), new_browser()
    signs = PendingSignIns(KeyRing.generate(), clock)
    for _ in range(50):
        state, _ = signs.make(CORP, browser, "/ui/")
        signs.take(CORP, browser, state)
        with pytest.raises(Unauthenticated):
            signs.take(CORP, browser, state)
    assert len(signs._taken) == 10
    clock.now += 2 * LIFE
    signs.take(CORP, browser, signs.make(CORP, browser, "/ui/")[0])
    assert len(signs._taken) == 1
