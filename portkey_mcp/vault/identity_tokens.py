"""Telling a server who calls: header lines with claims, and a short-lived JWT that says the same, signed by us.

Never the client's own token: everything here is made of the principal that it proved (oauth.md B2).

Claims in headers are text in visible ASCII. Whatever else is in a name (and `%`, and in a group's name `,`) is
percent-encoded UTF-8 (RFC 3986, section 2.1), so that a server gets it back whole by decoding that; `groups` are
separated by commas. `all` is one line of JSON in ASCII, with `\\u` escapes. A header with nothing to say is left out.
"""

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote
from uuid import uuid4

from portkey_mcp.errors import Mistake
from portkey_mcp.model import Principal
from portkey_mcp.proof import IdentityAuth
from portkey_mcp.vault.signing import SigningKeys
from portkey_mcp.wire import Json

LIFE: Final = 300
"""Seconds that a token is good."""

SPARE: Final = 60
"""Seconds before that, at which it is not used any more: it travels, and clocks differ."""

MOST_HELD: Final = 10_000
"""Principals at servers whose lines are held; one more, and all are made anew."""

_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_PLAIN: Final = " !\"#$&'()*+,/:;<=>?@[\\]^`{|}"
"""Visible ASCII, and the space, but for `%` and what is never encoded anyway."""


@dataclass(frozen=True, slots=True)
class _Held:
    """Lines that were made. `until` is in seconds since the epoch; None: as long as principal and `auth` are these."""

    who: Principal
    auth: IdentityAuth
    lines: bytes
    until: float | None


class IdentityTokens:
    """Makes them. `issuer` is the gateway's public URL; `now` is in seconds since the epoch."""

    def __init__(self, keys: SigningKeys, issuer: str, now: Callable[[], float] = time.time) -> None:
        self._keys = keys
        self._issuer = issuer
        self._now = now
        self._held: dict[tuple[str, str, str, tuple[str, ...]], _Held] = {}

    def ready(self, auth: IdentityAuth, who: Principal, workspace: str) -> bytes | None:
        """Header lines that are at hand and still good; else None."""
        held = self._held.get(_key(auth, who, workspace))
        if held is None or (held.who is not who and held.who != who) or held.auth != auth:
            return None
        return held.lines if held.until is None or self._now() < held.until else None

    async def lines(self, auth: IdentityAuth, who: Principal, workspace: str) -> bytes:
        """Header lines for requests of a principal to a server of a workspace, each with its line end.

        Raises:
            StoreDown: there is no key to sign with.
            Mistake: a header's name is none.
        """
        found = self.ready(auth, who, workspace)
        if found is not None:
            return found
        claims = claims_of(who, workspace)
        lines = [_line(header, text) for header, claim in auth.claims.items() if (text := _text(claims, claim))]
        until = None
        if auth.token_header:
            until = self._now() + LIFE - SPARE
            token = await self.token(who, workspace, auth.audience)
            lines.append(_line(auth.token_header, _scheme(auth.token_header) + token))
        if len(self._held) >= MOST_HELD:
            self._held.clear()
        held = self._held[_key(auth, who, workspace)] = _Held(who, auth, b"".join(lines), until)
        return held.lines

    async def token(self, who: Principal, workspace: str, audience: str) -> str:
        """A new JWT that says who that is, good for `LIFE` seconds at one audience.

        Raises:
            StoreDown: there is no key to sign with.
        """
        key, now = await self._keys.current(), int(self._now())
        claims = claims_of(who, workspace)
        return key.sign(
            {
                "iss": self._issuer,
                "sub": claims.pop("id"),
                "aud": audience,
                "iat": now,
                "exp": now + LIFE,
                "jti": str(uuid4()),
                **claims,
            }
        )

    def forget(self) -> None:
        """Everything that is held."""
        self._held.clear()


def claims_of(who: Principal, workspace: str) -> Json:
    """What a server of a workspace is told of a principal, with nothing in it that is empty."""
    said: Json = {
        "id": who.id,
        "name": who.name,
        "email": who.email,
        "groups": list(who.groups_in(workspace)),
        "role": who.role_in(workspace),
        "workspace": workspace,
    }
    return {name: value for name, value in said.items() if value}


def _key(auth: IdentityAuth, who: Principal, workspace: str) -> tuple[str, str, str, tuple[str, ...]]:
    return who.id, workspace, auth.audience, (auth.token_header, *auth.claims, *auth.claims.values())


def _text(claims: Json, claim: str) -> str:
    """A claim as the value of a header; empty where there is nothing to say."""
    if claim == "all":
        return json.dumps(claims, ensure_ascii=True, separators=(",", ":"))
    value: Any = claims.get(claim, "")
    if isinstance(value, list):
        return ",".join(_encoded(one, _PLAIN.replace(",", "")) for one in value)
    return _encoded(value, _PLAIN)


def _encoded(text: str, plain: str) -> str:
    """Text as it stands in a header. Spaces at its ends are encoded, too: whoever reads a header takes them off."""
    inner = text.strip(" ")
    before = len(text) - len(text.lstrip(" ")) if inner else len(text)
    after = len(text) - before - len(inner)
    return "%20" * before + quote(inner, safe=plain, errors="surrogatepass") + "%20" * after


def _scheme(header: str) -> str:
    """What stands before a token: in `Authorization` its scheme (RFC 6750, section 2.1), elsewhere nothing."""
    return "Bearer " if header.lower() == "authorization" else ""


def _line(header: str, value: str) -> bytes:
    """One header line. Values are ASCII without control characters, however they were made; names are checked."""
    if not _NAME.fullmatch(header):
        raise Mistake(f"{header!r} is no name of an HTTP header")
    if not (value.isascii() and value.isprintable()):
        raise Mistake(f"what the header {header} is to say cannot stand in a header")
    return f"{header}: {value}\r\n".encode("ascii")
