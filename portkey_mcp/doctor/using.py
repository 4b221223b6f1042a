"""Speaks MCP as far as the list of tools, as a client does once it is in."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Final, NamedTuple

from portkey_mcp.doctor import tooling
from portkey_mcp.doctor.answer import Answer, text
from portkey_mcp.doctor.case import Case
from portkey_mcp.doctor.fetch import CLAUDE_USER
from portkey_mcp.doctor.finding import Finding, bad, good, quoted, skipped
from portkey_mcp.doctor.messages import LEGACY, MODERN, Message, complaint, initialize, legacy, modern, result
from portkey_mcp.wire import Json

MOST_PAGES: Final = 50


class Listed(NamedTuple):
    """How listing went: the tools, or None where `answer` refused; `seconds` of the first page, and who spoke."""

    tools: list[Json] | None
    answer: Answer
    seconds: float
    version: str
    server: str


async def post(
    case: Case, message: Message, *, token: str = "", url: str = "", agent: str = CLAUDE_USER, keep: bool = False
) -> Answer:
    """Send one message to the MCP URL, or `url`. The session that it opens is ended again unless it is kept."""
    authorization = {"authorization": f"Bearer {token}"} if token else {}
    at = url or case.target.url
    answer = await case.fetch.post_json(at, message.body, agent=agent, headers={**message.headers, **authorization})
    session = answer.headers.get("mcp-session-id", "")
    if session and not keep:
        await end(case, session, token)
    return _without(token, answer)


def _without(token: str, answer: Answer) -> Answer:
    """The answer of a server that repeats the token, without it: it must not be shown, nor the first half of it."""
    if not token:
        return answer
    headers = {name: value.replace(token, "…") for name, value in answer.headers.items()}
    return replace(answer, headers=headers, body=answer.body.replace(token.encode(), "…".encode()))


async def end(case: Case, session: str, token: str) -> None:
    """End a session, so that nothing is left behind; a server need not allow it."""
    authorization = {"authorization": f"Bearer {token}"} if token else {}
    await case.fetch.delete(case.target.url, {"mcp-session-id": session, **authorization})


async def listed(case: Case, token: str = "") -> Listed:
    """Introduce ourselves and list all tools, in the modern era if the server speaks it, else in the legacy one."""
    first = await post(case, modern("server/discover"), token=token)
    hello = result(first)
    if hello is not None:
        return await _pages(case, first, hello, token, MODERN, "")
    second = await post(case, initialize(), token=token, keep=True)
    hello, session = result(second), second.headers.get("mcp-session-id", "")
    if hello is None:
        return Listed(None, first if first.status == 401 else second, 0.0, "", "")
    version = text(hello, "protocolVersion") or LEGACY
    await post(case, legacy("notifications/initialized", version=version, session=session), token=token, keep=True)
    try:
        return await _pages(case, second, hello, token, version, session)
    finally:
        if session:
            await end(case, session, token)


async def _pages(case: Case, first: Answer, hello: Json, token: str, version: str, session: str) -> Listed:
    info = hello.get("serverInfo") or (hello.get("_meta") or {}).get("io.modelcontextprotocol/serverInfo")
    server = text(info, "name") if isinstance(info, dict) else ""
    tools: list[Json] = []
    params: Json = {}
    capabilities = hello.get("capabilities")
    if not isinstance(capabilities, dict) or "tools" not in capabilities:
        return Listed(tools, first, 0.0, version, server)
    seconds = 0.0
    for page in range(MOST_PAGES):
        message = (
            modern("tools/list", params)
            if version == MODERN
            else legacy("tools/list", params, version=version, session=session)
        )
        answer = await post(case, message, token=token, keep=True)
        seconds = seconds if page else answer.seconds
        found = result(answer)
        if found is None:
            return Listed(None, answer, seconds, version, server)
        some = found.get("tools")
        tools += [tool for tool in some if isinstance(tool, dict)] if isinstance(some, list) else []
        cursor = found.get("nextCursor")
        if not isinstance(cursor, str) or cursor == params.get("cursor"):
            break
        params = {"cursor": cursor}
    return Listed(tools, answer, seconds, version, server)


def spoken(found: Listed) -> list[Finding]:
    """What is to be said of a list, or of the refusal to give one to whoever was let in."""
    who = f"{quoted(found.server or 'the server')} speaks {found.version}"
    if found.tools is not None:
        return [good("tools", who), *tooling.judged(found.tools, found.seconds)]
    said = quoted(complaint(found.answer)) or found.answer.said
    return [
        bad("tools", f"its tools cannot be listed: {said}", "look into the log of the server", found.answer.seconds)
    ]


async def use(case: Case, token: str, *, trusted: bool) -> AsyncIterator[Finding]:
    """The step `tools`: with the token, or without one where nobody needs any."""
    if not trusted and token:
        yield skipped("tools", "the certificate is not trusted, so the token was not sent")
    elif token:
        found = await listed(case, token)
        if found.answer.status in (401, 403) and found.tools is None:
            yield bad(
                "tools",
                f"the token is refused: {found.answer.said}",
                "check that it has not ended, and that it was given for this URL: the audience has to be the very "
                "`resource` of the metadata",
                found.answer.seconds,
            )
        else:
            for finding in spoken(found):
                yield finding
    elif case.tools:
        for finding in case.tools:
            yield finding
    else:
        yield skipped("tools", "without a token they cannot be listed; give one with PORTKEY_MCP_DOCTOR_TOKEN")
