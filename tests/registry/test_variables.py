"""The variables of clients become references; what is not understood stays text."""

from pathlib import Path

import pytest

from portkey_mcp.registry.variables import Variables, read_env_file


@pytest.mark.parametrize(
    ("text", "translated"),
    [
        ("plain $X", "plain $X"),
        ("Bearer ${TOKEN}", "Bearer ${env:TOKEN}"),
        ("${URL:-https://x}/mcp", "${env:URL:-https://x}/mcp"),
        ("${env:TOKEN}", "${env:TOKEN}"),
        ("${input:my key}", "${secret:a-my-key}"),
        ("${userHome}/x", f"{Path.home()}/x"),
        ("${file:/etc/passwd}", "$${file:/etc/passwd}"),
        ("${secret:other}", "$${secret:other}"),
        ("${open", "$${open"),
    ],
)
def test_each_syntax(tmp_path: Path, text: str, translated: str) -> None:
    assert Variables(tmp_path / "mcp.json", "a", {}).translate(text) == translated


def test_the_workspace_folder_is_above_an_editors_own(tmp_path: Path) -> None:
    assert Variables(tmp_path / ".vscode" / "mcp.json", "a", {}).translate("${workspaceFolder}/x") == f"{tmp_path}/x"
    assert Variables(tmp_path / "mcp.json", "a", {}).plain("sub/.env") == f"{tmp_path}/sub/.env"
    assert Variables(tmp_path / "mcp.json", "a", {}).plain("${workspaceFolder}/.env") == f"{tmp_path}/.env"


def test_what_a_person_is_asked_for_is_collected_with_its_description(tmp_path: Path) -> None:
    variables = Variables(tmp_path / "mcp.json", "a", {"pat": "GitHub token"})
    variables.translate("${input:pat} ${input:other}")
    assert variables.needs == {"a-pat": "GitHub token", "a-other": "other"}


def test_what_is_not_understood_is_noted(tmp_path: Path) -> None:
    variables = Variables(tmp_path / "mcp.json", "a", {})
    variables.translate("${command:pick}")
    assert variables.notes == ["${command:pick} is not understood and kept as text"]


def test_a_file_of_variables_is_read(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text(
        "# comment\nexport A=one\nB = 'two # words'\nC=\"three\"\nD=four # comment\nE=${X}\n\nnonsense\nF=\n"
    )
    assert read_env_file(file) == {"A": "one", "B": "two # words", "C": "three", "D": "four", "E": "$${X}", "F": ""}


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"its envFile .*/\.env cannot be read: No such file or directory"):
        read_env_file(tmp_path / ".env")
    (tmp_path / ".env").write_bytes(b"x" * 70_000)
    with pytest.raises(ValueError, match=r"its envFile .*/\.env is larger than 65536 bytes"):
        read_env_file(tmp_path / ".env")
