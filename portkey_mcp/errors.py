"""Every way a call can fail, as types. `gateway/answer.py` is the one table that turns them into what a client sees.

PortkeyError
├── Mistake              a person's file or command is wrong; carries where it is and what would help
│   ├── Mistakes         several of them, all that one file has
│   └── Conflict         nothing is wrong with it, but it is not to be changed here, or was changed meanwhile
├── Refusal              the gateway says no, by rule
│   ├── Unauthenticated  no credential, or one that does not verify
│   ├── Forbidden        known, but not allowed here
│   │   └── ScopeNeeded  the credential was not granted what this takes; its person can grant it
│   ├── NotFound         no such endpoint, session, tool, prompt or resource
│   ├── InvalidRequest   the message is wrong; carries the JSON-RPC code
│   ├── ClientRefused    an OAuth client that names itself by a URL is not one that may come in
│   └── Refused          policy does not let this call pass; says what, why, and what would help
├── StoreDown            counts or approvals cannot be read or written just now
├── ProviderDown         an identity provider gave no answer, or none that says anything
├── TokenRefused         an authorization server gives the gateway no token, and says so
├── NotFetched           a URL that came from outside was not asked, or gave no answer that may be used
│   └── Unreachable      who was to be asked did not answer; asking again later may help
├── ConnectNeeded        the server wants an account, and none that is good is connected
├── SignInNeeded         the server takes a person's single sign-on, and theirs is none that is good any more
├── UpstreamError        the upstream answered with a JSON-RPC error; passed on as it is
└── UpstreamDown         the upstream gave no answer
    └── UpstreamTimeout  it was given its time
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal


class PortkeyError(Exception):
    """Root of everything this package raises on purpose."""


class Mistake(PortkeyError):
    """A person's mistake in a file or on the command line; printed as `FILE:LINE:COLUMN: what`, exit code 2."""

    def __init__(self, what: str, *, file: str = "", line: int = 0, column: int = 0) -> None:
        where = ":".join([file, *([str(line), str(column)] if line else [])]) if file else ""
        super().__init__(f"{where}: {what}" if where else what)
        self.what, self.file, self.line, self.column = what, file, line, column


class Mistakes(Mistake):
    """All mistakes of one file, in its order; `str()` is one line for each."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        super().__init__("\n".join(str(mistake) for mistake in mistakes))
        self.mistakes = tuple(mistakes)


class Conflict(Mistake):
    """What was to be changed has been changed by somebody else meanwhile, or is managed elsewhere; nothing was."""


class Refusal(PortkeyError):
    """The gateway's own no. `str()` is fit for the client's eyes: it names nothing that is hidden from it."""


class Unauthenticated(Refusal):
    """No credential was sent, or it does not verify; `offered` says which."""

    def __init__(self, message: str, *, offered: bool = True) -> None:
        super().__init__(message)
        self.offered = offered


class Forbidden(Refusal):
    """The principal is known and may not enter here."""


class ScopeNeeded(Forbidden):
    """The credential lacks a scope; `scopes` are all that the request takes (RFC 6750, section 3.1)."""

    def __init__(self, message: str, scopes: Sequence[str]) -> None:
        super().__init__(message)
        self.scopes = tuple(scopes)


class NotFound(Refusal):
    """What was asked for does not exist, or not for this principal; the two look alike on purpose."""


@dataclass
class InvalidRequest(Refusal):
    """The message breaks the protocol.

    `code` is the JSON-RPC code of the answer, `data` its data member; None leaves data out.
    """

    code: int
    message: str
    data: Any = None

    def __str__(self) -> str:
        return self.message


Reason = Literal["limit", "arguments", "condition", "size", "content", "approval", "store"]
"""Why policy refuses: used up, arguments that do not fit, a `when` that is not true, too large, something that may not
pass, a person is to be asked first, or nobody can say because the store is down."""


@dataclass
class Refused(Refusal):
    """Policy does not let a call pass that its caller may see. Nothing about it reached the upstream, unless `sent`.

    `text` is for the model or person who called: what was refused, why, and what would help. `data` are the same facts
    for a program, JSON; `retry_after` is in seconds, None where waiting does not help.
    """

    reason: Reason
    text: str
    data: dict[str, Any] = field(default_factory=dict)
    retry_after: float | None = None
    sent: bool = False

    def __str__(self) -> str:
        return self.text


@dataclass
class ClientRefused(Refusal):
    """A client that names itself by the URL of its metadata document does not come in.

    `text` is for the person who signs in. `retry_after` is in seconds, None where waiting does not help.
    """

    text: str
    retry_after: float | None = None

    def __str__(self) -> str:
        return self.text


class StoreDown(PortkeyError):
    """The store cannot be read or written just now; `str()` says why, for the log."""


class ProviderDown(PortkeyError):
    """An identity provider cannot be asked just now, or answers what nobody can use; `str()` is for a person."""


@dataclass
class TokenRefused(PortkeyError):
    """An authorization server answered a token request with an error (RFC 6749, section 5.2).

    `error` is its code, like `invalid_grant`; `description` its own words, which are a stranger's. `str()` is for a
    person and a log: it holds no token.
    """

    error: str
    description: str = ""

    def __str__(self) -> str:
        return f"{self.error}: {self.description}" if self.description else self.error


@dataclass
class NotFetched(PortkeyError):
    """What a URL from outside leads to was not fetched: a rule forbids to ask there, or what came is no good.

    `reason` is a sentence for a person. Where it tells what this network looks like (names, addresses, what listens),
    `inside` is set: then it is for the log and for administrators, never for whoever gave the URL.
    """

    reason: str
    inside: bool = False

    def __str__(self) -> str:
        return self.reason


class Unreachable(NotFetched):
    """Nobody answered: the name has no address, no connection came about, it broke off, or time was over."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, inside=True)


@dataclass
class ConnectNeeded(PortkeyError):
    """A server wants an account that nobody has connected, that ended, or that is allowed too little.

    `text` is for the person or model who called: what is missing, and why. `url` is the page of ours where the person
    who called connects it; empty where they cannot, and `text` says who can. Nothing ran on the server.
    """

    server: str
    text: str
    url: str = ""

    def __str__(self) -> str:
        return self.text


@dataclass
class SignInNeeded(PortkeyError):
    """A server takes what a person's identity provider says of them, and there is nothing of it that is good any more.

    `text` is for the person who called: what helps. `provider` is the id of the provider they sign in with; empty
    where no sign-in would help them.
    """

    text: str
    provider: str = ""

    def __str__(self) -> str:
        return self.text


@dataclass
class UpstreamError(PortkeyError):
    """The upstream's own JSON-RPC error. `error` is the raw error object and reaches the client as it is.

    `status` and `headers` are those of the HTTP answer that carried it; 0 and empty for other transports.
    """

    error: dict[str, Any]
    status: int = 0
    headers: dict[str, str] | None = None

    @property
    def code(self) -> int:
        code = self.error.get("code")
        return code if isinstance(code, int) else 0

    def __str__(self) -> str:
        return f"{self.code}: {self.error.get('message', '')}"


def brief(error: Exception) -> str:
    """An error for a log. An upstream's own words may quote arguments, so of its errors only the code is told."""
    return f"JSON-RPC error {error.code}" if isinstance(error, UpstreamError) else str(error)


@dataclass
class UpstreamDown(PortkeyError):
    """No answer came from the upstream: it could not be reached, broke off, or its breaker is open.

    `server` is its name, `reason` one sentence for a person. `status` is the HTTP status where one was received
    (401, 403, 429, 5xx without a JSON-RPC body), else 0. `retry_after` is in seconds, None when unknown.
    `sent` says whether the request may have reached the upstream: then it is never repeated.
    """

    server: str
    reason: str
    status: int = 0
    retry_after: float | None = None
    sent: bool = False
    headers: dict[str, str] | None = None

    def __str__(self) -> str:
        return f"server {self.server!r} is not available: {self.reason}"


class UpstreamTimeout(UpstreamDown):
    """The upstream was given its time and did not answer."""

    def __str__(self) -> str:
        return f"server {self.server!r} did not answer: {self.reason}"
