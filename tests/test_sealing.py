"""What is sealed opens only whole, only with its key, and only for what it was sealed for."""

import base64
import logging
import re
import stat
import string
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portkey_mcp.errors import Mistake
from portkey_mcp.sealing import KEY_FILE, LOOK_EVERY, KeyRing, Unsealable, key_file, key_of

RING = KeyRing.generate()
KEY = base64.b64encode(b"k" * 32).decode()
OTHER = base64.b64encode(b"o" * 32).decode()


@given(st.binary(max_size=2000), st.text(st.characters(exclude_categories=["Cs"]), max_size=50))
def test_what_was_sealed_opens_and_is_safe_in_headers_and_urls(plaintext: bytes, bind: str) -> None:
    token = RING.seal(plaintext, bind)
    assert RING.open(token, bind) == plaintext
    assert re.fullmatch(r"v1\.k1\.[A-Za-z0-9_-]+", token)


@given(
    st.binary(max_size=50), st.integers(min_value=0), st.sampled_from(string.ascii_letters + string.digits + "-_.=~ ")
)
def test_a_changed_character_never_opens_to_something_else(plaintext: bytes, place: int, letter: str) -> None:
    token = RING.seal(plaintext, "here")
    place %= len(token)
    changed = token[:place] + letter + token[place + 1 :]
    try:
        assert RING.open(changed, "here") == plaintext
    except Unsealable:
        assert changed != token


@given(st.text(max_size=100))
def test_any_text_is_refused_and_nothing_worse(text: str) -> None:
    with pytest.raises(Unsealable):
        RING.open(text, "here")


def test_what_was_sealed_for_one_place_does_not_open_at_another() -> None:
    token = RING.seal(b"secret", "secrets|demo|a|x")
    with pytest.raises(Unsealable, match="damaged, or sealed for something else"):
        RING.open(token, "secrets|demo|b|x")


def test_the_first_key_seals_and_all_open() -> None:
    old = KeyRing.parse(f"old:{KEY}")
    both = KeyRing.parse(f"new:{OTHER},old:{KEY}")
    token = old.seal(b"secret", "x")
    assert both.open(token, "x") == b"secret"
    assert both.seal(b"secret", "x").startswith("v1.new.")
    assert old.is_current(token)
    assert not both.is_current(token)


def test_a_key_that_is_not_on_the_ring_opens_nothing() -> None:
    token = KeyRing.parse(f"a:{KEY}").seal(b"secret", "x")
    with pytest.raises(Unsealable, match="not sealed by this gateway, or with a key that is not on its ring"):
        KeyRing.parse(f"b:{KEY}").open(token, "x")
    with pytest.raises(Unsealable, match="damaged"):
        KeyRing.parse(f"a:{OTHER}").open(token, "x")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (" , ", "holds no key; expected `id:base64` with 32 bytes of base64"),
        (KEY, "key 1 is not `id:base64` with an id of letters, digits, - and _"),
        (f"a:{KEY},b.c:{KEY}", "key 2 is not `id:base64` with an id of letters, digits, - and _"),
        (f"a:{KEY},a:{OTHER}", "the key id 'a' is there twice"),
        ("a:????", "key 'a' is not base64"),
        ("a:c2hvcnQ=", "key 'a' has 5 bytes; expected 32"),
    ],
)
def test_a_wrong_ring_is_explained_without_its_keys(text: str, problem: str) -> None:
    with pytest.raises(Mistake) as wrong:
        KeyRing.parse(text)
    assert str(wrong.value) == f"PORTKEY_MCP_SECRET_KEYS: {problem}"


def test_url_safe_base64_and_missing_padding_are_fine() -> None:
    key = base64.urlsafe_b64encode(b"\xff" * 32).decode().rstrip("=")
    assert KeyRing.parse(f"a:{key}").open(KeyRing({"a": b"\xff" * 32}).seal(b"x", ""), "") == b"x"


def test_the_first_run_makes_a_key_file_for_the_owner_only_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = tmp_path / "new" / "data"
    token = KeyRing.of(data).seal(b"secret", "x")
    file = data / KEY_FILE
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert f"made a new key for secrets at rest: {file}" in caplog.text
    caplog.clear()
    assert KeyRing.of(data).open(token, "x") == b"secret"
    assert caplog.text == ""
    assert [path.name for path in data.iterdir()] == [KEY_FILE]


def test_processes_that_start_together_agree_on_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        rings = list(threads.map(lambda _: KeyRing.of(tmp_path), range(8)))
    token = rings[0].seal(b"secret", "x")
    assert {ring.open(token, "x") for ring in rings} == {b"secret"}


def test_given_keys_win_over_the_file_and_make_none(tmp_path: Path) -> None:
    KeyRing.of(tmp_path, f"a:{KEY}")
    assert not (tmp_path / KEY_FILE).exists()


def test_a_key_file_that_others_can_read_is_complained_about(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / KEY_FILE
    file.write_text(f"a:{KEY}\n")
    file.chmod(0o644)
    with caplog.at_level(logging.WARNING):
        KeyRing.of(tmp_path)
    assert caplog.messages == [f"{file} can be read by other users of this machine; chmod 600 it"]


def test_a_damaged_key_file_is_named(tmp_path: Path) -> None:
    (tmp_path / KEY_FILE).write_text("nonsense")
    with pytest.raises(Mistake, match=r"secret\.key: key 1 is not `id:base64`"):
        KeyRing.of(tmp_path)


@pytest.fixture
def moving(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The clock by which rings look at their file; it stands until its one number is changed."""
    clock = [1000.0]
    monkeypatch.setattr("portkey_mcp.sealing.time.monotonic", lambda: clock[0])
    return clock


def test_a_ring_seals_with_a_key_that_was_put_in_front_a_second_later(tmp_path: Path, moving: list[float]) -> None:
    ring = KeyRing.of(tmp_path)
    before = ring.seal(b"secret", "x")
    key_file(tmp_path).add()
    assert key_of(ring.seal(b"secret", "x")) == "k1"
    moving[0] += LOOK_EVERY
    assert key_of(ring.seal(b"secret", "x")) == "k2"
    assert ring.open(before, "x") == b"secret"
    assert ring.key_ids == ("k2", "k1")
    assert not ring.is_current(before)


def test_a_key_that_a_ring_has_not_heard_of_is_looked_for_at_once(tmp_path: Path, moving: list[float]) -> None:
    ring = KeyRing.of(tmp_path)
    key_file(tmp_path).add()
    assert ring.open(KeyRing.of(tmp_path).seal(b"secret", "x"), "x") == b"secret"
    with pytest.raises(Unsealable, match="a key that is not on its ring"):
        ring.open("v1.k9.AAAA", "x")


def test_a_key_that_was_taken_away_opens_nothing_a_second_later(tmp_path: Path, moving: list[float]) -> None:
    ring = KeyRing.of(tmp_path)
    before = ring.seal(b"secret", "x")
    file = key_file(tmp_path)
    file.add()
    file.drop({"k1"})
    moving[0] += LOOK_EVERY
    with pytest.raises(Unsealable):
        ring.open(before, "x")


@pytest.mark.parametrize("damage", ["", "k2:", "k2:QUJD\nk1:", None], ids=["empty", "cut", "short", "gone"])
def test_a_key_file_that_is_damaged_meanwhile_changes_nothing_and_is_told_once(
    tmp_path: Path, moving: list[float], caplog: pytest.LogCaptureFixture, damage: str | None
) -> None:
    ring = KeyRing.of(tmp_path)
    file, caplog_before = tmp_path / KEY_FILE, len(caplog.messages)
    whole = file.read_text()
    file.unlink() if damage is None else file.write_text(damage)
    for _ in range(3):
        moving[0] += LOOK_EVERY
        assert ring.open(ring.seal(b"secret", "x"), "x") == b"secret"
    assert [message[:45] for message in caplog.messages[caplog_before:]] == [
        "the key file changed and cannot be read; the "
    ]
    file.write_text(whole)
    key_file(tmp_path).add()
    moving[0] += LOOK_EVERY
    assert key_of(ring.seal(b"secret", "x")) == "k2"


def test_given_keys_follow_no_file(tmp_path: Path, moving: list[float]) -> None:
    ring = KeyRing.of(tmp_path, f"a:{KEY}")
    KeyRing.of(tmp_path)
    key_file(tmp_path).add()
    moving[0] += LOOK_EVERY
    ring.follow()
    assert ring.key_ids == ("a",)


def test_an_envelope_names_its_key_and_nothing_else_does() -> None:
    assert key_of(KeyRing.parse(f"mine:{KEY}").seal(b"x", "")) == "mine"
    assert key_of("v1.k1.") == "k1"
    assert [key_of(text) for text in ("", "v1", "v1.k1", "v2.k1.x", "plain")] == [""] * 5
