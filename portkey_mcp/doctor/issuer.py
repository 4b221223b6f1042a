"""Authorization server metadata (RFC 8414, OpenID Connect discovery): where Claude looks and what it wants there.

oauth.md A11, A13, A20, K4, K5, K6 and K9.
"""

from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

from portkey_mcp.doctor.answer import Answer, text, texts
from portkey_mcp.doctor.finding import Finding, bad, doubtful, good, quoted
from portkey_mcp.doctor.target import Target, origin, parsed, secure
from portkey_mcp.wire import Json

AUTHORIZATION_SERVER: Final = "oauth-authorization-server"
OPENID: Final = "openid-configuration"


class Registration(NamedTuple):
    """How Claude will get a client id here: by its own document (CIMD), by registering (DCR), or typed by a person."""

    kind: Literal["document", "dynamic", "typed"]
    why: str


def places(issuer: str) -> list[str]:
    """Where the metadata of an issuer is looked for, in order; none for what is no URL."""
    split = parsed(issuer)
    if split is None:
        return []
    base, path = f"{split.scheme}://{split.netloc}/.well-known/", split.path.rstrip("/")
    found = [f"{base}{AUTHORIZATION_SERVER}{path}", f"{base}{OPENID}{path}"]
    return [*found, f"{split.scheme}://{split.netloc}{path}/.well-known/{OPENID}"] if path else found


def missing(answer: Answer, *, last: bool) -> Finding | None:
    """What is to be said of a place without metadata; None where there is some, or where it is no fault."""
    if answer.status == 200 and answer.document is not None:
        return None
    at, mend = quoted(answer.url), "serve the metadata there as JSON (RFC 8414), without a credential and in place"
    if answer.failure or answer.location or answer.status == 200 or answer.status >= 500 or answer.status in (401, 403):
        return bad("issuer", f"{at}: {answer.said}", f"{mend}; or answer 404 with JSON", answer.seconds)
    if answer.html:
        return doubtful("issuer", f"{at}: {answer.said}", "answer 404 with JSON, or with the metadata", answer.seconds)
    if last:
        return bad("issuer", f"no metadata anywhere, last at {at}: {answer.said}", mend, answer.seconds)
    return None


def judged(answer: Answer, issuer: str, target: Target) -> Iterator[Finding]:
    """What is to be said of the metadata that was found for `issuer`."""
    metadata = answer.document or {}
    yield _issuer(metadata, issuer, answer)
    for name in ("authorization_endpoint", "token_endpoint", "registration_endpoint"):
        yield from _endpoint(metadata, name, target)
    yield from _flow(metadata)
    yield _registration(metadata)
    if metadata.get("authorization_response_iss_parameter_supported") is not True:
        yield doubtful(
            "issuer",
            "it does not say that its answers carry `iss`, by which a client tells one server's answer from another's",
            "send `iss` with every answer (RFC 9207), errors too, and say "
            "`authorization_response_iss_parameter_supported: true`",
        )
    if "offline_access" not in (texts(metadata, "scopes_supported") or []):
        yield doubtful(
            "issuer",
            "scopes_supported does not list offline_access; Claude then does not ask for a refresh token",
            "list it here, and give refresh tokens: else people have to sign in again and again",
        )


def registration(metadata: Json) -> Registration:
    """What Claude will choose, and why (K5)."""
    by_document = metadata.get("client_id_metadata_document_supported") is True
    public = "none" in _methods(metadata)
    if by_document and public:
        return Registration(
            "document", "client_id_metadata_document_supported is true and the auth methods have `none`"
        )
    lacking = "the auth methods lack `none`" if by_document else "client-ID metadata documents are not offered"
    if text(metadata, "registration_endpoint"):
        return Registration("dynamic", f"{lacking}, and there is a registration_endpoint")
    return Registration("typed", f"{lacking}, and there is no registration_endpoint")


def lists(metadata: Json, name: str, value: str) -> bool:
    """Whether a list of the metadata has this value."""
    return value in (texts(metadata, name) or [])


def _methods(metadata: Json) -> list[str]:
    found = texts(metadata, "token_endpoint_auth_methods_supported")
    return ["client_secret_basic"] if found is None else found  # the default of RFC 8414 section 2


def _issuer(metadata: Json, issuer: str, answer: Answer) -> Finding:
    said, at = text(metadata, "issuer"), quoted(answer.url)
    if said == issuer:
        return good("issuer", f"the issuer is exactly {quoted(issuer)}, at {at}", answer.seconds)
    mend = f"say {quoted(issuer)} here, or put the other one into authorization_servers: both must be the same text"
    if not said:
        return bad("issuer", f"the metadata at {at} has no `issuer`", mend, answer.seconds)
    difference = " (they differ only by a slash at the end)" if said.rstrip("/") == issuer.rstrip("/") else ""
    return bad(
        "issuer",
        f"the issuer is {quoted(said)}, and not {quoted(issuer)} as the resource says{difference}; clients refuse that",
        mend,
        answer.seconds,
    )


def _endpoint(metadata: Json, name: str, target: Target) -> Iterator[Finding]:
    url = text(metadata, name)
    if not url:
        if name != "registration_endpoint":
            yield bad("issuer", f"it has no {name}", f"name the {name}, an https URL")
    elif not secure(url):
        yield bad("issuer", f"{name} is not https: {quoted(url)}", "name it by its https URL; set the public URL")
    elif origin(url) != target.origin:
        yield doubtful(
            "issuer",
            f"{name} is at another host, {quoted(origin(url))}; Claude was seen to look for it at the server's host",
            "if sign-in does not begin, serve or forward /authorize, /token and /register at the server's own host",
        )


def _flow(metadata: Json) -> Iterator[Finding]:
    """PKCE, response types and grants."""
    if lists(metadata, "code_challenge_methods_supported", "S256"):
        yield good("issuer", "it offers PKCE with S256")
    else:
        yield bad(
            "issuer",
            "code_challenge_methods_supported does not list S256; clients must refuse such a server",
            'say `"code_challenge_methods_supported": ["S256"]`, and check the verifier',
        )
    if not lists(metadata, "response_types_supported", "code"):
        yield bad("issuer", "response_types_supported does not list `code`", 'say `["code"]`')
    grants = texts(metadata, "grant_types_supported")
    if grants is not None and "authorization_code" not in grants:
        yield bad("issuer", "grant_types_supported does not list authorization_code", "list it")
    if "refresh_token" not in (grants or []):
        yield doubtful(
            "issuer",
            "grant_types_supported does not list refresh_token: people have to sign in again when a token ends",
            "give refresh tokens, and list it",
        )


def _registration(metadata: Json) -> Finding:
    kind, why = registration(metadata)
    offers = metadata.get("client_id_metadata_document_supported") is True
    if kind == "document":
        return good("issuer", f"Claude will introduce itself by its own document (CIMD): {why}")
    if offers:
        return doubtful(
            "issuer",
            f"it offers client-ID metadata documents, but Claude will not use them: {why}",
            'add "none" to token_endpoint_auth_methods_supported',
        )
    if kind == "dynamic":
        return good("issuer", f"Claude will register itself (DCR), anew for each connection: {why}")
    return doubtful(
        "issuer",
        f"somebody will have to type a client id into Claude: {why}",
        "offer client-ID metadata documents, or registration",
    )
