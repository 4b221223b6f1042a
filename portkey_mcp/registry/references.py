"""References in a server's settings: `${env:NAME}`, `${env:NAME:-default}`, `${file:/path}` and `${secret:name}`.

Headers that people enter something of hold `${person:NAME}`, too, which only the person can replace.

`$${` stands for a literal `${`. Values that come in are not searched for references again.
"""

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import anyio.to_thread

from portkey_mcp.errors import Mistake
from portkey_mcp.registry.names import SECRET_NAME
from portkey_mcp.settings import PREFIX

REFERENCE: Final = re.compile(r"\$\$\{|\$\{([^}]*)\}?")
VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
PERSON: Final = "${person:"
LARGEST_FILE: Final = 64 * 1024
"""Bytes of a referenced file; secrets are small, and a mistaken path must not fill the memory."""

ReadSecret = Callable[[str], Awaitable[str]]
"""Takes a secret's name and returns it; raises KeyError when there is none."""


def find(text: str) -> Iterator[str]:
    """The references in a text, as written."""
    return (found[0] for found in REFERENCE.finditer(text) if found[0] != "$${")


def asked(text: str) -> Iterator[str]:
    """The names of what a person is to enter."""
    return (found.removeprefix(PERSON).removesuffix("}") for found in find(text) if found.startswith(PERSON))


def literal(text: str) -> str:
    """Write a text so that it holds no reference."""
    return text.replace("${", "$${")


def problem(text: str, *, person: bool = False) -> str:
    """What is wrong with the references in a text, without resolving them; empty when nothing is.

    `person` says whether people may be asked for something there.
    """
    for found in REFERENCE.finditer(text):
        if found[0] == "$${":
            continue
        if not found[0].endswith("}"):
            return f"{found[0]!r} is not closed; expected `}}`, or `$${{` for a literal `${{`"
        kind, colon, rest = found[1].partition(":")
        if kind == "person" and person and VARIABLE.fullmatch(rest):
            continue
        if not colon or kind not in ("env", "file", "secret"):
            wanted = f"${{env:{found[1]}}}" if VARIABLE.fullmatch(found[1]) else "${env:NAME}"
            return f"{found[0]} is no reference; did you mean {wanted}? A literal `${{` is written `$${{`"
        if kind == "env" and not VARIABLE.fullmatch(rest.partition(":-")[0]):
            return f"{found[0]}: expected the name of an environment variable"
        if kind == "env" and rest.upper().startswith(PREFIX):
            return f"{found[0]}: the gateway's own settings are not handed out"
        if kind == "file" and not Path(rest).is_absolute():
            return f"{found[0]}: expected an absolute path"
        if kind == "secret" and not SECRET_NAME.fullmatch(rest):
            return f"{found[0]}: expected the name of a stored secret"
    return ""


async def resolve(text: str, where: str, environ: Mapping[str, str], secret: ReadSecret) -> str:
    """Replace every reference by its value; what only a person can replace stays as it is.

    Raises:
        Mistake: one is malformed or leads nowhere; says `where`, and the reference, never a value.
    """
    if "${" not in text:
        return text
    if wrong := problem(text, person=True):
        raise Mistake(f"{where}: {wrong}")
    done, parts = 0, []
    for found in REFERENCE.finditer(text):
        parts.append(text[done : found.start()])
        if found[0].startswith(PERSON):
            parts.append(found[0])
            done = found.end()
            continue
        parts.append("${" if found[0] == "$${" else await _value(found[1], f"{where}: {found[0]}", environ, secret))
        done = found.end()
    return "".join([*parts, text[done:]])


async def _value(inner: str, where: str, environ: Mapping[str, str], secret: ReadSecret) -> str:
    kind, _, rest = inner.partition(":")
    if kind == "env":
        name, has_default, default = rest.partition(":-")
        value = environ.get(name) or (default if has_default else None)
        if value is None and name not in environ:
            raise Mistake(f"{where} is not set in the gateway's environment")
        return value or ""
    if kind == "secret":
        try:
            return await secret(rest)
        except KeyError:
            raise Mistake(f"{where} is not stored") from None
    try:
        return await anyio.to_thread.run_sync(_read, Path(rest))
    except OSError as error:
        raise Mistake(f"{where} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise Mistake(f"{where} {error}") from None


def _read(path: Path) -> str:
    """The text of a file without the line end that editors and `echo` leave."""
    with path.open("rb") as file:
        data = file.read(LARGEST_FILE + 1)
    if len(data) > LARGEST_FILE:
        raise ValueError(f"is larger than {LARGEST_FILE} bytes")
    try:
        return data.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8 text") from None
