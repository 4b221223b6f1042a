"""A registration as claude.ai sends it (RFC 7591), and what has to come back (oauth.md A16, K5)."""

from collections.abc import Iterator
from typing import Final

from portkey_mcp.doctor.answer import Answer, text, texts
from portkey_mcp.doctor.finding import Finding, bad, doubtful, good, quoted
from portkey_mcp.doctor.issuer import lists
from portkey_mcp.wire import Json

CALLBACK: Final = "https://claude.ai/api/mcp/auth_callback"
"""Where hosted Claude takes its code (K7)."""
CLIENT_DOCUMENT: Final = "https://claude.ai/oauth/mcp-oauth-client-metadata"
"""Hosted Claude's client id where client-ID metadata documents are offered (oauth.md section 4)."""

_REFUSED: Final[dict[int, tuple[str, str]]] = {
    401: ("it wants a credential, which Claude has not", "let anybody register, within limits"),
    403: ("it is forbidden, by the server or a firewall", "let python-httpx from 160.79.104.0/21 pass"),
    404: ("nothing is there", "serve registration where registration_endpoint says, or take that member away"),
    405: ("it takes no POST", "take a POST with JSON there"),
    415: ("it takes no JSON", "take `Content-Type: application/json`, as RFC 7591 section 3.1 has it"),
    429: (
        "it is limited; all users of Claude come from a few addresses, and read it as `Couldn't register`",
        "do not limit registration by address; expire clients that are never used",
    ),
}


def request(metadata: Json, scope: str) -> Json:
    """The registration; its name lets an administrator recognize what the doctor left behind."""
    public = lists(metadata, "token_endpoint_auth_methods_supported", "none")
    wanted: Json = {
        "client_name": "Claude (portkey-mcp doctor)",
        "redirect_uris": [CALLBACK],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none" if public else "client_secret_post",
    }
    return {**wanted, "scope": scope} if scope else wanted


def registered(answer: Answer, sent: Json) -> Iterator[Finding]:
    """What is to be said of the answer. Never what secret came with it."""
    document = answer.document
    if answer.status not in (200, 201) or document is None:
        yield _refused(answer)
        return
    if not text(document, "client_id"):
        yield bad("register", "the answer has no client_id", "send one (RFC 7591 section 3.2.1)", answer.seconds)
        return
    yield good("register", f"registered, and left behind: client {quoted(text(document, 'client_id'))}", answer.seconds)
    if answer.status == 200:
        yield doubtful("register", "it answers 200, where RFC 7591 wants 201", "answer 201 Created")
    if CALLBACK not in (texts(document, "redirect_uris") or []):
        yield bad("register", f"the answer does not repeat {CALLBACK}", "repeat all that was registered")
    yield from _secret(document, sent)


def _secret(document: Json, sent: Json) -> Iterator[Finding]:
    if "client_secret" not in document:
        return
    if type(document.get("client_secret_expires_at")) is not int:
        yield bad(
            "register",
            "a client_secret came without an integer client_secret_expires_at; strict clients refuse the answer",
            "send it, 0 for a secret that never ends",
        )
    if "none" in (sent["token_endpoint_auth_method"], document.get("token_endpoint_auth_method")):
        yield doubtful("register", "a client without authentication got a secret all the same", "send none")


def _refused(answer: Answer) -> Finding:
    said = answer.said
    if answer.status == 400 and (error := answer.document):
        words = quoted(text(error, "error_description") or text(error, "error") or "without a reason")
        return bad(
            "register",
            f"refused: {said}: {words}",
            f"accept {CALLBACK} as redirect URI, authorization_code and refresh_token as grants",
            answer.seconds,
        )
    if answer.failure or answer.status >= 500:
        return bad("register", said, "look into the log of the authorization server", answer.seconds)
    if answer.status in (200, 201):
        return bad("register", f"{said}, but no JSON object", "answer with the client as JSON", answer.seconds)
    why, mend = _REFUSED.get(answer.status, ("no client came back", "look into the log of the authorization server"))
    return bad("register", f"{said}: {why}", mend, answer.seconds)
