"""`portkey-mcp doctor`: what it prints, and how it exits."""

import json
import re
import sys
from collections import Counter
from pathlib import Path
from subprocess import PIPE
from typing import Any

import anyio
import pytest

from portkey_mcp.cli.doctor import line, summary
from portkey_mcp.doctor.finding import Finding
from tests.cli.gateway import gateway
from tests.cli.program import run
from tests.doctor.clinic import TOKEN, Clinic
from tests.doctor.examined import listener
from tests.stories.gateway import serving

README = (Path(__file__).parents[2] / "README.md").read_text()


async def doctor(*arguments: str, **env: str) -> tuple[int, str, str]:
    """Run it in a process of its own, as a person does: exit code and what it said."""
    command = [sys.executable, "-m", "portkey_mcp", "doctor", *arguments]
    ended = await anyio.run_process(command, check=False, stdout=PIPE, stderr=PIPE, env={"PYTHONUTF8": "1", **env})
    return ended.returncode, ended.stdout.decode(), ended.stderr.decode()


@pytest.mark.anyio
async def test_a_good_server_ends_with_0_and_the_token_comes_from_the_environment_unseen() -> None:
    async with serving(Clinic().app, listener()) as origin:
        code, out, err = await doctor(f"{origin}/mcp", PORTKEY_MCP_DOCTOR_TOKEN=TOKEN)

    assert (code, err) == (0, "")
    assert "✓ good      2 tools" in out
    assert out.splitlines()[-1].endswith("Nothing is bad; read what is doubtful.")
    assert TOKEN not in out


@pytest.mark.anyio
async def test_a_bad_one_ends_with_1_and_says_how_to_mend_it() -> None:
    async with serving(Clinic("issuer slash").app, listener()) as origin:
        code, out, _ = await doctor(f"{origin}/mcp", "--timeout", "5")

    assert code == 1
    assert re.search(r"✗ bad +the issuer is http.*\n( {14}.*\n)* {14}Mend: say http", out)
    assert "2 bad" in out.splitlines()[-1]


@pytest.mark.anyio
async def test_for_programs_it_is_one_finding_a_line() -> None:
    async with serving(Clinic().app, listener()) as origin:
        code, out, _ = await doctor(f"{origin}/mcp", "--json", "--register")

    found: list[dict[str, Any]] = [json.loads(text) for text in out.splitlines()]
    assert code == 0
    assert {tuple(one) for one in found} == {("step", "verdict", "what", "mend", "seconds")}
    assert any(one["step"] == "register" and one["verdict"] == "good" for one in found)


@pytest.mark.parametrize("arguments", [("nonsense",), ("ftp://h/mcp",), ("https://h/mcp", "--timeout", "0"), ()])
def test_wrong_use_ends_with_2(arguments: tuple[str, ...]) -> None:
    ended = run("doctor", *arguments)

    assert ended.code == 2
    assert "Traceback" not in ended.err


def test_a_finding_is_a_mark_a_word_and_the_way_to_mend_it_below() -> None:
    finding = Finding("url", "bad", "a b " * 50, "do this", 1.234)
    lines = line(finding).splitlines()

    assert lines[0].startswith("  ✗ bad       a b")
    assert "(1.23 s)" in lines[-2]
    assert lines[-1] == " " * 14 + "Mend: do this"


@pytest.mark.parametrize(
    ("counts", "text"),
    [
        ({"good": 2}, "2 good. All is well, as far as can be seen from here."),
        (
            {"good": 2, "doubtful": 1, "skipped": 1},
            "2 good, 1 doubtful, 1 skipped. Nothing is bad; read what is doubtful.",
        ),
        ({"bad": 1}, "1 bad. Claude will not get through before what is bad is mended."),
    ],
)
def test_the_summary_counts_and_concludes(counts: dict[Any, int], text: str) -> None:
    assert summary(Counter(counts)) == text


@pytest.mark.anyio
async def test_where_a_terminal_lacks_the_marks_there_are_plain_ones() -> None:
    code, out, _ = await doctor("http://127.0.0.1:1/mcp", PYTHONUTF8="0", PYTHONIOENCODING="ascii")

    assert code == 1
    assert "  x bad  " in out


@pytest.mark.anyio
async def test_the_readme_shows_what_it_says_of_the_demo() -> None:
    [shown] = re.findall(r"```text\n(The URL\n.*?)```", README, re.S)
    async with gateway("demo", "--port", 0) as demo:
        code, out, _ = await doctor(f"{demo.url}/demo/example/mcp")

    assert code == 0
    assert _timeless(out.replace(demo.url, "http://127.0.0.1:8080")) == _timeless(shown)


def _timeless(text: str) -> str:
    """Up to the figures of the end, without times and without the line breaks that depend on them."""
    return re.sub(r" \(\d+\.\d\d s\)", "", " ".join(text.partition("\nSpeed\n")[0].split()))
