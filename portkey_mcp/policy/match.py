"""Patterns of the policy document: which tools, prompts and resources a rule is about.

    server/tool                a tool; `*` is any run of characters, `/` and line breaks included, `?` any single one
    prompt:server/name         a prompt
    resource:server/uri        a resource, or a resource template by its text (`template:` says the same)
    *                          everything of every kind;  `prompt:*` every prompt of every server

Everything else stands for itself, `[`, `]`, `!` and `\\` too, and case counts. A match takes time linear in the name
for each run between two `*`. Names are the upstream's own, never the names of a hub.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal
from urllib.parse import unquote

Kind = Literal["tool", "prompt", "resource", "template"]
Test = Callable[[str], bool]

KINDS: tuple[Kind, ...] = ("tool", "prompt", "resource", "template")

URI_KINDS: frozenset[Kind] = frozenset({"resource", "template"})
"""What is named by a URI (or a URI template, which a completion may fill in), and so has several spellings."""

_OF_PREFIX: dict[str, frozenset[Kind]] = {
    "tool": frozenset({"tool"}),
    "prompt": frozenset({"prompt"}),
    "resource": URI_KINDS,
    "template": URI_KINDS,
}

_SERVER = re.compile(r"[A-Za-z0-9_.*?-]+")

_HOST_OF_FILE = re.compile(r"^file://[^/]+/")

_COMPILED = 10_000
"""Patterns kept compiled, of all policies and bundles; each is a few hundred bytes."""

LONGEST_URI = 8192
"""Characters of a URI that is decided about. To decode a longer one, again and again, takes seconds that nobody else is
served in; servers and proxies take no longer ones."""

_ROUNDS = 3
"""How often a URI is decoded: three times finds what was encoded twice, and is a bound."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """One compiled pattern; `server` and `name` tell whether that part fits."""

    text: str
    kinds: frozenset[Kind]
    server: Test
    name: Test


@lru_cache(maxsize=_COMPILED)
def compile_pattern(text: str) -> Pattern:
    """Compile one pattern; those in use stay compiled.

    Raises:
        ValueError: it is none; the message says what would be right.
    """
    if text == "*":
        return Pattern(text, frozenset(KINDS), _anything, _anything)
    head, slash, name = text.partition("/")
    prefix, colon, server = head.rpartition(":")
    kinds = _OF_PREFIX.get(prefix) if colon else _OF_PREFIX["tool"]
    if kinds is None:
        raise ValueError(f"{text!r} begins with no kind; the kinds are tool:, prompt:, resource: and template:")
    if colon and server == "*" and not slash:
        return Pattern(text, kinds, _anything, _anything)
    if not slash or not name:
        raise ValueError(f"{text!r} names a server at most; write server/tool, or server/* for all its tools")
    if not _SERVER.fullmatch(server):
        raise ValueError(f"{text!r} has no server's name before the slash; `*` stands for every server")
    return Pattern(text, kinds, glob(server), _uri_glob(name) if "resource" in kinds else glob(name))


def glob(text: str) -> Test:
    """Compile a glob: `*` is any run of characters, `?` any single one, all else stands for itself."""
    if text.strip("*") == "":
        return _anything if text else "".__eq__
    if "*" not in text and "?" not in text:
        return text.__eq__
    first, *rest = (re.escape(run).replace(r"\?", ".") for run in re.split(r"\*+", text))
    # Taking the first place where a run fits is always right for a glob, so the group may be atomic: no backtracking.
    middle = "".join(f"(?>.*?{run})" for run in rest[:-1])
    last = f".*{rest[-1]}" if rest else ""
    fits = re.compile(f"{first}{middle}{last}", re.DOTALL).fullmatch
    return lambda name: fits(name) is not None


def readings(uri: str) -> tuple[str, ...]:
    """The URI as written, then as a server may come to read it. One element when there is no other way.

    Takes a time linear in the URI, of which the caller bounds the length, see `LONGEST_URI`.
    See `plain`; and a server may pass over a query, a fragment, or the host of a `file:` URI.
    """
    found = _plainer(uri)
    for one in tuple(found):
        bare = _HOST_OF_FILE.sub("file:///", re.split(r"[?#]", one, maxsplit=1)[0])
        if bare not in found:
            found.append(bare)
    return tuple(found)


def plainest(uri: str) -> str:
    """The one reading that all spellings of a URI have in common; queries and fragments stay."""
    return _plainer(uri)[-1]


def _plainer(uri: str) -> list[str]:
    found = [uri]
    for _ in range(_ROUNDS):
        simpler = plain(found[-1])
        if simpler == found[-1]:
            break
        found.append(simpler)
    return found


def plain(uri: str) -> str:
    """Decode a URI once and take the detours out.

    Those are %XX, backslashes, `.`, `..` and doubled slashes, the letter case of scheme and host, and the ways to write
    the local host of a `file:` URI. A query is treated like the path: a server may know no queries.
    """
    scheme, colon, rest = uri.partition(":")
    path = unquote(rest).replace("\\", "/")
    scheme = scheme.lower()
    authority = ""
    if path.startswith("//"):
        host, slash, path = path[2:].partition("/")
        path = slash + path
        host = host.lower()
        authority = "//" if scheme == "file" and host == "localhost" else f"//{host}"
    elif scheme == "file" and path.startswith("/"):
        authority = "//"
    return f"{scheme}{colon}{authority}{_without_detours(path)}"


def _without_detours(path: str) -> str:
    kept: list[str] = []
    parts = path.split("/")
    for place, part in enumerate(parts):
        if part == "..":
            if kept and kept != [""]:
                kept.pop()
        elif part != "." and (part or place in (0, len(parts) - 1)):
            kept.append(part)
    return "/".join(kept)


def _uri_glob(text: str) -> Test:
    """A glob over URIs that fits a plain reading wherever the pattern's own plain reading does."""
    as_written = glob(text)
    encoded_wildcard = re.search(r"%(2a|3f)", text, re.IGNORECASE)
    if encoded_wildcard or plain(text) == text:
        return as_written
    as_read = glob(plain(text))
    return lambda uri: as_written(uri) or as_read(uri)


def _anything(_name: str) -> bool:
    return True
