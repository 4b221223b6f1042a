from pathlib import Path

from tests.cli.program import run


def test_upgrade_makes_the_database_and_may_be_repeated(tmp_path: Path) -> None:
    for _ in range(2):
        assert run("db", "upgrade", "--data", tmp_path / "new").code == 0

    assert list((tmp_path / "new").glob("*.db"))


def test_a_directory_that_cannot_be_made_is_said_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ended = run("db", "upgrade", "--data", tmp_path / "file" / "inside")

    assert ended.code == 2
    assert "Traceback" not in ended.err
    assert "inside" in ended.err
