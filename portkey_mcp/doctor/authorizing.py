"""The authorization endpoint as a browser meets it that Claude has sent there (oauth.md A12 to A14, B1, K6, K7)."""

import base64
import hashlib
import secrets
from collections.abc import Iterator
from typing import Final
from urllib.parse import parse_qs, urlencode, urlsplit

from portkey_mcp.doctor.answer import Answer, text
from portkey_mcp.doctor.finding import Finding, bad, doubtful, good, quoted, skipped
from portkey_mcp.doctor.registering import CALLBACK
from portkey_mcp.wire import Json

ELSEWHERE: Final = "https://doctor.invalid/callback"
"""A redirect URI that nobody has registered; the name can never exist (RFC 6761)."""

_REGISTERED: Final = (
    f"accept the client and {CALLBACK}; where the client is Claude's own document, the server must be able to fetch it "
    "(claude.ai may answer data centers with a challenge: keep a copy)"
)


def question(
    endpoint: str, client_id: str, *, scope: str, resource: str, redirect: str = CALLBACK, pkce: bool = True
) -> str:
    """The URL that Claude sends the browser to."""
    challenge = hashlib.sha256(secrets.token_urlsafe(48).encode()).digest()
    asked = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": redirect,
        "state": secrets.token_urlsafe(16),
        "resource": resource,
        **({"scope": scope} if scope else {}),
    }
    if pkce:
        code_challenge = base64.urlsafe_b64encode(challenge).rstrip(b"=").decode()
        asked |= {"code_challenge": code_challenge, "code_challenge_method": "S256"}
    return f"{endpoint}{'&' if urlsplit(endpoint).query else '?'}{urlencode(asked)}"


def asked(answer: Answer) -> Iterator[Finding]:
    """The question as Claude puts it: a page, or the way to one."""
    back = _back(answer, CALLBACK)
    if "code" in back:
        yield bad(
            "authorize",
            "it gives a code to somebody who has not signed in or agreed to anything",
            "let the person sign in and agree first",
            answer.seconds,
        )
    elif back:
        why = quoted(f"{back.get('error', 'no error')}: {back.get('error_description', 'no reason')}")
        yield bad("authorize", f"it sends Claude back with {why}", _REGISTERED, answer.seconds)
    elif answer.location:
        yield good("authorize", f"it leads on to {quoted(answer.location.partition('?')[0])}", answer.seconds)
        yield skipped("authorize", "whether its pages forbid framing: they come after a redirect")
    elif answer.status == 200:
        yield good("authorize", "it shows a page to Claude's question", answer.seconds)
        yield _framing(answer)
    else:
        yield bad("authorize", f"it answers {answer.said} to Claude's question", _REGISTERED, answer.seconds)


def astray(answer: Answer) -> Finding:
    """The same question with a redirect URI that is not registered: nothing may be sent there (A14)."""
    if answer.failure or answer.status >= 500:
        return doubtful(
            "authorize", f"a wrong redirect_uri: {answer.said}", "answer 400 with a page that says what is wrong"
        )
    if answer.location.startswith(ELSEWHERE.removesuffix("/callback")):
        return bad(
            "authorize",
            "it redirects to an address that nobody registered: whoever makes such a link gets people's codes",
            "compare redirect_uri exactly with what is registered, and show an error page where it differs",
            answer.seconds,
        )
    if 400 <= answer.status < 500:
        return good("authorize", "a redirect_uri that is not registered is refused", answer.seconds)
    return good("authorize", "nothing is sent to a redirect_uri that is not registered", answer.seconds)


def unproven(answer: Answer, metadata: Json) -> Iterator[Finding]:
    """The same question without a code_challenge: refused, to the client or on a page (A12, K6)."""
    mend = "refuse it with error=invalid_request: code_challenge and S256 are required (OAuth 2.1)"
    back = _back(answer, CALLBACK)
    if "code" in back:
        yield bad("authorize", "it gives a code without PKCE", mend, answer.seconds)
    elif "error" in back:
        yield good("authorize", f"without PKCE it sends the client back with {quoted(back['error'])}", answer.seconds)
        yield from _names_itself(back, metadata)
    elif 400 <= answer.status < 500:
        yield good("authorize", "a question without PKCE is refused", answer.seconds)
    else:
        what = f"a question without PKCE is not refused at once ({answer.said})"
        yield doubtful("authorize", what, mend, answer.seconds)


def _names_itself(back: dict[str, str], metadata: Json) -> Iterator[Finding]:
    """RFC 9207: who promises `iss` has to send it with errors, too."""
    promised = metadata.get("authorization_response_iss_parameter_supported") is True
    if (promised or "iss" in back) and back.get("iss", "") != text(metadata, "issuer"):
        yield bad(
            "authorize",
            f"the error it sends back has iss={quoted(back.get('iss') or 'nothing')}, and not the issuer; clients that "
            "were promised `iss` refuse such an answer",
            "send `iss`, exactly as in the metadata, with every answer (RFC 9207)",
        )


def _framing(answer: Answer) -> Finding:
    policy = answer.headers.get("content-security-policy", "").lower()
    if "frame-ancestors" in policy or answer.headers.get("x-frame-options", "").strip().lower() in (
        "deny",
        "sameorigin",
    ):
        return good("authorize", "its page forbids framing")
    return doubtful(
        "authorize",
        "its page can be framed by any site, which can trick people into agreeing",
        "send `Content-Security-Policy: frame-ancestors 'none'` with every page",
    )


def _back(answer: Answer, redirect: str) -> dict[str, str]:
    """What a redirect back to the client says; empty where it is none."""
    if answer.location.partition("?")[0] != redirect:
        return {}
    said = parse_qs(urlsplit(answer.location).query)
    return {name: values[0] for name, values in said.items()} or {"error": "nothing"}
