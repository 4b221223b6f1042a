"""The step `enter`: how the MCP URL treats somebody without a credential."""

from collections.abc import AsyncIterator

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
    message, first = modern("server/discover"), await post(case, modern("server/discover"))
    answer = first
    if door(first) != "open":
        second = await post(case, initialize())
        if door(first) == "shut":
            message, answer = initialize(), second
        elif door(second) != "asks":
            yield doubtful(
                "enter",
                f"server/discover is answered with 401, but initialize with {second.said}",
                "ask for a credential before anything else is looked at",
                second.seconds,
            )
    case.spend("the first request", answer)
    if first.failure and not answer.failure:
        yield doubtful(
            "enter",
            f"server/discover, which Claude sends first: {first.failure}",
            "answer methods that are not known at once, with a JSON-RPC error",
            first.seconds,
        )
    everybody = {
        CLAUDE_USER: answer,
        **{agent: await post(case, message, agent=agent) for agent in (OURS, PYTHON_HTTPX)},
    }
    welcome = next((one for one in everybody.values() if door(one) != "shut"), None)
    if welcome is None:
        yield shut(answer, case.target)
        return
    case.door = door(welcome)
    yield beside.agents(case.door, everybody)
    if case.door == "asks":
        for finding in _asked(case, welcome):
            yield finding
    else:
        async for finding in _opened(case, welcome):
            yield finding
    async for finding in _otherwise(case, message):
        yield finding


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
