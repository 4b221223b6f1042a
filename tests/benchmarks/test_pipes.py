"""A stdio server is driven on a bare pipe and behind a gateway, and every answer is checked."""

import pytest

from benchmarks import pipes
from benchmarks.connection import LoadError
from benchmarks.measure import Wanted
from benchmarks.messages import ECHO
from benchmarks.processes import python
from benchmarks.targets import Upstreams

pytestmark = pytest.mark.anyio


async def test_the_lean_server_answers_on_a_bare_pipe() -> None:
    command, operation = pipes.servers()["lean"]
    assert await pipes.bare_pipe(command, operation, Wanted(seconds=20, warm_up=0, calls=40)) > 0


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ('import sys; [print(\'{"id":0,"result":{}}\', flush=True) for line in sys.stdin]', "a wrong answer"),
        ("pass", "the stdio server ended"),
    ],
)
async def test_a_server_that_is_wrong_or_gone_ends_the_measuring(code: str, says: str) -> None:
    with pytest.raises(LoadError, match=says):
        await pipes.bare_pipe(python("-c", code), ECHO, Wanted(seconds=20, warm_up=0, calls=5))


def test_both_rates_and_their_ratio_are_told(upstreams: Upstreams, monkeypatch: pytest.MonkeyPatch) -> None:
    lean = {"lean": pipes.servers()["lean"]}
    monkeypatch.setattr(pipes, "servers", lambda: lean)
    wanted = Wanted(rounds=1, seconds=20, warm_up=0, calls=5)
    found = {cost.name: cost.value for cost in pipes.pipes(upstreams, False, wanted, lambda line: None)}
    assert found.keys() == {"pipe_lean", "stdio_lean", "stdio_ratio_lean"}
    assert found["stdio_ratio_lean"] == found["stdio_lean"] / found["pipe_lean"]
