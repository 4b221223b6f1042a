"""Which tool started a task is remembered per server and principal, and no longer than it may be."""

import pytest

from portkey_mcp.gateway import started
from portkey_mcp.gateway.started import Started, task_in


@pytest.mark.parametrize(
    ("result", "task"),
    [
        ({"resultType": "task", "taskId": "a"}, "a"),
        ({"task": {"taskId": "b"}}, "b"),
        ({"task": {}}, None),
        ({"taskId": 7}, None),
        ({"content": []}, None),
    ],
)
def test_the_task_in_a_result(result: dict[str, object], task: str | None) -> None:
    assert task_in(result) == task


def test_a_task_belongs_to_the_principal_who_started_it_at_that_server() -> None:
    tasks = Started()
    tasks.note("team/a", "ada", "run", {"taskId": "1"})
    assert tasks.tool("team/a", "ada", "1") == "run"
    assert tasks.tool("team/a", "bob", "1") is None
    assert tasks.tool("team/b", "ada", "1") is None
    assert tasks.tool("team/a", "ada", None) is None


def test_the_oldest_are_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(started, "MOST", 2)
    tasks = Started()
    for number in range(3):
        tasks.note("team/a", "ada", "run", {"taskId": str(number)})
    assert [tasks.tool("team/a", "ada", str(number)) for number in range(3)] == [None, "run", "run"]
