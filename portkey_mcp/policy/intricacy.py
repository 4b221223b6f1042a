"""How much work a JSON Schema can make of one value, told before it is done. Pure.

A schema of a few lines can ask a validator to look at one value 2^n times: `anyOf` of twice the same `$ref`, n times
over; or once more for each level of the value. `passes` is an upper bound of how often one place of a value is looked
at. Only references into the schema itself are followed, `#` and `#/…`; with others nothing can be said.
"""

from typing import Any, Final
from urllib.parse import unquote

_SAME: Final = ("allOf", "anyOf", "oneOf")
_SAME_ONE: Final = ("not", "if", "then", "else")
_SAME_NAMED: Final = ("dependentSchemas", "dependencies")
_INSIDE_ONE: Final = (
    *("additionalProperties", "unevaluatedProperties", "propertyNames", "contains"),
    *("items", "additionalItems", "unevaluatedItems"),
)
_EVALUATED: Final = ("unevaluatedProperties", "unevaluatedItems")
_ELSEWHERE: Final = ("$dynamicRef", "$recursiveRef")

MOST: Final = 10**9
"""Where counting ends: whatever is more is too much."""


class Unclear(ValueError):
    """Nobody can say: the schema refers to no place in itself or to itself at the same place."""


def passes(schema: Any, depth: int) -> int:
    """How often one place of a value with `depth` levels may be looked at.

    Raises:
        Unclear: nobody can say.
    """
    try:
        return _Counting(schema).of(schema, depth)
    except RecursionError:
        return MOST


class _Counting:
    def __init__(self, root: Any) -> None:
        self._root = root
        named = str(root.get("$schema", "")) if isinstance(root, dict) else ""
        self._base = "id" if "draft-04" in named else "$id"
        self._known: dict[tuple[int, int], int | None] = {}

    def of(self, schema: Any, depth: int) -> int:
        """One look, those of all that is said of the same place, and the most that is said of one place inside."""
        if not isinstance(schema, dict):
            return 1
        key = (id(schema), depth)
        if key not in self._known:
            self._known[key] = None
            same = sum(self.of(one, depth) for one in self._same(schema))
            if any(name in schema for name in _EVALUATED):
                same *= 2  # what is left over is known only after all else was looked at once more
            inside = self._inside(schema, depth - 1) if depth > 0 else 0
            self._known[key] = min(MOST, 1 + same + inside)
        known = self._known[key]
        if known is None:  # while it is being counted: a circle, which may be walked in as many ways as it has orders
            raise Unclear
        return known

    def _same(self, schema: Any) -> list[Any]:
        found = [one for name in _SAME for one in _list(schema.get(name))]
        found += [schema[name] for name in _SAME_ONE if name in schema]
        found += [one for name in _SAME_NAMED for one in _values(schema.get(name))]
        if any(name in schema for name in _ELSEWHERE) or (
            schema is not self._root and isinstance(schema.get(self._base), str)
        ):
            raise Unclear
        if "$ref" in schema:
            found.append(self._place(schema["$ref"]))
        return found

    def _inside(self, schema: Any, depth: int) -> int:
        """Properties have different names and so are different places; whatever else may be said of the same one."""
        total = max((self.of(one, depth) for one in _values(schema.get("properties"))), default=0)
        total += sum(self.of(one, depth) for one in _values(schema.get("patternProperties")))
        for name in ("prefixItems", "items"):
            total += max((self.of(one, depth) for one in _list(schema.get(name))), default=0)
        return total + sum(
            self.of(schema[name], depth) for name in _INSIDE_ONE if isinstance(schema.get(name), dict | bool)
        )

    def _place(self, reference: Any) -> Any:
        if not isinstance(reference, str) or not (reference == "#" or reference.startswith("#/")):
            raise Unclear
        found = self._root
        for part in reference.split("/")[1:]:
            name = unquote(part).replace("~1", "/").replace("~0", "~")
            if isinstance(found, list) and name.isdecimal() and int(name) < len(found):
                found = found[int(name)]
            elif isinstance(found, dict) and name in found:
                found = found[name]
            else:
                raise Unclear
        return found


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _values(value: Any) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else []
