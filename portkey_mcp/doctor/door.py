"""What an MCP URL answers to somebody without a credential, judged answer by answer (oauth.md K1 and A2)."""

from collections.abc import Iterator
from typing import Final, Literal

from portkey_mcp.doctor.answer import Answer
from portkey_mcp.doctor.challenge import Challenge, challenges
from portkey_mcp.doctor.finding import Finding, bad, doubtful, good, quoted
from portkey_mcp.doctor.messages import complaint, result
from portkey_mcp.doctor.target import Target, origin, parsed, secure

Door = Literal["asks", "open", "shut"]
"""`asks` for a credential with a 401, `open` to everybody, `shut` to both."""

FIREWALL: Final = (
    "let requests with the User-Agents `Claude-User` and `python-httpx`, and from 160.79.104.0/21, pass the firewall "
    "or CDN (Cloudflare: the rule that blocks AI bots)"
)
_WHY: Final[dict[int, tuple[str, str]]] = {
    400: (
        "the server does not accept a plain MCP request",
        "check that this URL is one of streamable HTTP, not of SSE",
    ),
    403: ("Claude takes a 403 as final and starts no sign-in", f"ask for a credential with 401; or {FIREWALL}"),
    404: ("nothing is there", "check the path, and that the proxy passes it on unchanged"),
    405: (
        "it takes no POST",
        "this may be the URL of an old SSE server; Claude wants streamable HTTP, which takes POST",
    ),
    406: ("it does not like what Claude accepts", "accept `application/json, text/event-stream`, and `*/*`"),
    415: ("it does not take JSON", "accept `Content-Type: application/json`"),
    421: ("it does not know this host name", "let the server accept the public host name in its list of allowed hosts"),
    429: ("it is limited by address", "do not limit by address: all users of Claude share a few"),
}


def door(answer: Answer) -> Door:
    """What kind of answer it is."""
    if answer.status == 401:
        return "asks"
    return "open" if result(answer) is not None else "shut"


def shut(answer: Answer, target: Target) -> Finding:
    """Why neither era's first request got an answer that a client can use."""
    said, seconds = answer.said, answer.seconds
    if answer.failure:
        return bad("enter", said, "look into the log of the server and of the proxy before it", seconds)
    if answer.location:
        return redirected(answer, target)
    if answer.status == 200 and (words := complaint(answer)):
        return bad(
            "enter",
            f"a refusal inside a 200 ({quoted(words)}): Claude starts a sign-in on HTTP 401 only",
            f"answer 401 with `{_header(target)}`",
            seconds,
        )
    if answer.html and answer.status < 400:
        return bad(
            "enter",
            f"{said}: this is a site for people, or a challenge of a firewall, and not an MCP server",
            f"check the path; {FIREWALL}",
            seconds,
        )
    if answer.status < 400:
        return bad(
            "enter", f"{said}, but no JSON-RPC answer in it", "check that the URL is that of an MCP server", seconds
        )
    if answer.status >= 500:
        return bad("enter", f"{said}: the server, or the proxy before it, failed", "look into its log", seconds)
    why, mend = _WHY.get(answer.status, ("no client can go on from here", "look into the log of the server"))
    if answer.html and answer.status in (403, 429):
        why, mend = "a firewall or CDN seems to answer, not the server", FIREWALL
    return bad("enter", f"{said}: {why}", mend, seconds)


def redirected(answer: Answer, target: Target) -> Finding:
    """A redirect at the MCP URL, which Claude does not follow with its token."""
    return bad(
        "enter",
        f"{answer.said}: Claude does not repeat a POST elsewhere, and drops its token on the way to another host",
        f"answer {quoted(target.path or '/')} in place, with and without a slash at the end; or give people the URL it "
        "leads to",
        answer.seconds,
    )


def challenge(answer: Answer, target: Target) -> tuple[Challenge | None, list[Finding]]:
    """The Bearer challenge of a 401, as far as there is one, and what is to be said of it."""
    header = answer.headers.get("www-authenticate", "")
    if not header:
        return None, [_no_challenge("401, but without WWW-Authenticate", target, answer.seconds)]
    found = challenges(header)
    if found is None:
        return None, [
            _no_challenge(f"its WWW-Authenticate is not well-formed: {quoted(header)}", target, answer.seconds)
        ]
    bearer = next((one for one in found if one.scheme == "bearer"), None)
    if bearer is None:
        return None, [_no_challenge(f"401 asks for {quoted(found[0].scheme)}, not Bearer", target, answer.seconds)]
    findings = list(_of_bearer(bearer.parameters, target, answer.seconds))
    if all(finding.verdict == "good" for finding in findings):
        findings.insert(0, good("enter", "401 with a Bearer challenge: Claude will start a sign-in", answer.seconds))
    return bearer, findings


def _header(target: Target) -> str:
    pointer = target.well_known("oauth-protected-resource")
    return f'WWW-Authenticate: Bearer resource_metadata="{pointer}", scope="…"'


def _no_challenge(what: str, target: Target, seconds: float) -> Finding:
    return bad(
        "enter", f"{what}: Claude does not learn where to sign in", f"send `{_header(target)}` with the 401", seconds
    )


def _of_bearer(parameters: dict[str, str], target: Target, seconds: float) -> Iterator[Finding]:
    pointer = parameters.get("resource_metadata", "")
    if not pointer:
        yield _no_challenge("its challenge has no resource_metadata", target, seconds)
    elif parsed(pointer) is None:
        yield bad("enter", f"resource_metadata is no absolute URL: {quoted(pointer)}", f"send `{_header(target)}`")
    else:
        yield from _pointer(pointer, target)
    scopes = parameters.get("scope", "").split()
    if not scopes:
        yield doubtful(
            "enter",
            "the challenge names no scope; clients then ask for all of scopes_supported",
            "add the smallest scope that lets one begin",
        )
    if "offline_access" in scopes:
        yield doubtful(
            "enter",
            "the challenge asks for offline_access",
            "leave it out here, and list it in scopes_supported of the authorization server",
        )
    if "error" in parameters:
        yield doubtful(
            "enter",
            f"the challenge says error={quoted(parameters['error'])}, though no credential was sent (RFC 6750 "
            "section 3.1)",
            "send `error` only where a token came and was refused",
        )


def _pointer(pointer: str, target: Target) -> Iterator[Finding]:
    if not secure(pointer):
        yield bad("enter", f"resource_metadata is not https: {quoted(pointer)}", "set the public URL to the https one")
    elif origin(pointer) != target.origin:
        yield doubtful(
            "enter",
            f"resource_metadata is at another host, {quoted(origin(pointer))}",
            "serve it at the host of the MCP URL; behind a proxy, set the public URL",
        )
    elif target.path and pointer == target.well_known("oauth-protected-resource", path=False):
        yield doubtful(
            "enter",
            "resource_metadata points to the root document; Claude was seen to give up where that one names a path",
            f"point to {target.well_known('oauth-protected-resource')}",
        )
