"""`check_arguments:` — arguments are compared with the tool's schema before they leave. Pure.

JSON Schema 2020-12, or the draft that `$schema` names; patterns take time linear in the text, and nothing is fetched.
It fails closed: what cannot be compared is refused. A schema and a value that together would make too much work are
told beforehand, see `intricacy`.
"""

import hashlib
import importlib
from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable, Iterable
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Final

from portkey_mcp.errors import Refused
from portkey_mcp.policy.intricacy import Unclear, passes
from portkey_mcp.wire import Json, dumps

MOST_LOOKS: Final = 5_000_000
"""Looks at places of the arguments that one check may take; a look takes some ten nanoseconds."""
MOST_TO_EXPLAIN: Final = 500_000
"""The same for telling what is wrong: an explanation collects what every branch says, at each level anew."""

MOST_PROBLEMS: Final = 10
_LONGEST_VALUE: Final = 60
_LONGEST_LINE: Final = 300
_LONGEST_TEXT: Final = 1500
_LONGEST_HINT: Final = 400
"""Characters; a refusal has fewer than 2,000 of them."""

_VALUE: Final = "\ufdd0"
"""Where a message would quote the value; a character that no text has."""


@dataclass(slots=True)
class _Compiled:
    """A schema ready to check with; `validator` is None where it cannot be used."""

    schema: Any
    validator: Any
    looks: dict[int, int | None] = field(default_factory=dict)

    def passes(self, depth: int) -> int | None:
        """How often one place of arguments of this depth may be looked at; None when nobody can say."""
        if depth not in self.looks:
            try:
                self.looks[depth] = passes(self.schema, depth)
            except Unclear:
                self.looks[depth] = None
        return self.looks[depth]


class ArgumentChecks:
    """Checks arguments; keeps the compiled schemas that were used last."""

    def __init__(self, most: int = 512) -> None:
        self._most = most
        self._by_place: OrderedDict[Hashable, _Compiled] = OrderedDict()
        self._by_digest: OrderedDict[bytes, _Compiled] = OrderedDict()

    def check(self, place: Hashable, tool: Json, arguments: Any, unseen: Collection[str] = ()) -> None:
        """Let arguments pass that fit the tool's `inputSchema`; none are an empty object.

        `place` names the tool, for one server at least. `unseen` are arguments that the gateway set: their values are
        never quoted. No more are values of `arguments` as a whole.

        Raises:
            Refused: they do not fit, with what is wrong in words to mend it by; or it cannot be said whether they do.
        """
        schema = self._compiled(place, tool.get("inputSchema"))
        if schema.validator is None:
            raise _unusable()
        given = {} if arguments is None else arguments
        depth, places = _extent(given)
        looks = schema.passes(depth)
        if looks is None:
            raise _unusable()
        if looks * places > MOST_LOOKS:
            raise _refused(["arguments: they are too large or too deeply nested to be checked"], schema.schema, unseen)
        try:
            if _guarded(schema.validator.is_valid, given) is True:
                return
            explainable = looks * looks * places <= MOST_TO_EXPLAIN
            problems = _guarded(_problems, schema.validator, given, unseen) if explainable else None
        except UnicodeEncodeError:
            problems = ["arguments: a text has half of a surrogate pair, like \\ud83d alone"]
        raise _refused(problems or ["arguments: they do not fit"], schema.schema, unseen)

    def _compiled(self, place: Hashable, schema: Any) -> _Compiled:
        """The schema of this place: the object that was there last time, else one that is the same, else a new one."""
        found = self._by_place.get(place)
        if found is None or found.schema is not schema:
            digest = hashlib.sha256(dumps(schema)).digest()
            found = self._by_digest.get(digest) or _Compiled(schema, _compile(schema))
            if found.schema is not schema:
                found = replace(found, schema=schema)
            _keep(self._by_digest, digest, found, self._most)
        _keep(self._by_place, place, found, self._most)
        return found


def _keep(kept: OrderedDict[Any, _Compiled], key: Hashable, value: _Compiled, most: int) -> None:
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > most:
        kept.popitem(last=False)


def _guarded(ask: Callable[..., Any], *args: Any) -> Any:
    """What the validator says, None where it fails: it is Rust, and a panic there is no Exception."""
    try:
        return ask(*args)
    except (KeyboardInterrupt, SystemExit, UnicodeEncodeError):
        raise
    except BaseException:
        return None


def _compile(schema: Any) -> Any:
    """A validator; None for what is no schema, needs one from elsewhere, or has patterns that are not linear."""
    if not isinstance(schema, dict):
        return None
    # Loaded when arguments are first checked: 4 MB that most gateways never need.
    engine = importlib.import_module("jsonschema_rs")
    try:
        return _guarded(
            lambda: engine.validator_for(
                schema, mask=_VALUE, pattern_options=engine.RegexOptions(), retriever=_fetch_nothing
            )
        )
    except UnicodeEncodeError:
        return None


def _fetch_nothing(uri: str) -> Any:
    raise ValueError("a schema is used as it is; nothing is fetched for it")


def _extent(value: Any) -> tuple[int, int]:
    """The levels of a value, and the number of its places."""
    depth, places, level = 0, 1, [value]
    while level := [one for outer in level if isinstance(outer, dict | list) for one in _inside(outer)]:
        depth, places = depth + 1, places + len(level)
    return depth, places


def _inside(outer: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return outer.values() if isinstance(outer, dict) else outer


def _problems(validator: Any, given: Any, unseen: Collection[str]) -> list[str]:
    return [_problem(error, unseen) for error in islice(validator.iter_errors(given), MOST_PROBLEMS)]


def _problem(error: Any, unseen: Collection[str]) -> str:
    path = list(error.instance_path)
    where = "arguments" + "".join(_step(part) for part in path)
    if path and path[0] in unseen:
        return f"{where}: what the gateway sets here does not fit; only an administrator of it can mend that"
    value = _shortened(dumps(error.instance).decode(), _LONGEST_VALUE) if path else "the object"
    said = _said(error, value)
    branches = getattr(error.kind, "context", None) or []
    each = [_said(branch[0], "it") + _inner(branch[0], len(path)) for branch in branches[:4] if branch]
    return _shortened(f"{where}: {said}" + (f" ({'; or '.join(each)})" if each else ""), _LONGEST_LINE)


def _said(error: Any, value: str) -> str:
    return str(error.message).replace(_VALUE, value)


def _inner(error: Any, above: int) -> str:
    steps = "".join(_step(part) for part in list(error.instance_path)[above:])
    return f" at {steps.lstrip('.')}" if steps else ""


def _step(part: str | int) -> str:
    if isinstance(part, int):
        return f"[{part}]"
    short = _shortened(part, _LONGEST_VALUE)
    return f".{short}" if short.isidentifier() else f"[{dumps(short).decode()}]"


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most * 3 // 4]}…{text[len(text) - most // 4 :]}"


def _refused(problems: list[str], schema: Json, unseen: Collection[str]) -> Refused:
    text = "The arguments do not fit the tool's schema; the server was not called."
    for problem in problems:
        if len(text) + len(problem) < _LONGEST_TEXT:
            text += f"\n- {problem}"
    return Refused("arguments", text + _hint(schema, unseen))


def _hint(schema: Json, unseen: Collection[str]) -> str:
    properties, required = schema.get("properties"), schema.get("required")
    if not isinstance(properties, dict):
        return ""
    needed = required if isinstance(required, list) else []
    names = sorted((name for name in properties if name not in unseen), key=lambda name: name not in needed)
    listed = []
    for name in names:
        kind = properties[name].get("type") if isinstance(properties[name], dict) else None
        notes = [kind] if isinstance(kind, str) else []
        notes += ["required"] if name in needed else []
        listed.append(_shortened(name, _LONGEST_VALUE) + (f" ({', '.join(notes)})" if notes else ""))
    return (
        _shortened(f"\nThe tool takes: {', '.join(listed)}.", _LONGEST_HINT) if listed else "\nThe tool takes nothing."
    )


def _unusable() -> Refused:
    return Refused(
        "arguments",
        "The arguments cannot be checked, because the tool's own schema cannot be used: it is not valid, refers to "
        "something outside itself, runs in circles, or has patterns that may take for ever. The server was not called. "
        "An administrator of the gateway can set `check_arguments: false` for this tool.",
    )
