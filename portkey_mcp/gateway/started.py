"""Which tool started which task, so that a task is hidden as its tool is.

Task ids of a server's own URL are the server's; what they belong to is known to the process that saw them start. One
that nobody remembers belongs to no visible tool: where tools may be hidden at all, that fails closed.
"""

from collections import OrderedDict
from typing import Any, Final

from portkey_mcp.wire import Json

MOST: Final = 100_000
"""Tasks remembered; the oldest are forgotten first."""


class Started:
    """Tasks and their tools. One per process."""

    def __init__(self) -> None:
        self._tools: OrderedDict[tuple[str, str, str], str] = OrderedDict()

    def note(self, server: str, principal: str, tool: str, result: Json) -> None:
        """Remember the task that a call of `tool` started, if it started one. `server` is its key."""
        task = task_in(result)
        if task is not None:
            self._tools[server, principal, task] = tool
            if len(self._tools) > MOST:
                self._tools.popitem(last=False)

    def tool(self, server: str, principal: str, task: Any) -> str | None:
        """The tool that started a task of this principal; None when nobody remembers."""
        return self._tools.get((server, principal, task)) if isinstance(task, str) else None


def task_in(result: Json) -> str | None:
    """The id of the task that a result is about: `taskId` (SEP-2663), or `task.taskId` (2025-11-25 tasks)."""
    task = result.get("task")
    found = task.get("taskId") if isinstance(task, dict) else result.get("taskId")
    return found if isinstance(found, str) else None
