"""The token endpoint, tried with what must not work: a code and a client that were made up (oauth.md A16, A17)."""

from collections.abc import Iterator
from typing import Final

from portkey_mcp.doctor.answer import Answer, text
from portkey_mcp.doctor.finding import Finding, bad, doubtful, good, quoted
from portkey_mcp.doctor.registering import CALLBACK

FORM: Final = "read `application/x-www-form-urlencoded` (RFC 6749 section 4.1.3); Claude sends no JSON here"


def form(client_id: str, resource: str) -> dict[str, str]:
    """What Claude sends to redeem a code; the code and the verifier are made up."""
    return {
        "grant_type": "authorization_code",
        "code": "portkey-mcp-doctor-made-this-up",
        "redirect_uri": CALLBACK,
        "client_id": client_id,
        "code_verifier": "portkey-mcp-doctor-made-this-up-too-and-it-is-long-enough",
        "resource": resource,
    }


def redeemed(answer: Answer) -> Iterator[Finding]:
    """The answer to a made-up code of a client that the server should know."""
    error = text(answer.document or {}, "error")
    if answer.status == 400 and error == "invalid_grant":
        yield good("token", "a code that was never given is refused with invalid_grant", answer.seconds)
    elif error == "invalid_client":
        yield bad(
            "token",
            f"it does not know the client that asked for the code: {answer.said}",
            "take at /token every client that /authorize takes; fetch or keep Claude's client document",
            answer.seconds,
        )
    elif (broken := _broken(answer)) is not None:
        yield broken
    else:
        yield doubtful(
            "token",
            f"a code that was never given is answered with {answer.said}",
            "answer 400 with `invalid_grant`: clients begin anew on that error only",
            answer.seconds,
        )
    yield from _kept(answer)


def unknown(answer: Answer) -> Iterator[Finding]:
    """The answer to a client that does not exist: the error on which Claude registers anew."""
    error = text(answer.document or {}, "error")
    if answer.status == 401 and error == "invalid_client":
        yield good("token", "an unknown client is refused with 401 invalid_client", answer.seconds)
    elif (broken := _broken(answer)) is not None:
        yield broken
    else:
        yield doubtful(
            "token",
            f"an unknown client is answered with {answer.said}",
            "answer 401 with `invalid_client`: only then does Claude register anew once its client was removed",
            answer.seconds,
        )


def _broken(answer: Answer) -> Finding | None:
    """What no client can read at all."""
    if answer.status in (415, 422):
        return bad("token", f"{answer.said}: it does not take a form", FORM, answer.seconds)
    if answer.failure or answer.status >= 500 or answer.location:
        return bad("token", answer.said, "look into the log of the authorization server", answer.seconds)
    if answer.status == 200:
        return bad("token", f"it answers {answer.said} to a code that was never given", "refuse it", answer.seconds)
    if answer.document is None:
        return bad(
            "token",
            f"{answer.said}, without a JSON error",
            "answer errors as JSON with `error` (RFC 6749 section 5.2); check the path, and firewalls before it",
            answer.seconds,
        )
    return None


def _kept(answer: Answer) -> Iterator[Finding]:
    directives = answer.headers.get("cache-control", "").lower()
    if answer.document is not None and "no-store" not in directives:
        yield doubtful(
            "token",
            f"its answers may be kept by caches (Cache-Control: {quoted(directives or 'none')})",
            "send `Cache-Control: no-store` with every answer",
        )
