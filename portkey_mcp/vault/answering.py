"""What an authorization server answers in a person's browser, and what is said of it when that is no code.

Pure. Before anything else of an answer is believed, it is known to be this server's (RFC 9207, section 2.4).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from portkey_mcp.errors import PortkeyError, TokenRefused
from portkey_mcp.vault.connection import Place
from portkey_mcp.vault.flows import Flow

LONGEST_QUOTE: Final = 200
"""Characters of a stranger's words that are shown."""


@dataclass
class NotConnected(PortkeyError):
    """No account was connected. `text` is for the person; `hint` is for those who administer the workspace, if at all.

    `place` and `onto` are where to begin again and where that leads to; None and empty where nobody knows.
    """

    text: str
    hint: str = ""
    place: Place | None = None
    onto: str = ""

    def __str__(self) -> str:
        return self.text


_DENIED: Final = "You did not let this gateway in, or may not. Nothing was connected."
_SCOPES: Final = "The authorization server does not give what was asked for. An admin can change that."
_AGAIN: Final = "The authorization server could not do it just now. Try again soon."
_UNKNOWN: Final = (
    "The authorization server does not know this gateway any more. Please try again: it makes itself known anew."
)
_DISBELIEVED: Final = (
    "The authorization server does not take this gateway for what it says it is. An admin has to look at that."
)
_CODE: Final = (
    "The authorization server did not take its own answer back: too much time went by, or it was used. Try again."
)
_REFUSED: Final = "The authorization server refused."

_WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "access_denied": (_DENIED, ""),
    "invalid_scope": (_SCOPES, "`scopes` in the server's `auth` says what is asked for."),
    "invalid_target": (_REFUSED, "It does not know the server's URL; `send_resource: false` leaves that out."),
    "unauthorized_client": (_REFUSED, "The client may not do this there; look at its registration."),
    "server_error": (_AGAIN, ""),
    "temporarily_unavailable": (_AGAIN, ""),
    "invalid_grant": (_CODE, ""),
}
"""Errors of RFC 6749 (4.1.2.1, 5.2) and RFC 8707: what the person is told, and what an admin can do."""


def is_answered_by(flow: Flow, issuer: str | None) -> bool:
    """Whether an answer with this `iss` comes from the server that was asked; None: it says none.

    Compared as strings: an address that only looks the same is another one. Of a server without a name, found only by
    its paths (MCP 2025-03-26), there is nothing to compare with.
    """
    if issuer is None or not flow.is_named:
        return not flow.says_issuer
    return issuer == flow.endpoint.issuer


def refused_words(error: str, description: str = "") -> tuple[str, str]:
    """What is said of an error: to the person, and to those who administer."""
    text, hint = _WORDS.get(error, (_REFUSED, ""))
    if error in ("access_denied", "invalid_grant"):
        return text, hint
    said = f"It says: {quoted(error)}" + (f", {quoted(description)}" if description else "")
    return f"{text} {said}", hint


def token_words(refusal: TokenRefused, *, registered: bool) -> tuple[str, str]:
    """The same for what the token endpoint says. `registered`: the gateway made itself known there by itself."""
    if refusal.error in ("invalid_client", "unauthorized_client") and registered:
        return _UNKNOWN, ""
    if refusal.error == "invalid_client":
        return _DISBELIEVED, "Look at `client_id` and `client_secret` (or `private_key`) in the server's `auth`."
    return refused_words(refusal.error, refusal.description)


def quoted(text: str) -> str:
    """A stranger's words on one line, short, and marked as theirs."""
    plain = "".join(char if char.isprintable() else " " for char in text)
    return f"“{plain if len(plain) <= LONGEST_QUOTE else plain[:LONGEST_QUOTE] + '…'}”"


def host_of(url: str) -> str:
    """The host of a URL, with its port where it names one: what a person is shown of where they are sent."""
    return urlsplit(url).netloc.rpartition("@")[2].lower()
