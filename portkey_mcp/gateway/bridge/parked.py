"""Calls of modern clients on legacy upstreams, kept open while the person at the client answers a question.

The upstream's request arrives in the middle of an open call; the modern era has only a result and a retry. So the
call runs in a task of its own, is *parked* when it asks, and is found again by the sealed `requestState` of the retry.
What is parked expires, is bound to its principal and to the very request, and its number is limited.
"""

import hashlib
import logging
import secrets
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

import anyio
from anyio.abc import TaskGroup
from mcp_types import INTERNAL_ERROR, INVALID_PARAMS

from portkey_mcp.errors import InvalidRequest, PortkeyError
from portkey_mcp.gateway.bridge.way import Answers
from portkey_mcp.gateway.call import Call
from portkey_mcp.sealing import KeyRing, Unsealable
from portkey_mcp.wire import Json, MalformedJson, dumps, loads

log = logging.getLogger(__name__)

TIME_TO_LIVE: Final = 600.0
"""Seconds a parked call waits for its retry: a person reads, thinks, and types."""

MOST_PER_PRINCIPAL: Final = 32
"""Parked calls one principal may hold; each holds an open upstream call. One more, and the oldest is let go."""

GATHER: Final = 0.03
"""Seconds to wait for further questions once one came, so that those asked at once are answered in one round."""

MOST_KEPT: Final = 1000
"""Notifications kept while nobody is there to hear them; older ones go first."""

SEAL: Final = "parked-call"

Run = Callable[["Parked"], Awaitable[Json]]


@dataclass(slots=True)
class _Asked:
    message: Json
    answered: anyio.Event = field(default_factory=anyio.Event)
    outcome: Json = field(default_factory=dict)


@dataclass(slots=True)
class Parked:
    """One upstream call in its own task. `handle` is unguessable; `digest` is of the request it answers."""

    handle: str
    principal: str
    digest: str
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    questions: dict[str, _Asked] = field(default_factory=dict)
    heard: deque[Json] = field(default_factory=deque)
    stirred: anyio.Event = field(default_factory=anyio.Event)
    outcome: Json | PortkeyError | None = None
    attended: bool = False
    _count: int = 0

    async def notify(self, message: Json) -> None:
        """Keep one notification for whoever listens next; the upstream never waits for it."""
        self.heard.append(message)
        if len(self.heard) > MOST_KEPT and not self.attended:
            self.heard.popleft()
        self.stir()

    async def ask(self, message: Json) -> Json:
        """Hold one server request until a retry answers it."""
        self._count += 1
        key = f"input-{self._count}"
        asked = self.questions[key] = _Asked(message)
        self.stir()
        try:
            await asked.answered.wait()
            return asked.outcome
        finally:
            # The upstream may have withdrawn it; then nobody shall be asked.
            self.questions.pop(key, None)

    def answer(self, responses: Json) -> None:
        """Take what a retry brings; keys nobody asked for are passed over (2026-07-28 mrtr, Error handling)."""
        for key in [key for key in self.questions if key in responses]:
            asked = self.questions.pop(key)
            asked.outcome = {"result": responses[key]}
            asked.answered.set()

    def stir(self) -> None:
        """Wake whoever listens."""
        self.stirred.set()

    async def listen(self, reply: Answers) -> bool:
        """Pass on notifications until the call is done (True) or waits for answers (False)."""
        self.attended = True
        gathered = False
        try:
            while True:
                self.stirred = anyio.Event()
                while self.heard:
                    await reply.notify(self.heard.popleft())
                if self.outcome is not None:
                    return True
                if self.questions and gathered:
                    return False
                if self.questions:
                    await self._gather()
                    gathered = True
                elif not self.heard:
                    await self.stirred.wait()
        finally:
            self.attended = False

    async def _gather(self) -> None:
        """Give the upstream a moment to ask all it wants to ask."""
        with anyio.move_on_after(GATHER):
            while self.outcome is None:
                self.stirred = anyio.Event()
                await self.stirred.wait()


class Parking:
    """All parked calls of this process. Other processes answer a retry of theirs with an error that says so."""

    def __init__(self, keyring: KeyRing, tasks: TaskGroup) -> None:
        self._keyring = keyring
        self._tasks = tasks
        self._parked: dict[str, Parked] = {}

    async def begin(self, principal: str, digest: str, run: Run, reply: Answers) -> Json:
        """Run a call that may ask. Returns its result, or an InputRequiredResult when it is parked.

        Raises:
            PortkeyError: whatever the call itself raised.
        """
        parked = Parked(secrets.token_urlsafe(18), principal, digest)
        self._parked[parked.handle] = parked
        self._tasks.start_soon(self._run, parked, run)
        return await self._attend(parked, reply)

    async def resume(self, principal: str, digest: str, state: str, responses: Json, reply: Answers) -> Json:
        """Bring a retry's answers to the call it names.

        Raises:
            InvalidRequest: the state was tampered with, belongs to another principal or request, has expired, or
                another retry is answering just now.
        """
        parked = self._find(principal, digest, state)
        if parked.attended:
            raise InvalidRequest(INVALID_PARAMS, "Another retry is answering this call already")
        parked.scope.deadline = float("inf")
        parked.answer(responses)
        return await self._attend(parked, reply)

    def resumes(self, call: Call) -> bool:
        """Whether a request only brings answers to a parked call: its principal's own, the very same one, and open yet.

        Then nothing new is sent. A state that opens is not enough: brought with another call, it would make that free.
        """
        params = call.params or {}
        state = params.get("requestState")
        if call.era != "modern" or not isinstance(state, str):
            return False
        try:
            self._find(call.visit.principal.id, digest_of(call.visit.endpoint.path, call.method, params), state)
        except InvalidRequest:
            return False
        return True

    def _find(self, principal: str, digest: str, state: str) -> Parked:
        try:
            handle, owner, origin = loads(self._keyring.open(state, SEAL))
        except (Unsealable, MalformedJson, ValueError):
            raise InvalidRequest(INVALID_PARAMS, "requestState is not one that this gateway gave out") from None
        if owner != principal or origin != digest:
            raise InvalidRequest(INVALID_PARAMS, "requestState belongs to another request")
        parked = self._parked.get(handle)
        if parked is None:
            raise InvalidRequest(INVALID_PARAMS, "The call has expired or was already answered; call again")
        return parked

    async def _run(self, parked: Parked, run: Run) -> None:
        """The call's own task: outlives the exchange that began it, ends by its result or its expiry."""
        try:
            with parked.scope:
                parked.outcome = await run(parked)
        except PortkeyError as error:
            parked.outcome = error
        except Exception:
            # The task is its own owner: whatever happens here may not take other calls with it.
            log.exception("a parked call failed unexpectedly")
            parked.outcome = InvalidRequest(INTERNAL_ERROR, "Internal error of the gateway; its log says more")
        finally:
            self._parked.pop(parked.handle, None)
            if parked.outcome is None:
                parked.outcome = InvalidRequest(INVALID_PARAMS, "The call has expired; call again")
            parked.stir()

    async def _attend(self, parked: Parked, reply: Answers) -> Json:
        """Be the client's side of the call for one exchange; a client that leaves meanwhile cancels it."""
        try:
            done = await parked.listen(reply)
        except BaseException:
            parked.scope.cancel()
            raise
        if done:
            if isinstance(parked.outcome, PortkeyError):
                raise parked.outcome
            assert parked.outcome is not None
            return parked.outcome
        self._make_room(parked)
        parked.scope.deadline = anyio.current_time() + TIME_TO_LIVE
        state = self._keyring.seal(dumps([parked.handle, parked.principal, parked.digest]), SEAL)
        requests = {key: asked.message for key, asked in parked.questions.items()}
        return {"resultType": "input_required", "inputRequests": requests, "requestState": state}

    def _make_room(self, parked: Parked) -> None:
        """Let the principal's oldest parked call go when there are too many: one abandoned question must not lock out.

        Its upstream call is cancelled, and a late answer to it is told that it has expired.
        """
        waiting = [one for one in self._parked.values() if one.principal == parked.principal and not one.attended]
        if len(waiting) > MOST_PER_PRINCIPAL:
            min(waiting, key=lambda one: one.scope.deadline).scope.cancel()


def digest_of(path: str, method: str, params: Json | None) -> str:
    """A digest of what a retry must repeat: the endpoint, the method, and the params without the retry's own."""
    bare = {
        key: value for key, value in (params or {}).items() if key not in ("inputResponses", "requestState", "_meta")
    }
    return hashlib.sha256(dumps([path, method, bare])).hexdigest()[:32]
