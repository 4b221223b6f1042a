"""Finds secrets that are written out in a server's settings and puts references in their place. Pure.

A value that only might be a secret counts as one: sealing a harmless value costs nothing, the other way round it leaks.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import urlsplit

from portkey_mcp.model import McpServer
from portkey_mcp.registry import references

SECRET_WORD: Final = re.compile(
    r"key|token|secret|passw|passphrase|pwd|auth(?!ors?([^a-z]|$))|cred|private|signature|cookie|session|dsn|connection|bearer|jwt"
    r"|(^|[_-])(sig|pat|pin|salt|hash)($|[_-])",
    re.IGNORECASE,
)
"""In the name of a variable, flag or parameter."""

TOKEN_SHAPE: Final = re.compile(
    r"^(sk|pk|rk|ghp|gho|ghs|ghu|github_pat|glpat|xox[abeprs]|shpat|npm|pypi|hf|lin|ntn|secret|figd|dop_v1|AKIA|ASIA|AIza)"
    r"[-_A-Za-z0-9]{12,}|^eyJ[\w-]+\.|-----BEGIN|^[A-Za-z0-9+/_-]{32,}={0,2}$"
)
"""Prefixes of well-known tokens, JWTs, PEM, and anything long and without structure."""

SMALL: Final = re.compile(r"true|false|yes|no|on|off|\d{1,6}", re.IGNORECASE)
WORDS: Final = re.compile(r"([A-Za-z]{1,12}|\d{1,2})([-_.:, ]([A-Za-z]{1,12}|\d{1,2})){0,4}")
PATH: Final = re.compile(r"(~?/|\.{1,2}/|[A-Za-z]:\\)[\w./\\ -]*")

ARGUMENT: Final = re.compile(r"(--?[\w-]+=|[A-Za-z_]\w*=|[A-Za-z][\w-]*:\s*)?(.*)", re.DOTALL)
"""`--flag=value`, `NAME=value`, `Header: value`, or a value alone."""

PARAMETER: Final = re.compile(r"(?<=[?&])([^=&#]+)=([^&#]+)")


@dataclass
class Hidden:
    """A server without written-out secrets, the secrets by name, and what was done, in a sentence each."""

    server: McpServer
    secrets: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def reference(self, where: str, name: str, value: str) -> str:
        """Keep a value as a secret and return the reference to it."""
        wanted = secret_name(self.server.name, name)
        known = next(unused for unused in _numbered(wanted) if unused not in self.secrets)
        self.secrets[known] = value.replace("$${", "${")
        self.notes.append(f"{where}: moved to the sealed store, as ${{secret:{known}}}")
        return f"${{secret:{known}}}"


def hide(server: McpServer) -> Hidden:
    """Replace every literal in headers, and what looks like a secret in env, command and url, by a reference."""
    hidden = Hidden(server)
    hidden.server = replace(
        server,
        headers={
            name: value if _refers(value) or not value else hidden.reference(f"header {name}", name, value)
            for name, value in server.headers.items()
        },
        env={
            name: hidden.reference(f"env {name}", name, value) if looks_secret(name, value) else value
            for name, value in server.env.items()
        },
        command=tuple(_arguments(hidden, server.command)),
        url=PARAMETER.sub(lambda found: _parameter(hidden, found[1], found[2]), server.url),
    )
    return hidden


def looks_secret(name: str, value: str) -> bool:
    """Whether the value of an environment variable may be a secret; when in doubt, it may."""
    if not value or _refers(value) or SMALL.fullmatch(value):
        return False
    if SECRET_WORD.search(name) or TOKEN_SHAPE.search(value):
        return True
    return not (WORDS.fullmatch(value) or PATH.fullmatch(value) or _is_plain_url(value))


def secret_name(server: str, name: str) -> str:
    """`<server>-<name>`, in the letters that a secret's name may have."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", f"{server}-{name}")[:90]


def _arguments(hidden: Hidden, command: tuple[str, ...]) -> Iterator[str]:
    before = ""
    for index, argument in enumerate(command):
        found = ARGUMENT.fullmatch(argument)
        prefix, value = (found[1] or "", found[2]) if found else ("", argument)
        name = prefix.strip("-=: ") or (before.strip("-") if before.startswith("-") else "")
        named = bool(SECRET_WORD.search(name)) and not value.startswith("-") and not SMALL.fullmatch(value)
        secret = index > 0 and value and not _refers(value) and (named or bool(TOKEN_SHAPE.search(value)))
        before = "" if prefix else argument
        yield prefix + hidden.reference(f"argument {index}", name or f"arg{index}", value) if secret else argument


def _parameter(hidden: Hidden, name: str, value: str) -> str:
    if _refers(value) or SMALL.fullmatch(value) or not (SECRET_WORD.search(name) or TOKEN_SHAPE.search(value)):
        return f"{name}={value}"
    return f"{name}={hidden.reference(f'url parameter {name}', name, value)}"


def _refers(text: str) -> bool:
    return any(True for _ in references.find(text))


def _is_plain_url(value: str) -> bool:
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    return parts.scheme in ("http", "https", "ws", "wss") and not (parts.username or parts.query or parts.fragment)


def _numbered(name: str) -> Iterator[str]:
    yield name
    number = 2
    while True:
        yield f"{name}-{number}"
        number += 1
