"""Protected resource metadata (RFC 9728), as Claude reads it: oauth.md A1, A5, K2 and K3."""

from collections.abc import Iterator
from typing import Final

from portkey_mcp.doctor.answer import Answer, text, texts
from portkey_mcp.doctor.finding import Finding, bad, doubtful, good, quoted
from portkey_mcp.doctor.target import Target, canonical, secure
from portkey_mcp.wire import Json

MOST_SCOPES: Final = 30
LARGEST: Final = 64 * 1024
"""Bytes: a larger document makes clients slow or stop."""
DOCUMENT: Final = (
    "serve there a JSON document as RFC 9728 section 2 has it, with `resource` and `authorization_servers`"
)


def missing(answer: Answer, *, pointed: bool) -> Finding | None:
    """Why there is no document at a place; `pointed`: the challenge names it. None where there is one."""
    at, said = quoted(answer.url), answer.said
    if answer.status == 200 and answer.document is not None:
        return None
    if answer.failure or answer.location or answer.status >= 500:
        return bad("resource", f"{at}: {said}", f"{DOCUMENT}, in place and without a credential", answer.seconds)
    if answer.html:
        return bad(
            "resource",
            f"{at} answers {said}, a page for people: Claude reads it as a broken document",
            f"{DOCUMENT}, or 404 with JSON; keep the site's catch-all route away from /.well-known/",
            answer.seconds,
        )
    if answer.status == 200:
        return bad("resource", f"{at} holds no JSON object", DOCUMENT, answer.seconds)
    if pointed:
        return bad("resource", f"{at}, which the challenge names, answers {said}", DOCUMENT, answer.seconds)
    return doubtful(
        "resource",
        f"{at} answers {said}; clients that read no challenge look there",
        f"serve the same document there too: {DOCUMENT}",
        answer.seconds,
    )


def judged(answer: Answer, target: Target) -> Iterator[Finding]:
    """What is to be said of the document that Claude uses."""
    document = answer.document or {}
    yield from _resource(document, target, answer)
    yield from _servers(document)
    if answer.media != "application/json":
        yield doubtful(
            "resource", f"its type is {quoted(answer.media or 'not said')}", "send `Content-Type: application/json`"
        )
    methods = texts(document, "bearer_methods_supported")
    if methods is not None and "header" not in methods:
        yield bad(
            "resource",
            "bearer_methods_supported does not name `header`, and clients send their token in no other way",
            'say `["header"]`',
        )
    scopes = texts(document, "scopes_supported") or []
    if "offline_access" in scopes:
        yield doubtful(
            "resource",
            "scopes_supported lists offline_access, which is no scope of a resource",
            "take it out here, and list it in scopes_supported of the authorization server",
        )
    if len(scopes) > MOST_SCOPES or len(answer.body) > LARGEST:
        yield doubtful(
            "resource",
            f"it is large: {len(scopes)} scopes, {len(answer.body)} bytes; clients may ask for every scope it lists",
            "list the smallest set that lets one begin",
        )


def root(answer: Answer, target: Target) -> Finding | None:
    """What the root document says beside the one that is used; None where there is nothing to say."""
    resource = text(answer.document or {}, "resource")
    if not target.path or canonical(resource) in (canonical(target.url), canonical(target.origin)):
        return None
    return doubtful(
        "resource",
        f"the root document is for another resource, {quoted(resource or 'none')}",
        "let it name this URL or the origin, or answer 404 with JSON",
        answer.seconds,
    )


def servers(document: Json) -> list[str]:
    """Its authorization servers."""
    return texts(document, "authorization_servers") or []


def _resource(document: Json, target: Target, answer: Answer) -> Iterator[Finding]:
    resource = text(document, "resource")
    if not resource:
        yield bad("resource", "it has no `resource`", f'say `"resource": "{target.url}"`', answer.seconds)
    elif resource == target.url:
        yield good("resource", f"`resource` is this very URL, at {quoted(answer.url)}", answer.seconds)
    elif canonical(resource) == canonical(target.url):
        yield doubtful(
            "resource",
            f"`resource` is {quoted(resource)}: the same URL, but not the same bytes, and some clients compare bytes",
            f"give people exactly that URL, or say {quoted(target.url)}",
            answer.seconds,
        )
    else:
        yield bad(
            "resource",
            f"`resource` is {quoted(resource)}, and not the URL that Claude was given; it stops there",
            f"say {quoted(target.url)}: behind a proxy, set the public URL to the one that people use",
            answer.seconds,
        )


def _servers(document: Json) -> Iterator[Finding]:
    found = servers(document)
    if not found:
        yield bad("resource", "it names no authorization server", "put the issuer into `authorization_servers`")
        return
    if not secure(found[0]):
        yield bad("resource", f"its authorization server is not https: {quoted(found[0])}", "name it by its https URL")
    else:
        yield good("resource", f"people sign in at {quoted(found[0])}")
    if len(found) > 1:
        yield doubtful(
            "resource",
            f"it names {len(found)} authorization servers; Claude uses the first and never another",
            "put first the one that Claude is to use",
        )
