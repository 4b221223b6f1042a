"""The step `enter`: how the MCP URL treats somebody without a credential."""

from collections.abc import AsyncIterator
from typing import NamedTuple

from portkey_mcp.doctor import beside
from portkey_mcp.doctor.answer import Answer
from portkey_mcp.doctor.case import Case
from portkey_mcp.doctor.door import challenge, door, shut
from portkey_mcp.doctor.fetch import CLAUDE_USER, PYTHON_HTTPX
from portkey_mcp.doctor.finding import Finding, doubtful, good
from portkey_mcp.doctor.issuer import AUTHORIZATION_SERVER, OPENID
from portkey_mcp.doctor.messages import Message, initialize, modern
from portkey_mcp.doctor.using import listed, post, spoken

OURS = "portkey-mcp-doctor"
"""A User-Agent that no firewall knows."""


async def enter(case: Case) -> AsyncIterator[Finding]:
    """Knock as Claude does, then in the other ways that clients have; leaves in the case what the door is."""
    knock = await _knock(case, CLAUDE_USER)
    for finding in await _eras(case, knock):
        yield finding
    case.spend("the first request", knock.answer)
    everybody = {CLAUDE_USER: knock.answer}
    for agent in (OURS,) if knock.answer.failure else (OURS, PYTHON_HTTPX):  # who hangs is not waited for thrice
        everybody[agent] = (await _knock(case, agent)).answer
    welcome = next((one for one in everybody.values() if door(one) != "shut"), None)
    if welcome is None:
        yield shut(knock.answer, case.target)
        return
    case.door = door(welcome)
    yield beside.agents(case.door, everybody)
    if case.door == "asks":
        for finding in _asked(case, welcome):
            yield finding
    else:
        async for finding in _opened(case, welcome):
            yield finding
    async for finding in _otherwise(case, knock.message):
        yield finding


class _Knock(NamedTuple):
    """How one User-Agent was met: by `server/discover`, and by what decides: that, or `initialize` where it failed."""

    first: Answer
    message: Message
    answer: Answer


async def _knock(case: Case, agent: str) -> _Knock:
    message = modern("server/discover")
    first = await post(case, message, agent=agent)
    if door(first) != "shut":
        return _Knock(first, message, first)
    return _Knock(first, initialize(), await post(case, initialize(), agent=agent))


async def _eras(case: Case, knock: _Knock) -> list[Finding]:
    """Whether both eras are met alike."""
    if knock.first is knock.answer and door(knock.answer) == "asks":
        second = await post(case, initialize())
        if door(second) != "asks":
            what = f"server/discover is answered with 401, but initialize with {second.said}"
            return [doubtful("enter", what, "ask for a credential before anything else is looked at", second.seconds)]
    if knock.first.failure and not knock.answer.failure:
        what = f"server/discover, which Claude sends first: {knock.first.failure}"
        mend = "answer methods that are not known at once, with a JSON-RPC error"
        return [doubtful("enter", what, mend, knock.first.seconds)]
    return []


def _asked(case: Case, answer: Answer) -> list[Finding]:
    """Takes from the 401 what leads on."""
    bearer, findings = challenge(answer, case.target)
    parameters = bearer.parameters if bearer else {}
    case.pointer, case.scope = parameters.get("resource_metadata", ""), parameters.get("scope", "")
    return findings


async def _opened(case: Case, answer: Answer) -> AsyncIterator[Finding]:
    """Nobody was asked for a credential: either the server wants none, or its tools do."""
    found = await listed(case)
    if found.answer.status == 401 and found.tools is None:
        yield good("enter", "it lets everybody in, and asks for a sign-in when tools are listed", answer.seconds)
        case.door = "asks"
        for finding in _asked(case, found.answer):
            yield finding
        return
    case.tools = spoken(found)
    yield good("enter", "no sign-in: it answers whoever asks", answer.seconds)
    target, wrong = case.target, 0
    for name in ("oauth-protected-resource", AUTHORIZATION_SERVER, OPENID):
        for path in dict.fromkeys((target.well_known(name), target.well_known(name, path=False))):
            present = beside.absent(await case.fetch.get(path))
            if present is not None:
                wrong += 1
                yield present
    if not wrong:
        yield good("enter", "nothing below /.well-known/ looks like a sign-in")


async def _otherwise(case: Case, message: Message) -> AsyncIterator[Finding]:
    target = case.target
    if target.path:
        path = target.path if target.url.partition("?")[0].endswith("/") else f"{target.path}/"
        usual = door(await post(case, message))
        if usual != "shut":
            yield beside.slashed(usual, target, await post(case, message, url=target.with_path(path)))
            capital = target.path[:1] + target.path[1:2].upper() + target.path[2:]
            if capital != target.path:
                yield beside.cased(usual, await post(case, message, url=target.with_path(capital)))
    yield beside.got(await case.fetch.get(target.url, agent=CLAUDE_USER, accept="text/event-stream"), target)
