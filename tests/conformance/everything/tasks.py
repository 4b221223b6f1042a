"""The tasks extension (SEP-2663): tools that answer later, and `tasks/get`, `tasks/update`, `tasks/cancel`.

Modern only. Tasks live in memory for as long as the server does.
"""

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import anyio
from anyio.abc import TaskGroup
from mcp.shared.exceptions import MCPError
from mcp.shared.inbound import decode_header_value
from mcp_types import HEADER_MISMATCH, INTERNAL_ERROR, INVALID_PARAMS

from tests.conformance.everything.asking import NAME, elicitation
from tests.conformance.everything.call import Call, Json, Tool, lacking, tool
from tests.conformance.everything.changes import TASKS_EXTENSION, Changes
from tests.conformance.everything.content import result, text

LIFETIME = 300_000
"""Milliseconds a task may be asked for; longer than any test."""


def _now() -> str:
    return datetime.now(UTC).isoformat()


@dataclass
class Task:
    """One piece of work that goes on after its call was answered. `outcome` holds `result` or `error`."""

    id: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    status: str = "working"
    created: str = field(default_factory=_now)
    updated: str = field(default_factory=_now)
    outcome: Json = field(default_factory=dict)
    questions: dict[str, Json] = field(default_factory=dict)
    answers: dict[str, Json] = field(default_factory=dict)
    answered: anyio.Event = field(default_factory=anyio.Event)
    cancelled: anyio.Event = field(default_factory=anyio.Event)

    @property
    def over(self) -> bool:
        return self.status in ("completed", "failed", "cancelled")

    def summary(self) -> Json:
        """What a `CreateTaskResult` says."""
        times = {"createdAt": self.created, "lastUpdatedAt": self.updated}
        return {"taskId": self.id, "status": self.status, **times, "ttlMs": LIFETIME, "pollIntervalMs": 50}

    def detail(self) -> Json:
        """What `tasks/get` and a status notification say."""
        asked = {"inputRequests": self.questions} if self.questions else {}
        return {**self.summary(), **asked, **self.outcome}


Work = Callable[[Task], Awaitable[Json]]


class Tasks:
    """Every task of this server, and the methods of the extension."""

    def __init__(self, changes: Changes) -> None:
        self._changes = changes
        self._tasks: dict[str, Task] = {}

    async def start(self, call: Call, work: Work, background: TaskGroup) -> Json:
        """Begin the work and answer with a `CreateTaskResult`."""
        task = Task()
        self._tasks[task.id] = task
        background.start_soon(self._run, task, work)
        return {"resultType": "task", **task.summary()}

    async def ask(self, task: Task, questions: dict[str, Json]) -> dict[str, Json]:
        """Park the task until every question is answered, or until it is cancelled."""
        task.questions = dict(questions)
        await self._move(task, "input_required")
        await task.answered.wait()
        await self._move(task, "working")
        return task.answers

    async def get(self, call: Call) -> Json:
        return self._find(call).detail()

    async def update(self, call: Call) -> Json:
        task = self._find(call)
        for key, answer in call.params.get("inputResponses", {}).items():
            if task.questions.pop(key, None) is not None:
                task.answers[key] = answer
        if not task.questions:
            task.answered.set()
        return {}

    async def cancel(self, call: Call) -> Json:
        task = self._find(call)
        if not task.over:
            await self._move(task, "cancelled")
            task.cancelled.set()
        return {}

    async def _run(self, task: Task, work: Work) -> None:
        async with anyio.create_task_group() as running:
            running.start_soon(self._work, task, work, running.cancel_scope)
            await task.cancelled.wait()
            running.cancel_scope.cancel()

    async def _work(self, task: Task, work: Work, scope: anyio.CancelScope) -> None:
        try:
            outcome, status = {"result": await work(task)}, "completed"
        except MCPError as error:
            outcome, status = {"error": error.error.model_dump(mode="json", exclude_none=True)}, "failed"
        if not task.over:
            task.outcome = outcome
            await self._move(task, status)
        scope.cancel()

    async def _move(self, task: Task, status: str) -> None:
        task.status, task.updated = status, _now()
        if task.over:
            task.questions = {}
        await self._changes.publish("notifications/tasks", task.detail())

    def _find(self, call: Call) -> Task:
        """The task named by the call, for a client that declares the extension and says the same in its header."""
        require_extension(call)
        identifier = call.params.get("taskId")
        headers = call.ctx.request.headers if call.ctx.request is not None else {}
        if decode_header_value(headers.get("mcp-name")) != identifier:
            raise MCPError(HEADER_MISMATCH, "Mcp-Name does not match params.taskId")
        if identifier not in self._tasks:
            raise MCPError(INVALID_PARAMS, f"Unknown task: {identifier}")
        return self._tasks[identifier]


def declares_tasks(call: Call) -> bool:
    return TASKS_EXTENSION in call.capabilities.get("extensions", {})


def require_extension(call: Call) -> None:
    if not declares_tasks(call):
        raise lacking({"extensions": {TASKS_EXTENSION: {}}})


async def greet(call: Call) -> Json:
    return result(text(f"Hello, {call.arguments.get('name', 'nobody')}!"))


async def _fail(task: Task) -> Json:
    return {**result(text("The job failed.")), "isError": True}


async def _break(task: Task) -> Json:
    raise MCPError(INTERNAL_ERROR, "The job broke the protocol")


def task_tools(tasks: Tasks, background: Callable[[Call], TaskGroup]) -> list[Tool]:
    """The tools of the suite's `tasks-*` scenarios; `background` says where a call's task may go on."""

    async def compute(seconds: float) -> Json:
        with anyio.move_on_after(seconds):
            await anyio.Event().wait()
        return result(text(f"Computed for {seconds} seconds."))

    async def slow_compute(call: Call) -> Json:
        seconds = float(call.arguments.get("seconds", 0))
        if not declares_tasks(call):
            return await compute(seconds)
        return await tasks.start(call, lambda _task: compute(seconds), background(call))

    async def with_name(call: Call) -> Json:
        require_extension(call)
        answer = (await call.ask({"user_name": NAME}))["user_name"]
        name = (answer.get("content") or {}).get("name")

        async def work(task: Task) -> Json:
            return result(text(f"Hello, {name}!"))

        return await tasks.start(call, work, background(call))

    def always_a_task(work: Work) -> Callable[[Call], Awaitable[Json]]:
        async def run(call: Call) -> Json:
            require_extension(call)
            return await tasks.start(call, work, background(call))

        return run

    def asks(questions: dict[str, Json]) -> Work:
        async def work(task: Task) -> Json:
            return result(text(f"Answered: {await tasks.ask(task, questions)}"))

        return work

    confirm = {"confirm": elicitation("Really delete?", {"confirm": {"type": "boolean"}})}
    anything: Json = {"type": "object"}
    return [
        tool("greet", "Greets at once", greet, anything),
        tool("slow_compute", "Takes its time", slow_compute, anything),
        tool("failing_job", "Fails later", always_a_task(_fail)),
        tool("protocol_error_job", "Breaks the protocol later", always_a_task(_break)),
        tool("confirm_delete", "Asks before it deletes", always_a_task(asks(confirm)), anything),
        tool("multi_input", "Asks two things at once", always_a_task(asks({"first": NAME, "second": NAME}))),
        tool("test_tool_with_task", "Asks first, then becomes a task", with_name),
    ]
