"""Asks a person before a call runs, in every client: by elicitation where the client has it, else by a link to a page.

    legacy session   the question goes down the call's own stream, and the call waits for the answer
    modern           the result says that input is required; the retry brings the answer and the sealed state
    any other        the result says which page to open; once approved there, the same call passes when it comes again

An approval is for one exact call of one principal, is used once, and expires; each is recorded. Fails closed: what
cannot be asked, answered or recorded does not run.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from secrets import token_urlsafe
from typing import Any, Final

import anyio
from mcp_types import INVALID_PARAMS

from portkey_mcp.approval.approvals import Approvals, accepted, question
from portkey_mcp.errors import ConnectNeeded, InvalidRequest, NotFound, Refused, StoreDown
from portkey_mcp.gateway.bridge.way import Answers, as_object, declared
from portkey_mcp.gateway.call import Call
from portkey_mcp.policy.decide import Thing
from portkey_mcp.sealing import KeyRing, Unsealable
from portkey_mcp.wire import Json, MalformedJson, dumps, loads

SEAL: Final = "approval"
KEY: Final = "approval"
"""The input request of a modern result that asks for approval."""

PATIENCE: Final = 600.0
"""Seconds a legacy call waits for the person; the life of a question."""

Go = Callable[[Call], Awaitable[Json]]
Still = Callable[[], Awaitable[None]]


class Asking:
    """Puts calls before people. `page` gives the URL of an approval's page."""

    def __init__(self, approvals: Approvals, keyring: KeyRing, page: Callable[[str], str]) -> None:
        self._approvals = approvals
        self._keyring = keyring
        self._page = page

    async def approved(self, call: Call, thing: Thing, legible: Json, reply: Answers, go: Go, still: Still) -> Json:
        """The answer of `go` once a person has approved; or, in the modern era, the question.

        `legible` are the params as people may see them. `still` raises when the call would not be allowed any more.

        Raises:
            Refused: nobody could be asked in place, or the person said no.
        """
        try:
            return await self._approved(call, thing, legible, reply, go, still)
        except StoreDown:
            text = (
                f"{thing.server}/{thing.name} needs a person's approval, which cannot be recorded just now. Try later."
            )
            raise Refused("store", text) from None

    async def _approved(self, call: Call, thing: Thing, legible: Json, reply: Answers, go: Go, still: Still) -> Json:
        digest = self._approvals.digest(call.visit, thing, call.params or {})
        state = self._state(call, digest)
        if state is not None and state["passed"]:
            return await self._continued(call, thing, state, digest, go)
        if state is not None:
            return await self._retried(call, thing, state, digest, go)
        claim = await self._approvals.claim(call.visit, thing, call.params or {})
        if claim == "granted":
            return await self._carried(call, thing, await self._gone(call, thing, call.params or {}, go), digest)
        if claim == "denied":
            raise _declined(thing)
        asking = question(thing, legible, mode=call.era == "modern" or _has_modes(call))
        if declared(call.capabilities, asking):
            if call.era == "modern":
                return await self._asked(call, thing, legible, asking, digest)
            if call.session is not None and await self._in_place(call, thing, asking, reply):
                await still()
                return await self._gone(call, thing, call.params or {}, go)
        return await self._by_page(call, thing, legible)

    async def _asked(self, call: Call, thing: Thing, legible: Json, asking: Json, digest: str) -> Json:
        """An InputRequiredResult (2026-07-28 basic, MRTR) that asks; the state brings the upstream's own back."""
        asked = await self._approvals.ask(call.visit, thing, call.params or {}, "elicitation", legible)
        inner = (call.params or {}).get("requestState")
        state = self._seal(digest, passed=False, ident=asked.id, inner=inner)
        return {"resultType": "input_required", "inputRequests": {KEY: asking}, "requestState": state}

    async def _retried(self, call: Call, thing: Thing, state: Json, digest: str, go: Go) -> Json:
        responses = as_object((call.params or {}).get("inputResponses"))
        yes = accepted({"result": responses.get(KEY)})
        late: Refused | None = None
        try:
            await self._approvals.decide(state["id"], yes, call.visit.principal.id)
        except NotFound as gone:
            raise InvalidRequest(INVALID_PARAMS, str(gone)) from None
        except Refused as refused:
            late = refused  # good all the same if it was given back, since the call never got to its server
            if not yes:
                raise
        if not yes:
            raise _declined(thing)
        # Decided and claimed are two steps; whoever repeats the retry comes too late for the first.
        if await self._approvals.claim(call.visit, thing, call.params or {}) != "granted":
            raise late or InvalidRequest(INVALID_PARAMS, "The approval was used already; call again")
        others = {key: value for key, value in responses.items() if key != KEY}
        params = {**(call.params or {}), "inputResponses": others}
        if not others:
            del params["inputResponses"]
        call = _with_state(replace(call, params=params), state["inner"])
        return await self._carried(call, thing, await self._gone(call, thing, call.params or {}, go), digest)

    async def _continued(self, call: Call, thing: Thing, state: Json, digest: str, go: Go) -> Json:
        """A further round of a call that was approved: its server asks for more. Each round, too, is good for once."""
        if await self._approvals.claim(call.visit, thing, _round(call, state["id"])) != "granted":
            raise InvalidRequest(INVALID_PARAMS, "The approved call was continued already, or too late; call again")
        mark = _round(call, state["id"])
        call = _with_state(call, state["inner"])
        return await self._carried(call, thing, await self._gone(call, thing, mark, go), digest)

    async def _gone(self, call: Call, thing: Thing, approved: Json, go: Go) -> Json:
        """The answer of an approved call. One that lacked an account has not run: its approval is good once more."""
        try:
            return await go(call)
        except ConnectNeeded:
            by = call.visit.principal.id
            with suppress(StoreDown):
                asked = await self._approvals.ask(call.visit, thing, approved, "elicitation", {})
                await self._approvals.decide(asked.id, True, by)
            raise

    async def _in_place(self, call: Call, thing: Thing, asking: Json, reply: Answers) -> bool:
        """Ask down the call's own stream and wait (2025-11-25 client/elicitation). False: nobody could be asked there.

        Raises:
            Refused: the person said no.
        """
        outcome: Json = {}
        with anyio.move_on_after(PATIENCE):
            outcome = await reply.ask(asking)
        if "result" not in outcome:
            return False
        by = call.visit.principal.id
        if not accepted(outcome):
            await self._approvals.record_denied(call.visit, thing, call.params or {}, by=by, via="elicitation")
            raise _declined(thing)
        await self._approvals.grant_and_use(call.visit, thing, call.params or {}, by=by, via="elicitation")
        return True

    async def _by_page(self, call: Call, thing: Thing, legible: Json) -> Json:
        asked = await self._approvals.ask(call.visit, thing, call.params or {}, "page", legible)
        url = self._page(asked.id)
        raise Refused(
            "approval",
            f"{thing.server}/{thing.name} was not run: a person has to approve this very call first. Ask the person to "
            f"open {url} and to decide there; once it is approved, call again with exactly the same arguments.",
            {"approvalUrl": url, "expiresAt": asked.expires.isoformat(timespec="seconds")},
        )

    async def _carried(self, call: Call, thing: Thing, result: Json, digest: str) -> Json:
        """A result; one that requires further input brings with it that the call was approved, for one more round."""
        if result.get("resultType") != "input_required":
            return result
        mark, by = token_urlsafe(16), call.visit.principal.id
        try:
            asked = await self._approvals.ask(call.visit, thing, _round(call, mark), "elicitation", {})
            await self._approvals.decide(asked.id, True, by)
        except StoreDown:
            text = (
                f"{thing.server}/{thing.name} has begun and asks for more, which cannot be recorded just now. "
                "It may have done something: check before you call it again."
            )
            raise Refused("store", text, sent=True) from None
        inner = result.get("requestState")
        return {**result, "requestState": self._seal(digest, passed=True, ident=mark, inner=inner)}

    def _seal(self, digest: str, *, passed: bool, ident: str, inner: Any) -> str:
        return self._keyring.seal(dumps({"digest": digest, "passed": passed, "id": ident, "inner": inner}), SEAL)

    def _state(self, call: Call, digest: str) -> Json | None:
        """What the gateway sealed into this retry's state; None where the state is none of its own.

        Raises:
            InvalidRequest: it is of another call, which was not what the person approved.
        """
        sealed = (call.params or {}).get("requestState")
        if call.era != "modern" or not isinstance(sealed, str):
            return None
        try:
            state = loads(self._keyring.open(sealed, SEAL))
        except (Unsealable, MalformedJson):
            return None
        if state["digest"] != digest:
            raise InvalidRequest(INVALID_PARAMS, "requestState belongs to another request")
        return as_object(state)


def _round(call: Call, mark: str) -> Json:
    """The call as one further round of it is recorded: no call without the sealed mark is that round."""
    return {**(call.params or {}), "com.portkey-mcp/round": mark}


def _with_state(call: Call, inner: Any) -> Call:
    """The call with the upstream's own state, or without any."""
    params = {name: value for name, value in (call.params or {}).items() if name != "requestState"}
    return replace(call, params=params if inner is None else {**params, "requestState": inner})


def _has_modes(call: Call) -> bool:
    """Whether a legacy client knows of modes of elicitation (since 2025-11-25)."""
    return call.version >= "2025-11-25"


def _declined(thing: Thing) -> Refused:
    return Refused(
        "approval",
        f"{thing.server}/{thing.name} was not run: the person who was asked did not approve it. Do not repeat it "
        "unless they ask for it.",
    )
