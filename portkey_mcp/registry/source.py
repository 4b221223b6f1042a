"""A YAML file with its places: what it says, and on which line and column it says so. Pure."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import yaml

from portkey_mcp.errors import Mistake, Mistakes

Loc = Sequence[str | int]
"""A path of keys and indexes into a document, as in pydantic's errors."""

_Fast: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Fast):  # type: ignore[misc]
    """YAML's safe subset, without dates: `2025-11-25` is a protocol version here, hence text."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in _Loader.yaml_implicit_resolvers.items()
}

MERGE: Final = "tag:yaml.org,2002:merge"


class Source:
    """One YAML document. `data` is what it says, in plain dicts, lists and scalars; None when it is empty."""

    def __init__(self, text: str, file: str) -> None:
        """Read the text.

        Raises:
            Mistakes: not YAML, not one document, or a key that is there twice; all duplicates are reported.
        """
        self.file = file
        try:
            loader = _Loader(text)
            self._root = loader.get_single_node()
            twice = [*_duplicates(self._root, set())]
            if twice:
                raise Mistakes([self._at(mark, f"the key {key!r} is there twice") for key, mark in twice])
            self.data: Any = None if self._root is None else loader.construct_document(self._root)
        except yaml.MarkedYAMLError as error:
            raise Mistakes([self._at(error.problem_mark or error.context_mark, _words(error))]) from None
        except yaml.YAMLError as error:
            raise Mistakes([Mistake(f"is no YAML: {str(error).splitlines()[0]}", file=file)]) from None
        except RecursionError:
            raise Mistakes([Mistake("is nested too deeply", file=file)]) from None

    def mistake(self, loc: Loc, what: str, *, key: bool = False) -> Mistake:
        """A mistake at a place: at the value there, or at its key. Steps that lead nowhere are passed over."""
        node, mark = self._root, None
        for step in loc:
            found = _child(node, step)
            if found is not None:
                node, mark = found[1], found[0].start_mark
        if node is None:
            return Mistake(what, file=self.file, line=1, column=1)
        return self._at(mark if key and mark else node.start_mark, what)

    def _at(self, mark: Any, what: str) -> Mistake:
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        return Mistake(what, file=self.file, line=line, column=column)


def _words(error: yaml.MarkedYAMLError) -> str:
    context = f"{error.context}: " if error.context else ""
    return f"{context}{error.problem or 'is no YAML'}"


def _duplicates(node: Any, seen: set[int]) -> Iterator[tuple[str, Any]]:
    """Keys that a mapping has twice, with the place of the second; YAML would silently take the last."""
    if node is None or id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _duplicates(item, seen)
    elif isinstance(node, yaml.MappingNode):
        keys: set[tuple[str, str]] = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != MERGE:
                if (key.tag, key.value) in keys:
                    yield key.value, key.start_mark
                keys.add((key.tag, key.value))
            yield from _duplicates(value, seen)


def _child(node: Any, step: str | int) -> tuple[Any, Any] | None:
    """The key's and the value's node of one step; of a key that was merged in and written, the written one."""
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step], node.value[step]
    if isinstance(node, yaml.MappingNode):
        for key, value in reversed(node.value):
            if isinstance(key, yaml.ScalarNode) and key.value == str(step):
                return key, value
    return None
