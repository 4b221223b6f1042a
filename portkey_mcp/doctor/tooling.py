"""The tools that a client finds, and whether clients can use them (clients.md sections 5 and 7)."""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Final

from portkey_mcp.doctor.finding import Finding, bad, doubtful, good, quoted
from portkey_mcp.wire import Json

LONGEST_NAME: Final = 64
MOST_TOOLS: Final = 128
"""Tools that VS Code takes in one request; others take fewer."""
_NAME: Final = re.compile(r"[a-zA-Z0-9_-]+")


def judged(tools: list[Json], seconds: float) -> Iterator[Finding]:
    """What is to be said of a whole list of tools; `seconds` is how long its first page took."""
    if not tools:
        yield doubtful(
            "tools",
            "the list of tools is empty; clients keep such a list for long, and show a connector without tools",
            "answer with an error while tools are not there yet; check what this person may use",
            seconds,
        )
        return
    yield good("tools", f"{len(tools)} tool{'s' if len(tools) > 1 else ''}", seconds)
    names = [tool.get("name") if isinstance(tool.get("name"), str) else "" for tool in tools]
    texts = [name for name in names if isinstance(name, str)]
    if long := [name for name in texts if len(name) > LONGEST_NAME]:
        yield bad(
            "tools",
            f"{len(long)} have names over {LONGEST_NAME} characters, and one such breaks a whole chat: {_some(long)}",
            "give them shorter names",
        )
    if odd := [name for name in texts if not _NAME.fullmatch(name)]:
        yield doubtful(
            "tools",
            f"{len(odd)} have names with other characters than letters, digits, _ and -: {_some(odd)}",
            "rename them: several clients leave such tools out, or fail",
        )
    if twice := [name for name, times in Counter(texts).items() if times > 1]:
        yield bad("tools", f"names that occur twice: {_some(twice)}", "give each tool a name of its own")
    if len(tools) > MOST_TOOLS:
        yield doubtful(
            "tools",
            f"more than {MOST_TOOLS} tools; VS Code takes no more at once, and models choose badly among so many",
            "offer a choice of them (a bundle), or hide some by policy",
        )


def _some(names: list[str]) -> str:
    return ", ".join(quoted(name) or "(none)" for name in names[:3]) + ("…" if len(names) > 3 else "")
