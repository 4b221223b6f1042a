"""Cuts and splices the text of a YAML document, so that nothing changes but the one place that is to change. Pure.

Places come from the events of the YAML parser, which know where each value begins and ends. Whoever splices reads the
result again and compares: anchors, merged keys and other rarities may make of it something else than was wanted.
"""

from typing import Any

import yaml

from portkey_mcp.registry.pieces import Piece, flow, pieces, quoted
from portkey_mcp.registry.source import Loc


class Unspliceable(Exception):
    """The text is written in a way that cannot be changed in one place; `str()` says what is in the way."""


class Splice:
    """One text; each method returns another one."""

    def __init__(self, text: str) -> None:
        """Read the text.

        Raises:
            Unspliceable: it is no YAML.
        """
        self._text = text
        try:
            self._root = pieces(text)
        except yaml.YAMLError as error:
            raise Unspliceable(str(error)) from None
        self._break = "\r\n" if "\r\n" in text else "\n"

    def put(self, path: Loc, key: str, value: Any) -> str:
        """Set a key of the mapping at a path, replacing its value or adding it after the last one.

        Raises:
            Unspliceable: there is no mapping.
        """
        node = self._at(path, "map")
        found = node.value_of(key)
        if found is None:
            return self._add_key(node, key, flow(value, as_json=node.is_json))
        text, wanted = self._text, flow(value, as_json=node.is_json)
        between = text[self._colon(node, key) : found.start]
        if found.start == found.end:
            return self._with(found.start, found.end, f" {wanted}")
        if "\n" not in between:
            return self._with(found.start, found.end, wanted)
        # The value began on a line below its key; a comment beside the key stays there.
        beside = between.partition("\n")[0].rstrip("\r")
        return self._with(self._colon(node, key), found.end, f" {wanted}{beside}")

    def append(self, path: Loc, value: dict[str, Any]) -> str:
        """Add an entry to the list at the path, a key of the document, which is made where there is none.

        Raises:
            Unspliceable: what is there is no list.
        """
        [key] = path
        if self._root is None or (self._root.kind == "scalar" and self._root.start == self._root.end):
            start = self._text if not self._text or self._text.endswith("\n") else self._text + self._break
            return start + self._lines(["version: 1", f"{key}:", *_entry(value, 2)])
        root = self._at((), "map")
        if root.value_of(str(key)) is None:
            if root.is_flow:
                return self._add_key(root, str(key), f"[{flow(value, as_json=root.is_json)}]")
            column = root.pairs[0][0].column
            return self._after_line(root.end, [f"{' ' * column}{key}:", *_entry(value, column + 2)])
        node = self._at(path, "list")
        if not node.is_flow:
            return self._after_line(node.end, _entry(value, node.column))
        if node.items:
            return self._add_item(node, value)
        if not root.is_flow and not self._text[node.end : self._line_end(node.end)].strip():
            indent = root.pairs[0][0].column + 2
            head = self._colon(root, str(key))
            return self._with(head, node.end, self._break + self._lines(_entry(value, indent)).rstrip("\r\n"))
        inside = self._text.index("[", node.start) + 1
        return self._with(inside, inside, flow(value, as_json=root.is_json))

    def cut(self, path: Loc, key: str | int) -> str:
        """Take a key out of the mapping, or an entry out of the list, at a path.

        Raises:
            Unspliceable: there is none, or nothing would be left of a mapping.
        """
        if isinstance(key, int):
            return self._cut_item(path, key)
        node = self._at(path, "map")
        spans = [(name.start, value.end) for name, value in node.pairs]
        place = next((index for index, (name, _) in enumerate(node.pairs) if name.text == key), None)
        if place is None or (len(spans) == 1 and not node.is_flow):  # a mapping of no lines is none
            raise Unspliceable(f"{key!r} cannot be taken out")
        start, end = spans[place]
        if node.is_flow:
            return self._cut_from_flow(spans, place)
        if not self._text[self._line_start(start) : start].strip():
            return self._cut_lines(start, end)
        if place + 1 == len(spans):
            raise Unspliceable(f"{key!r} does not begin a line")
        return self._cut_beside_dash(start, end, spans[place + 1][0])

    def _cut_item(self, path: Loc, index: int) -> str:
        node = self._at(path, "list")
        item = node.items[index]
        if node.is_flow:
            return self._cut_from_flow([(one.start, one.end) for one in node.items], index)
        if len(node.items) > 1:
            return self._cut_lines(self._dash(node, index), item.end)
        *above, key = path
        head = self._colon(self._at(above, "map"), str(key))
        without = self._cut_lines(self._dash(node, index), item.end)
        return f"{without[:head]} []{without[head:]}"

    def _cut_from_flow(self, spans: list[tuple[int, int]], place: int) -> str:
        start, end = spans[place]
        if place > 0:
            start = spans[place - 1][1]
        elif len(spans) > 1:
            end = spans[1][0]
        return self._with(start, end, "")

    def _cut_lines(self, start: int, end: int) -> str:
        """Without the lines from one place to another, comments beside them included."""
        start, end = self._line_start(start), self._line_end(end)
        if end < len(self._text):
            return self._with(start, self._text.index("\n", end) + 1, "")
        return self._text[:start].rstrip("\r\n") if start else ""

    def _cut_beside_dash(self, start: int, end: int, following: int) -> str:
        """Without the first key of a mapping in a list; the next one takes its place, if only blanks part the two."""
        rest = self._line_end(end)
        return self._with(start, following if not self._text[rest:following].strip() else rest, "")

    def _add_key(self, node: Piece, key: str, value: str) -> str:
        name = quoted(key) if node.is_json else key
        if not node.is_flow:
            return self._after_line(node.end, [f"{' ' * node.pairs[0][0].column}{name}: {value}"])
        if node.pairs:
            return self._with(node.inner_end, node.inner_end, f", {name}: {value}")
        inside = self._text.index("{", node.start) + 1
        return self._with(inside, inside, f"{name}: {value}")

    def _add_item(self, node: Piece, value: Any) -> str:
        """One more entry of a list in brackets: beside the last one, or on a line of its own as that one is."""
        last = node.items[-1]
        wanted = flow(value, as_json=last.is_json)
        if self._text[self._line_start(last.start) : last.start].strip():
            return self._with(last.end, last.end, f", {wanted}")
        after = self._text[last.end : self._line_end(last.end)]
        if "]" in after.partition("#")[0]:
            return self._with(last.end, last.end, f",{self._break}{' ' * last.column}{wanted}")
        has_comma = after.lstrip().startswith(",")
        line = f"{'' if has_comma else ','}{after}{self._break}{' ' * last.column}{wanted}{',' if has_comma else ''}"
        return self._with(last.end, last.end + len(after), line)

    def _at(self, path: Loc, kind: str) -> Piece:
        node = self._root
        for step in path:
            if node is not None:
                node = node.value_of(step) if isinstance(step, str) else node.items[step] if node.items else None
        if node is None or node.kind != kind:
            raise Unspliceable(f"there is no {kind} at {'.'.join(map(str, path)) or 'the top'}")
        return node

    def _colon(self, node: Piece, key: str) -> int:
        """Where the value of a key may begin: behind its colon."""
        name = next(name for name, _ in node.pairs if name.text == key)
        found = self._text.find(":", name.end)
        if found < 0 or self._text[name.end : found].strip():
            raise Unspliceable(f"{key!r} has no colon")
        return found + 1

    def _dash(self, node: Piece, index: int) -> int:
        """Where the dash of an entry stands: on its own line or one above, in the column of the list."""
        line = self._line_start(node.items[index].start)
        while self._text[line : line + node.column + 1] != " " * node.column + "-":
            if line <= node.start:
                return node.start
            line = self._line_start(line - 1)
        return line + node.column

    def _after_line(self, place: int, lines: list[str]) -> str:
        end = self._line_end(place)
        return self._with(end, end, self._break + self._lines(lines).rstrip("\r\n"))

    def _lines(self, lines: list[str]) -> str:
        return "".join(line + self._break for line in lines)

    def _line_start(self, place: int) -> int:
        return self._text.rfind("\n", 0, place) + 1

    def _line_end(self, place: int) -> int:
        """The end of a line, before its break."""
        found = self._text.find("\n", place)
        if found < 0:
            return len(self._text)
        return found - 1 if self._text[found - 1 : found] == "\r" and found > place else found

    def _with(self, start: int, end: int, text: str) -> str:
        return self._text[:start] + text + self._text[end:]


def _entry(value: dict[str, Any], indent: int) -> list[str]:
    """A list's entry as lines of block style; its first value in quotes, since patterns begin with what YAML reads."""
    (first, head), *rest = value.items()
    lines = [f"- {first}: {quoted(head) if isinstance(head, str) else flow(head)}"]
    lines += [f"  {key}: {flow(inner)}" for key, inner in rest]
    return [" " * indent + line for line in lines]
