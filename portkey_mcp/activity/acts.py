"""Acts: what matters to security and is remembered. Values only; `audit.py` keeps them.

Never a secret: no password, code, token, key or cookie, nor a part of one; names and ids only.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from portkey_mcp.model import Principal

ACTS: Final[Mapping[str, str]] = {
    "sign_in": "somebody signed in with a browser, or tried to",
    "sign_out": "a browser, or all of a person's, were signed out",
    "password": "somebody was given another password",
    "grant": "a person let a client act for them, or refused",
    "token": "a client was given tokens, or refused",
    "revoke": "a grant ended: by the client, by a person, or because a used code or token came again",
    "register": "a client registered itself, or tried to",
    "key_made": "an API key was made",
    "key_ended": "an API key was revoked",
    "key_used": "an API key or a token was used, once for each address and day",
    "secret_keys": "a key for secrets at rest was made or taken away",
    "person": "an account was made, disabled, enabled or removed",
    "member": "somebody became a member, got another role or other groups, or left",
    "invitation": "somebody was invited, or an invitation was taken back or used",
    "connect": "somebody connected an account at a server, or tried to",
    "disconnect": "an account at a server was disconnected",
    "connection_ended": "a server's account ended by itself: its authorization server takes it no more",
}
"""Every act there is, and what it says."""


@dataclass(frozen=True, slots=True)
class Act:
    """One act. `act` is one of `ACTS`.

    `who` did it, or tried to; without, `actor` is what they called themselves (an e-mail address, the command line).
    `address` is where they were, an IP address; `subject` whom or what it is about; `workspace` empty for what concerns
    the gateway as a whole. `why` is for what was refused. `client` is the OAuth client.
    """

    act: str
    who: Principal | None = None
    actor: str = ""
    address: str = ""
    workspace: str = ""
    subject: str = ""
    outcome: Literal["done", "refused"] = "done"
    why: str = ""
    client: str = ""
    detail: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.act not in ACTS:
            raise ValueError(f"there is no act {self.act!r}")


Note = Callable[[Act], None]
"""Takes note of an act: only remembers it, takes microseconds and cannot fail."""


def forgotten(act: Act) -> None:
    """Take no note: for where there is nobody to keep it."""
