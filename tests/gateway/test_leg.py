"""What a leg knows of tasks and messages, for those who come with them."""

import pytest

from portkey_mcp.policy.document import parse
from portkey_mcp.policy.terms import FREE
from tests.gateway.house import house
from tests.gateway.memory_link import MemoryLink

pytestmark = pytest.mark.anyio

KEY = "AKIA" + "IOSFODNN7EXAMPLE"


@pytest.mark.parametrize("task", ["7", 7, ["7"], None, {}])
async def test_where_something_may_be_hidden_only_a_task_that_is_remembered_is_known(task: object) -> None:
    async with house(MemoryLink(), policy=parse({"rules": [{"match": "alpha/write", "enabled": False}]})) as served:
        lane = served.lane(served.call("tasks/get"))
        assert lane.terms_of_task(task) is None
        served.means.started.note("team/alpha", "ada", "read", {"taskId": "7"})
        assert (lane.terms_of_task(task) is not None) is (task == "7")
        served.means.started.note("team/alpha", "ada", "write", {"taskId": "7"})
        assert lane.terms_of_task(task) is None


async def test_where_results_are_looked_at_a_forgotten_task_is_unknown_too() -> None:
    async with house(MemoryLink(), policy=parse({"rules": [{"match": "*", "redact": ["secrets"]}]})) as served:
        assert served.lane(served.call("tasks/get")).terms_of_task("7") is None
    async with house(MemoryLink()) as served:
        assert served.lane(served.call("tasks/get")).terms_of_task("7") is FREE


async def test_a_message_about_a_task_goes_by_the_tasks_own_terms() -> None:
    rules = [{"match": "alpha/read", "redact": ["secrets"]}, {"match": "alpha/write", "enabled": False}]
    async with house(MemoryLink(), policy=parse({"rules": rules})) as served:
        lane = served.lane(served.call("tasks/get"))
        served.means.started.note("team/alpha", "ada", "read", {"taskId": "r"})
        served.means.started.note("team/alpha", "ada", "write", {"taskId": "w"})
        told = {"method": "notifications/tasks/status", "params": {"taskId": "r", "statusMessage": KEY}}
        passed = lane.passes(told, FREE)
        assert passed is not None
        assert KEY not in str(passed)
        assert lane.passes({**told, "params": {"taskId": "w"}}, FREE) is None
        assert lane.passes({"method": "notifications/progress", "params": {"progress": 1}}, FREE) is not None
