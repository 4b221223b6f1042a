import subprocess
import sys

import pytest

from portkey_mcp import __version__, cli
from portkey_mcp.errors import Mistake, PortkeyError, UpstreamDown
from tests.cli.program import run


def raising(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(cli, "app", fail)


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (Mistake("no such key", file="portkey.yaml", line=3, column=5), 2, "portkey.yaml:3:5: no such key\n"),
        (PortkeyError("it did not work"), 1, "it did not work\n"),
        (
            ExceptionGroup("", [ExceptionGroup("", [UpstreamDown("x", "gone")])]),
            1,
            "server 'x' is not available: gone\n",
        ),
    ],
)
def test_a_failure_is_one_line_and_an_exit_code(
    error: Exception, code: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    raising(error, monkeypatch)

    assert run() == (code, "", said)


def test_a_fault_of_our_own_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    raising(ZeroDivisionError(), monkeypatch)

    with pytest.raises(ZeroDivisionError):
        run()


@pytest.mark.parametrize("arguments", [("nonsense",), ("keys", "create"), ("serve", "--port", "many")])
def test_wrong_use_ends_with_2_and_says_why(arguments: tuple[str, ...]) -> None:
    ended = run(*arguments)

    assert ended.code == 2
    assert ended.err


def test_the_package_runs_as_a_program() -> None:
    ended = subprocess.run([sys.executable, "-m", "portkey_mcp", "version"], capture_output=True, text=True, check=True)

    assert ended.stdout == f"{__version__}\n"
