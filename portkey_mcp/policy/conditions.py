"""`when:` — a CEL expression over the arguments, the principal, the tool and the time. Pure.

    args         the call's arguments                       args.repo.startsWith("acme/")
    principal    id, name, kind, role, groups, client       "ops" in principal.groups
    tool         server, name, kind, annotations            tool.annotations.readOnlyHint == true
    now          the moment, in the workspace's time zone:  now.hour >= 9 && now.weekday <= 5
                 year, month, day, hour, minute, weekday (Monday is 1), iso

What does not come out as `true` refuses: an argument that is missing, a wrong type, a division by zero. Language:
https://github.com/google/cel-spec.
"""

import difflib
import importlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

VARIABLES: Final = ("args", "principal", "tool", "now")

FUNCTIONS: Final = frozenset(
    {
        *("size", "contains", "startsWith", "endsWith", "matches", "type", "dyn"),
        *("string", "int", "uint", "double", "bytes", "timestamp", "duration"),
        *("getFullYear", "getMonth", "getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear"),
        *("getHours", "getMinutes", "getSeconds", "getMilliseconds"),
    }
)
"""What the engine has of CEL's standard library; anything else would only fail when a call comes."""

LONGEST: Final = 2000
"""Characters of an expression."""

_BOUND: Final = re.compile(r"\.(?:all|exists|exists_one|map|filter)\(\s*(\w+)\s*,")
"""Names that an expression binds itself: `args.paths.all(path, path.startsWith("/srv/"))`."""

_WIDEST: Final = 2**63
"""CEL's integers have 64 bits; of anything wider it would see something else than the upstream."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One compiled expression; equal when the text is.

    Raises:
        ValueError: it is no CEL, or names a variable there is not.
    """

    text: str
    _program: Any = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.text) > LONGEST:
            raise ValueError(f"an expression has at most {LONGEST} characters, this one {len(self.text)}")
        # Loaded when a policy first has a condition: the engine brings 30 MB that most gateways never need.
        cel = importlib.import_module("cel")
        program = _compiled(cel, self.text)
        for name in sorted(set(program.variables()) - set(VARIABLES) - set(_BOUND.findall(self.text))):
            raise ValueError(_unknown("variable", name, VARIABLES))
        for name in program.functions():
            if name.isidentifier() and name not in FUNCTIONS:
                raise ValueError(_unknown("function", name, sorted(FUNCTIONS)))
        object.__setattr__(self, "_program", program)

    def holds(self, args: Any, principal: Mapping[str, Any], tool: Mapping[str, Any], now: datetime) -> bool:
        """Whether the expression is `true` for this call. Whatever goes wrong is false: it fails closed."""
        if _has_wide(args):
            return False
        try:
            found = self._program.execute({"args": args, "principal": principal, "tool": tool, "now": moment(now)})
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException:  # the engine is Rust: a panic there is no Exception
            return False
        return found is True


def _unknown(kind: str, name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    return f"unknown {kind} {name!r}; " + (f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}")


def _compiled(cel: Any, text: str) -> Any:
    try:
        return cel.compile(text)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        first = str(error).partition("ERROR: <input>:")[2].partition("\n")[0]
        place, _, words = first.partition(": ")
        column = place.rpartition(":")[2]
        said = words.split(" expecting ")[0].lower() or "it cannot be read"
        raise ValueError(
            f"is no CEL expression: {said}" + (f", at character {column} of it" if column else "")
        ) from None


def moment(now: datetime) -> dict[str, Any]:
    """`now` as an expression sees it."""
    return {
        "year": now.year,
        "month": now.month,
        "day": now.day,
        "hour": now.hour,
        "minute": now.minute,
        "weekday": now.isoweekday(),
        "iso": now.isoformat(timespec="seconds"),
    }


def _has_wide(value: Any) -> bool:
    level = [value]
    while level:
        inner: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                inner += one.values()
            elif isinstance(one, list):
                inner += one
            elif isinstance(one, int) and not -_WIDEST <= one < _WIDEST:
                return True
        level = inner
    return False
