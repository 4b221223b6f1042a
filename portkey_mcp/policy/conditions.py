"""`when:` — a CEL expression over the arguments, the principal, the tool and the time. Pure.

    args         the call's arguments                       args.repo.startsWith("acme/")
    principal    id, name, kind, role, groups, client       "ops" in principal.groups
    tool         server, name, kind, annotations            tool.annotations.readOnlyHint == true
    now          the moment, in the workspace's time zone:  now.hour >= 9 && now.weekday <= 5
                 year, month, day, hour, minute, weekday (Monday is 1), iso

What does not come out as `true` refuses: an argument that is missing, a wrong type, a division by zero. So does what
would take too long, since the engine cannot be stopped: arguments, principal and tool of more than 100,000 values, and
a call on which the expression could work for more than about a quarter of a second, see `workload`. A list may be
walked within another, as in `args.paths.all(p, args.roots.exists(r, p.startsWith(r)))`, both of some 350 elements; one
alone may have 100,000. `map` and `filter` copy what they walk and want short lists. An expression that nests deeper, or
takes a pattern for `matches` from a call, is none. Language: https://github.com/google/cel-spec.
"""

import difflib
import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from portkey_mcp.policy.workload import MOST_VALUES, MOST_WORK, Workload, bound_names, measured, workload

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


@dataclass(frozen=True, slots=True)
class Condition:
    """One compiled expression; equal when the text is.

    Raises:
        ValueError: it is no CEL, names a variable there is not, or makes work without a bound.
    """

    text: str
    _program: Any = field(init=False, repr=False, compare=False)
    _work: Workload = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.text) > LONGEST:
            raise ValueError(f"an expression has at most {LONGEST} characters, this one {len(self.text)}")
        # Loaded when a policy first has a condition: the engine brings 30 MB that most gateways never need.
        cel = importlib.import_module("cel")
        program = _compiled(cel, self.text)
        for name in sorted(set(program.variables()) - set(VARIABLES) - bound_names(self.text)):
            raise ValueError(_unknown("variable", name, VARIABLES))
        for name in program.functions():
            if name.isidentifier() and name not in FUNCTIONS:
                raise ValueError(_unknown("function", name, sorted(FUNCTIONS)))
        object.__setattr__(self, "_work", workload(self.text))
        object.__setattr__(self, "_program", program)

    def holds(self, args: Any, principal: Mapping[str, Any], tool: Mapping[str, Any], now: datetime) -> bool:
        """Whether the expression is `true` for this call. Whatever goes wrong is false: it fails closed."""
        size = measured(args, principal, tool)
        if size.wide or size.values > MOST_VALUES or self._work.of(size) > MOST_WORK:
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
