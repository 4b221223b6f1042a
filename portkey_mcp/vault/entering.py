"""What people enter for headers of their own, like an API key: what is asked for, and what cannot be taken. Pure."""

import re
from collections.abc import Mapping
from typing import Final

from portkey_mcp.proof import OwnHeadersAuth

ASKED: Final = re.compile(r"(?<!\$)\$\{person:([A-Za-z_][A-Za-z0-9_]*)\}")
"""Where a header holds what a person enters; `$${` stands for a literal `${`."""

LONGEST: Final = 4096
"""Characters of one value: more than any key or token that fits into a header of usual servers."""

_VALUE: Final = re.compile(r"[!-~]([ -~]*[!-~])?")


class NotEntered(Exception):
    """Values that could be no header; `problems` says of each, by its name, what is wrong. It quotes none of them."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{name}: {problem}" for name, problem in problems.items()))
        self.problems = problems


def asked_for(auth: OwnHeadersAuth) -> dict[str, str]:
    """What a person is to enter, by name, and what that is called; in the order in which the headers have them."""
    names = (found[1] for value in auth.headers.values() for found in ASKED.finditer(value))
    return {name: auth.ask.get(name) or name for name in names}


def entered(auth: OwnHeadersAuth, given: Mapping[str, str]) -> dict[str, str]:
    """The values that are asked for, without spaces around; all else that was given is left out.

    Raises:
        NotEntered: one is missing, or could be no header's (RFC 9110, section 5.5).
    """
    values = {name: given.get(name, "").strip() for name in asked_for(auth)}
    problems = {name: problem for name, value in values.items() if (problem := _problem(value))}
    if problems:
        raise NotEntered(problems)
    return values


def _problem(value: str) -> str:
    if not value:
        return "Nothing was entered."
    if len(value) > LONGEST:
        return f"It has {len(value):,} characters; at most {LONGEST:,} can be sent."
    if not _VALUE.fullmatch(value):
        return "It has a line break or another character that no header may hold. Copy it once more."
    return ""
