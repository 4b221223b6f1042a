"""The steps of a sign-in, walked as far as that goes without a person: metadata, registration, page, token."""

from collections.abc import AsyncIterator

from portkey_mcp.doctor import authorizing, issuer, redeeming, registering, resource
from portkey_mcp.doctor.answer import Answer, text
from portkey_mcp.doctor.case import Case
from portkey_mcp.doctor.finding import Finding, bad, doubtful, skipped
from portkey_mcp.doctor.target import canonical, parsed

NOBODY = "portkey-mcp-doctor-unknown-client"
"""A client id that no server has given."""


async def sign_in(case: Case, *, register: bool) -> AsyncIterator[Finding]:
    """All steps from the challenge to the token endpoint, each as far as the ones before it let it."""
    async for finding in _resource(case):
        yield finding
    async for finding in _issuer(case):
        yield finding
    if not case.metadata:
        yield skipped("register", "registration, page and token endpoint: there is no metadata that names them")
        return
    async for finding in _register(case, wanted=register):
        yield finding
    async for finding in _authorize(case):
        yield finding
    async for finding in _token(case):
        yield finding


async def _resource(case: Case) -> AsyncIterator[Finding]:
    """Where the challenge points, then at the path, then at the root (K2)."""
    target, name = case.target, "oauth-protected-resource"
    root = target.well_known(name, path=False)
    pointed = [case.pointer] if parsed(case.pointer) else []
    used: Answer | None = None
    for place in dict.fromkeys([*pointed, target.well_known(name), root]):
        answer = await case.fetch.get(place)
        lacking = resource.missing(answer, pointed=place in pointed)
        if used is None:
            case.spend("protected resource metadata", answer)
            used = answer if lacking is None else None
        elif place == root:
            lacking = lacking if lacking and lacking.verdict == "bad" else None
            if answer.status == 200 and lacking is None and (beside := resource.root(answer, target)):
                yield beside
        if lacking is not None:
            yield lacking
    if used is not None:
        case.resource = used.document or {}
        case.issuer = next(iter(resource.servers(case.resource)), "")
        for finding in resource.judged(used, target):
            yield finding
    else:
        mend = f"{resource.DOCUMENT}: {target.well_known(name)}"
        yield bad("resource", "there is no protected resource metadata anywhere", mend)
    if not case.issuer:
        case.issuer = target.origin
        yield doubtful(
            "resource",
            f"so {target.origin} is looked at as if it were the authorization server, as old clients do",
            "name the authorization server in the protected resource metadata",
        )


async def _issuer(case: Case) -> AsyncIterator[Finding]:
    places = issuer.places(case.issuer)
    if not places:
        yield bad("issuer", "the authorization server is no URL", "put its https URL into authorization_servers")
    for place in places:
        answer = await case.fetch.get(place)
        case.spend("authorization server metadata", answer)
        lacking = issuer.missing(answer, last=place == places[-1])
        if lacking is not None:
            yield lacking
        elif answer.document is not None and answer.status == 200:
            case.metadata = answer.document
            for finding in issuer.judged(answer, case.issuer, case.target):
                yield finding
            return


async def _register(case: Case, *, wanted: bool) -> AsyncIterator[Finding]:
    if issuer.registration(case.metadata).kind == "document":
        case.client_id = registering.CLIENT_DOCUMENT
    endpoint = case.endpoint("registration_endpoint")
    if not endpoint:
        yield skipped("register", "there is no registration_endpoint")
        return
    if not wanted:
        yield skipped("register", "not tried, since it leaves a client behind; --register tries it")
        return
    sent = registering.request(case.metadata, case.wanted_scope)
    answer = await case.fetch.post_json(endpoint, sent)
    case.spend("registration", answer)
    for finding in registering.registered(answer, sent):
        yield finding
    document = answer.document or {}
    if answer.status in (200, 201) and not case.client_id:
        case.client_id, case.client_secret = text(document, "client_id"), text(document, "client_secret")


async def _authorize(case: Case) -> AsyncIterator[Finding]:
    endpoint = case.endpoint("authorization_endpoint")
    if not endpoint:
        return
    scope, of = case.wanted_scope, canonical(case.target.url)
    client = case.client_id or NOBODY
    if case.client_id:
        answer = await case.fetch.get(
            authorizing.question(endpoint, client, scope=scope, resource=of), accept="text/html"
        )
        for finding in authorizing.asked(answer):
            yield finding
        without = authorizing.question(endpoint, client, scope=scope, resource=of, pkce=False)
        for finding in authorizing.unproven(await case.fetch.get(without, accept="text/html"), case.metadata):
            yield finding
    else:
        yield skipped("authorize", "the page itself: only a registered client can ask for it; --register makes one")
    astray = authorizing.question(endpoint, client, scope=scope, resource=of, redirect=authorizing.ELSEWHERE)
    yield authorizing.astray(await case.fetch.get(astray, accept="text/html"))


async def _token(case: Case) -> AsyncIterator[Finding]:
    endpoint, of = case.endpoint("token_endpoint"), canonical(case.target.url)
    if not endpoint:
        return
    if case.client_id:
        form = redeeming.form(case.client_id, of)
        if case.client_secret:
            form["client_secret"] = case.client_secret
        answer = await case.fetch.post_form(endpoint, form)
        case.spend("the token endpoint", answer)
        for finding in redeeming.redeemed(answer):
            yield finding
    answer = await case.fetch.post_form(endpoint, redeeming.form(NOBODY, of))
    for finding in redeeming.unknown(answer):
        yield finding
