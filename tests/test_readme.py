"""The README keeps its word: what it shows works, and what a person may set or call is in it."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
import typer.main

from portkey_mcp.cli import app
from portkey_mcp.settings import PREFIX, Settings
from portkey_mcp.telemetry import names
from tests.cli.gateway import gateway
from tests.cli.program import run

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
EXAMPLES = sorted((ROOT / "examples").glob("*/README.md"))
BLOCKS = re.findall(
    r"^```(\w+)\n(.*?)^```$", "\n".join([README, *(path.read_text() for path in EXAMPLES)]), re.M | re.S
)


def blocks(language: str) -> list[str]:
    found = [text for kind, text in BLOCKS if kind == language]
    assert found
    return found


def commands() -> Iterator[tuple[str, Any]]:
    """Every command of the program with its full name, `servers list`."""

    def below(command: Any, path: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
        inner = getattr(command, "commands", None)
        if inner is None:
            yield " ".join(path), command
        for name, child in (inner or {}).items():
            yield from below(child, (*path, name))

    return below(typer.main.get_command(app), ())


@pytest.mark.parametrize("text", blocks("yaml"))
def test_every_file_it_shows_is_right(text: str, tmp_path: Path) -> None:
    """A `portkey.yaml`, or a policy document: that has no workspaces."""
    file = tmp_path / "shown.yaml"
    file.write_text(text)

    assert run(*(("check",) if "workspaces:" in text else ("policy", "check")), file).code == 0


@pytest.mark.parametrize("text", blocks("json"))
def test_every_json_document_it_shows_is_json(text: str) -> None:
    assert json.loads(text)


@pytest.mark.parametrize("text", blocks("python"))
def test_every_program_it_shows_compiles(text: str) -> None:
    compile(text, "README.md", "exec")


SHELL = "\n".join(blocks("sh")).replace("\\\n", " ").splitlines()


@pytest.mark.parametrize("line", [line for line in SHELL if line.startswith("portkey-mcp ")])
def test_every_command_line_it_shows_is_understood(line: str) -> None:
    command, context = typer.main.get_command(app), None
    words = shlex.split(line, comments=True)[1:]
    while hasattr(command, "commands"):
        context = command.make_context(words[0], [], parent=context, resilient_parsing=True)
        command, words = command.commands[words[0]], words[1:]

    command.make_context(command.name, words, parent=context)


@pytest.mark.anyio
@pytest.mark.outside("curl")
async def test_the_curl_lines_it_shows_call_a_tool_of_the_demo() -> None:
    [block] = [text for text in blocks("sh") if text.startswith("curl ")]
    async with gateway("demo", "--port", 0) as demo:
        for line in block.replace("http://127.0.0.1:8080", demo.url).strip().split("\n\n"):
            answer = json.loads((await anyio.run_process(line)).stdout)
            assert answer["result"]["content"][0]["text"] == "hello"


def test_every_command_and_option_is_in_it() -> None:
    missing = [name for name, _ in commands() if f"`portkey-mcp {name}" not in README]
    options = {option for _, command in commands() for parameter in command.params for option in parameter.opts}
    missing += sorted(option for option in options if option.startswith("--") and option not in README)

    assert not missing


def test_every_setting_is_in_it_with_its_variable() -> None:
    assert [name for name in Settings.model_fields if f"`{PREFIX}{name.upper()}`" not in README] == []


def test_every_name_in_telemetry_is_in_it() -> None:
    values = [value for key, value in vars(names).items() if key.isupper() and isinstance(value, str)]

    assert [value for value in values if f"`{value}`" not in README] == []


def test_the_place_for_the_conformance_matrix_is_there() -> None:
    assert README.index("<!-- conformance-matrix -->") < README.index("<!-- /conformance-matrix -->")


def test_the_map_of_the_code_names_files_that_exist_and_symbols_they_have() -> None:
    rows = re.findall(r"^\| `(\w+)` \| `([\w/]+\.py)` \|$", (ROOT / "portkey_mcp" / "README.md").read_text(), re.M)
    wrong = [f"{symbol} in {file}" for symbol, file in rows if not _defines(ROOT / "portkey_mcp" / file, symbol)]

    assert rows
    assert not wrong


def _defines(file: Path, symbol: str) -> bool:
    return file.exists() and bool(
        re.search(rf"^(?:class|(?:async )?def) {symbol}\b|^{symbol}\b.* = ", file.read_text(), re.M)
    )
