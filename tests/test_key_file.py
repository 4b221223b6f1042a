"""The key file is replaced whole, is its owner's only, and is changed by one at a time."""

import stat
from pathlib import Path

import pytest

from portkey_mcp.errors import Conflict
from portkey_mcp.key_file import KeyFile


def ids(file: KeyFile) -> list[str]:
    return [line.partition(":")[0] for line in file.text().split()]


@pytest.fixture
def file(tmp_path: Path) -> KeyFile:
    made = KeyFile(tmp_path / "secret.key")
    made.make()
    return made


def test_a_fresh_key_comes_in_front_and_the_others_stay_as_they_are(file: KeyFile) -> None:
    before = file.text()
    assert file.add() == "k2"
    assert file.text().endswith(f"\n{before}")
    assert ids(file) == ["k2", "k1"]
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert [path.name for path in file.path.parent.iterdir()] == ["secret.key"]


def test_ids_are_never_had_twice_and_peoples_own_are_let_be(file: KeyFile) -> None:
    file.path.write_text(f"mine:{'A' * 43}=,k7:{'B' * 43}=\n")
    assert file.add() == "k8"
    file.drop({"k7", "mine"})
    assert ids(file) == ["k8"]
    assert file.add() == "k9"


def test_making_keeps_what_is_there(file: KeyFile) -> None:
    before = file.text()
    file.make()
    assert file.text() == before


def test_another_content_has_another_stamp(file: KeyFile) -> None:
    before = file.stamp()
    assert file.stamp() == before
    file.add()
    assert file.stamp() != before
    file.path.unlink()
    assert file.stamp() is None


def test_two_who_change_keys_at_once_are_kept_apart(file: KeyFile) -> None:
    refused = pytest.raises(Conflict, match="keys are being changed by another command just now")
    with file.alone(), refused, file.alone():
        raise AssertionError
    with file.alone():
        file.add()


def test_what_cannot_be_written_changes_nothing(file: KeyFile, tmp_path: Path) -> None:
    before = file.text()
    broken = KeyFile(tmp_path / "absent" / "secret.key")
    with pytest.raises(OSError, match="absent"):
        broken.add()
    assert file.text() == before
