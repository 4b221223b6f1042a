"""What the doctor says: one finding after another, each in words that a person can act on."""

from dataclasses import dataclass
from typing import Final, Literal

Verdict = Literal["good", "doubtful", "bad", "skipped"]
"""`bad`: Claude does not connect. `doubtful`: some client, or some day, does not. `skipped`: not looked at, and why."""

Step = Literal["url", "reach", "enter", "resource", "issuer", "register", "authorize", "token", "tools", "speed"]

TITLES: Final[dict[Step, str]] = {
    "url": "The URL",
    "reach": "Reaching it",
    "enter": "Without a credential",
    "resource": "Protected resource metadata",
    "issuer": "Authorization server metadata",
    "register": "Registration",
    "authorize": "Authorization page",
    "token": "Token endpoint",
    "tools": "Tools",
    "speed": "Speed",
}
"""What a person calls the steps, in the order in which they are walked."""

QUOTED: Final = 160
"""Characters of a stranger's text that are repeated in a finding."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: `what` was found and, unless it is good, how to `mend` it.

    `seconds` is how long the answer took from which it was read, where that matters. Neither text holds a credential.
    """

    step: Step
    verdict: Verdict
    what: str
    mend: str = ""
    seconds: float | None = None


def good(step: Step, what: str, seconds: float | None = None) -> Finding:
    """It is as it has to be."""
    return Finding(step, "good", what, seconds=seconds)


def doubtful(step: Step, what: str, mend: str, seconds: float | None = None) -> Finding:
    """It may do, but not for every client or not for long."""
    return Finding(step, "doubtful", what, mend, seconds)


def bad(step: Step, what: str, mend: str, seconds: float | None = None) -> Finding:
    """Claude does not get past this."""
    return Finding(step, "bad", what, mend, seconds)


def skipped(step: Step, what: str, mend: str = "") -> Finding:
    """It was not looked at; `what` says why."""
    return Finding(step, "skipped", what, mend)


def quoted(value: object) -> str:
    """A stranger's text, fit to be shown: on one line, not long, and unable to steer a terminal."""
    text = value if isinstance(value, str) else repr(value)
    clean = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text[: QUOTED + 1])
    return f"{clean[:QUOTED]}…" if len(text) > QUOTED else clean
