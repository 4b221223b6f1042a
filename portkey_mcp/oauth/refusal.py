"""How the OAuth server says no: the error codes of the RFCs, with words for whoever reads a log."""

from typing import Final

from portkey_mcp.errors import Refusal

INVALID_CLIENT: Final = "invalid_client"


class OAuthRefusal(Refusal):
    """A request that is refused by the letter: RFC 6749 sections 4.1.2.1 and 5.2, RFC 7591 section 3.2.2, RFC 8707.

    `error` is the code for a program; `str()` the description for its author: printable ASCII without quotes and
    backslashes (RFC 6749, section 5.2), so nothing that a stranger sent is repeated in it.
    """

    def __init__(self, error: str, description: str, *, status: int = 400, retry_after: int | None = None) -> None:
        super().__init__(description)
        self.error, self.status, self.retry_after = error, status, retry_after


def invalid_client(description: str) -> OAuthRefusal:
    """The client is not known, or did not prove who it is: 401, upon which Claude registers anew (oauth.md K5)."""
    return OAuthRefusal(INVALID_CLIENT, description, status=401)
