"""The same first request asked in other ways: other User-Agents, a slash more or less, other case, GET; and the places
where a server without sign-in must have nothing."""

from typing import Final

from portkey_mcp.doctor.answer import Answer
from portkey_mcp.doctor.door import FIREWALL, Door, door, redirected
from portkey_mcp.doctor.finding import Finding, bad, doubtful, good
from portkey_mcp.doctor.target import Target

SLOW_GET: Final = 5.0
"""Seconds within which a GET should be answered; clients wait for it before they go on."""


def agents(usual: Door, answers: dict[str, Answer]) -> Finding:
    """Whether every User-Agent gets what `usual` is: the best that any of them got."""
    blocked = {agent: answer for agent, answer in answers.items() if door(answer) != usual}
    if not blocked:
        return good("enter", f"the same answer for every User-Agent ({', '.join(answers)})")
    said = "; ".join(f"{agent} gets {answer.said}" for agent, answer in blocked.items())
    return bad("enter", f"not everybody gets in: {said}", FIREWALL)


def slashed(usual: Door, given: Target, answer: Answer) -> Finding:
    """The same URL with a slash more, or less, at its end."""
    if door(answer) == usual:
        return good("enter", "the same answer with and without a slash at the end")
    mend = "answer both in place: people and clients add and drop the slash"
    if given.url.endswith("/"):  # then what is saved is the one without
        return bad("enter", f"without the slash at its end, as Claude saves it: {answer.said}", mend)
    return doubtful("enter", f"with a slash at its end: {answer.said}", mend)


def cased(usual: Door, answer: Answer) -> Finding:
    """The same URL with the first letter of its path a capital one."""
    if door(answer) == usual:
        return good("enter", "the same answer where the path is written with a capital letter")
    return doubtful(
        "enter",
        f"with a capital letter in its path: {answer.said}; Claude's settings page was seen to save it so",
        "match paths in any case",
    )


def got(answer: Answer, target: Target) -> Finding:
    """A GET of the MCP URL: 405, 401 or a stream, and at once."""
    mend = "answer GET at once, with 405 where there is no stream"
    if answer.failure:
        return bad("enter", f"GET: {answer.failure}; clients that open a stream hang there", mend, answer.seconds)
    if answer.location:
        return redirected(answer, target)
    fine = answer.status in (401, 405) or (answer.status == 200 and answer.media == "text/event-stream")
    if fine and answer.seconds <= SLOW_GET:
        return good("enter", f"GET is answered with {answer.said}", answer.seconds)
    return doubtful("enter", f"GET is answered with {answer.said}", mend, answer.seconds)


def absent(answer: Answer) -> Finding | None:
    """A metadata document of a server that asks for no sign-in must not be there; None where all is well."""
    mend = "answer every path below /.well-known/ that does not exist with 404 and JSON"
    if answer.status == 404 and not answer.html:
        return None
    what = f"{answer.url} answers {answer.said}"
    if answer.status == 404:
        return doubtful("enter", what, mend, answer.seconds)
    if answer.status == 200 and answer.document is not None:
        return bad(
            "enter", f"{what}: Claude sees a sign-in that the server does not want", "take it away", answer.seconds
        )
    return bad("enter", f"{what}: Claude may take it for a sign-in, and fail", mend, answer.seconds)
