"""`max_arguments:` and `max_result:` — what is larger is refused or cut. Pure; sizes are bytes of JSON.

What is cut stays a result of its kind: text is shortened where the space ends, blocks after that are left out, an image
or file that does not fit is replaced by a line that says what it was, and structured content, half of which would fit
no schema, stays whole or goes whole. A notice says so; `isError` and everything else stays. What was cut once and has
grown since is cut again with one notice, which tells of both.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final

from portkey_mcp.errors import Refused
from portkey_mcp.policy.parts import MaxResult
from portkey_mcp.wire import Json, Raw, dumps

_LISTS: Final = ("content", "contents", "messages")
"""Where the results of tools/call, resources/read and prompts/get have their blocks."""

_INNER: Final = ("resource", "content")
"""Where a block has what it holds, if not in itself: an embedded resource, the content of a prompt's message."""

_LONGEST_TYPE: Final = 100
"""Characters of a `mimeType` that are repeated; it is a stranger's text."""

Measure = Callable[[Any], int]


def check_arguments(limit: int | None, arguments: Any) -> None:
    """Let arguments pass that are small enough, written compactly; None are.

    Raises:
        Refused: they are larger.
    """
    if limit is None or arguments is None:
        return
    size = len(dumps(arguments))
    if size > limit:
        raise Refused(
            "size",
            f"The arguments have {size:,} bytes of JSON; this gateway's policy allows at most {limit:,} for this call. "
            "The server was not called. Send less, or send it in parts.",
            {"size": size, "limit": limit},
        )


def fit_result(largest: MaxResult | None, result: Json) -> Json:
    """The result, the same object where it is small enough, else cut to fit.

    A result that is too large only for the blanks between its values is written anew, whole.

    Raises:
        Refused: it is too large and may not be cut, or not even the notice would fit. The call has run.
    """
    if largest is None:
        return result
    size = len(result.text) if isinstance(result, Raw) else len(dumps(result))
    if size <= largest.size:
        return result
    whole = dumps(result)
    if len(whole) <= largest.size:
        return Raw(dict(result), whole)
    made = _Cut(largest.size, size, whole).result(result) if largest.over == "cut" else None
    if made is None or len(dumps(made)) > largest.size:
        raise Refused(
            "size",
            f"The call ran, but its result has {size:,} bytes; this gateway's policy allows at most {largest.size:,}. "
            "Do not call again with the same arguments: ask for less, or for a part.",
            {"size": size, "limit": largest.size},
            sent=True,
        )
    return made


@dataclass(frozen=True, slots=True)
class _Notice:
    """What is said of what is missing. Longest when every number is: `widest`."""

    limit: int
    size: int
    structure: bool = False
    kept: int | None = None
    of: int = 0
    dropped: int = 0

    STRUCTURE: ClassVar = "the structured content left out"

    def __str__(self) -> str:
        said = []
        if self.kept is not None:
            said.append(f"{self.kept:,} of {self.of:,} bytes of this text shown")
        if self.dropped:
            said.append(f"{self.dropped:,} further parts left out")
        if self.structure:
            said.append(self.STRUCTURE)
        return (
            f"[cut: {', '.join(said)}; the result has {self.size:,} bytes, and the gateway's policy allows "
            f"{self.limit:,}. Ask for less, or for a part.]"
        )

    @staticmethod
    def widest(limit: int, size: int) -> "_Notice":
        return _Notice(limit, size, True, size, size, size)

    @staticmethod
    def read(text: str) -> "tuple[str, _Notice] | None":
        """A text without the notice at its end, and that notice; None where there is none."""
        start = max(text.rfind("[cut: "), 0)
        found = _NOTICE.fullmatch(text, start)
        if found is None:
            return None
        numbers = {name: int(digits.replace(",", "")) for name, digits in found.groupdict("0").items()}
        kept = numbers["kept"] if found["kept"] else None
        structure = _Notice.STRUCTURE in found[0]
        notice = _Notice(numbers["limit"], numbers["size"], structure, kept, numbers["of"], numbers["dropped"])
        return text[:start].removesuffix("\n"), notice


_NOTICE: Final = re.compile(
    r"\[cut: (?:(?P<kept>[\d,]{1,20}) of (?P<of>[\d,]{1,20}) bytes of this text shown)?(?:, )?"
    rf"(?:(?P<dropped>[\d,]{{1,20}}) further parts left out)?(?:, )?(?:{_Notice.STRUCTURE})?"
    r"; the result has (?P<size>[\d,]{1,20}) bytes, and the gateway's policy allows (?P<limit>[\d,]{1,20})\. "
    r"Ask for less, or for a part\.\]",
    re.ASCII,
)


class _Cut:
    """Makes one result fit. Costs add up: a list has those of its elements and a comma between each two."""

    def __init__(self, limit: int, size: int, whole: bytes) -> None:
        self._limit, self._size = limit, size
        # One lone surrogate, and all is written in ASCII. What is in ASCII is as large either way.
        self._measure: Measure = _measure_ascii if whole.isascii() else _measure

    def result(self, result: Json) -> Json | None:
        """What fits of it; None when there is nothing to cut, or no space for a notice."""
        name = next((name for name in _LISTS if isinstance(result.get(name), list)), None)
        if name is None and "structuredContent" in result:
            name = "content"
        if name is None:
            return None
        blocks, before = _unsaid(result.get(name, []))
        size = self._size if before is None else before.size
        widest = _Notice.widest(self._limit, max(self._size, size, *((before.of, before.dropped) if before else ())))
        frame = {**result, name: []}
        reserved = self._measure(_block(name, str(widest), blocks)) + 1
        room = self._limit - reserved - self._measure(frame)
        structure = room < 0 and "structuredContent" in frame
        if structure:
            del frame["structuredContent"]
            room = self._limit - reserved - self._measure(frame)
        if room < 0:
            return None
        said = replace(before or _Notice(self._limit, size), limit=self._limit)
        said = replace(said, structure=structure or said.structure)
        return {**frame, name: self._fitting(name, blocks, room, said)}

    def _fitting(self, name: str, blocks: list[Any], room: int, notice: _Notice) -> list[Any]:
        """As many blocks as there is room for, and the notice, which has its own. `notice` is what is to be said
        already: of content left out, and by an earlier cut, whose shortened text is the last block."""
        kept: list[Any] = []
        for place, block in enumerate(blocks):
            fitting, cost = block, self._measure(block) + 1
            if cost > room and (instead := _instead_of_payload(name, block, self._limit)) is not None:
                fitting, cost = instead, self._measure(instead) + 1
            if cost <= room:
                kept.append(fitting)
                room -= cost
                continue
            missing = len(blocks) - place
            shortened = self._shortened(block, room, replace(notice, dropped=notice.dropped + missing - 1), missing > 1)
            if shortened is not None:
                return [*kept, shortened]
            return [*kept, _block(name, str(replace(notice, kept=None, dropped=notice.dropped + missing)), blocks)]
        if notice.kept is not None:
            return [*kept[:-1], _noticed(kept[-1], notice)]
        return [*kept, _block(name, str(notice), blocks)] if notice.structure or notice.dropped else kept

    def _shortened(self, block: Any, room: int, said: _Notice, whole: bool) -> Json | None:
        """The block with as much of its text as fits, and the notice; None when it has none or nothing of it fits.

        `whole`: the text was not shortened before.
        """
        path = _holder(block, "text")
        if path is None:
            return None
        text = _at(block, path)["text"]
        room -= self._measure(_with_text(block, path, "")) + 1
        length = _longest(text, room + len('""'), self._measure)
        if length == 0:
            return None
        of = _bytes(text) if whole or said.kept is None else said.of
        notice = replace(said, kept=_bytes(text[:length]), of=of)
        return _with_text(block, path, f"{text[:length]}\n{notice}")


def _unsaid(blocks: list[Any]) -> tuple[list[Any], _Notice | None]:
    """The blocks without the notice of an earlier cut, which is at the end of the last, and that notice."""
    path = _holder(blocks[-1], "text") if blocks else None
    found = _Notice.read(_at(blocks[-1], path)["text"]) if path is not None else None
    if path is None or found is None:
        return blocks, None
    text, notice = found
    return (
        (blocks[:-1], notice) if notice.kept is None else ([*blocks[:-1], _with_text(blocks[-1], path, text)], notice)
    )


def _noticed(block: Json, notice: _Notice) -> Json:
    """A block that was shortened before, with what is said of it now."""
    path = _holder(block, "text") or ()
    text = _at(block, path)["text"]
    return _with_text(block, path, f"{text}\n{replace(notice, kept=_bytes(text))}")


def _longest(text: str, room: int, measure: Measure) -> int:
    """The most characters from the beginning whose JSON has at most `room` bytes."""
    low, high = 0, max(0, min(len(text), room))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if measure(text[:middle]) <= room else (low, middle - 1)
    return low


def _measure(value: Any) -> int:
    return len(dumps(value))


def _measure_ascii(value: Any) -> int:
    return len(json.dumps(value, separators=(",", ":")))


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def _block(name: str, text: str, blocks: list[Any]) -> Json:
    """A block of this list that holds a text of the gateway's own."""
    if name == "contents":
        last = next((block["uri"] for block in reversed(blocks) if isinstance(block, dict) and "uri" in block), "")
        return {"uri": last, "mimeType": "text/plain", "text": text}
    held = {"type": "text", "text": text}
    return {"role": "user", "content": held} if name == "messages" else held


def _holder(block: Any, member: str) -> tuple[str, ...] | None:
    """The way to the object in a block that has this member as a string."""
    for path in ((), *((name,) for name in _INNER), ("content", "resource")):
        held = _at(block, path)
        if isinstance(held, dict) and isinstance(held.get(member), str):
            return path
    return None


def _at(block: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        block = block.get(name) if isinstance(block, dict) else None
    return block


def _with_text(block: Json, path: tuple[str, ...], text: str) -> Json:
    if not path:
        return {**block, "text": text}
    return {**block, path[0]: _with_text(block[path[0]], path[1:], text)}


def _instead_of_payload(name: str, block: Any, limit: int) -> Json | None:
    """A text block that says what an image, a sound or a file was; None for a block that is none of them."""
    for member in ("data", "blob"):
        path = _holder(block, member)
        if path is None:
            continue
        held = _at(block, path)
        what = held.get("type") if isinstance(held.get("type"), str) else "file"
        kind = held.get("mimeType")
        said = f", {kind[:_LONGEST_TYPE]}" if isinstance(kind, str) else ""
        size = len(held[member].rstrip("=")) * 3 // 4
        text = (
            f"[left out: {str(what)[:_LONGEST_TYPE]}{said}, {size:,} bytes; the gateway's policy allows results of "
            f"{limit:,} bytes]"
        )
        note = _block(name, text, [block])
        return {**note, "role": block["role"]} if "role" in block and name == "messages" else note
    return None
