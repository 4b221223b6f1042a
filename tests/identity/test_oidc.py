"""Single sign-on against a real provider over HTTP that lies in one point at a time: what is refused, in what words."""

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest
from fastapi.responses import JSONResponse, PlainTextResponse
from joserfc import jwt
from joserfc.jwk import OctKey

from portkey_mcp.errors import PortkeyError, ProviderDown, Unauthenticated
from portkey_mcp.identity.claims import Subject
from portkey_mcp.identity.fetching import LARGEST
from portkey_mcp.identity.oidc import SingleSignOn, shown
from portkey_mcp.identity.pending import Pending, PendingSignIns, new_browser
from portkey_mcp.sealing import KeyRing
from portkey_mcp.trust import Provider
from tests.identity.small_provider import CLIENT, SECRET, Bend, SmallProvider, another_key, small_provider, unsigned

pytestmark = pytest.mark.anyio

CALLBACK = "https://gateway.example/ui/sign-in/{}/callback"


class Desk:
    """Signs people in with providers, as the pages do, with one browser."""

    def __init__(self) -> None:
        self.sso = SingleSignOn(PendingSignIns(KeyRing.generate()))
        self.browser = new_browser()

    async def sent_back(self, provider: Provider, onto: str = "/ui/") -> dict[str, str]:
        """Go to the provider and come back; gives the parameters."""
        url = await self.sso.begin(provider, CALLBACK.format(provider.id), self.browser, onto)
        async with httpx2.AsyncClient() as client:
            answer = await client.get(url)
        there = urlsplit(answer.headers["location"])
        assert there.geturl().startswith(CALLBACK.format(provider.id))
        return dict(parse_qsl(there.query))

    async def take(self, provider: Provider, response: dict[str, str], browser: str = "") -> Subject:
        pending = self.sso.recall(provider, browser or self.browser, response["state"])
        return await self.sso.finish(provider, CALLBACK.format(provider.id), pending, response)

    async def sign_in(self, provider: Provider) -> Subject:
        return await self.take(provider, await self.sent_back(provider))


def configured(of: SmallProvider, **more: Any) -> Provider:
    return Provider(
        **{"id": "corp", "issuer": of.url, "client_id": CLIENT, "client_secret": SECRET, "name": "Corp", **more}
    )


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
async def small() -> AsyncIterator[SmallProvider]:
    async with small_provider() as made:
        yield made


async def refusal(desk: Desk, provider: Provider, kind: type[PortkeyError] = Unauthenticated) -> str:
    with pytest.raises(kind) as caught:
        await desk.sign_in(provider)
    return str(caught.value)


async def test_somebody_signs_in_with_state_nonce_and_pkce(desk: Desk, small: SmallProvider) -> None:
    small.user["groups"] = ["ops"]
    found = await desk.sign_in(configured(small))
    assert found == Subject(small.url, "s-1", "ann@example.com", True, "", ("ops",))
    (asked,) = small.requests
    assert asked["code_challenge_method"] == "S256"
    assert asked["redirect_uri"] == CALLBACK.format("corp")
    assert asked["scope"] == "openid email profile"
    assert len({asked["nonce"], asked["code_challenge"], asked["state"]}) == 3
    assert "userinfo" not in small.asked


async def test_two_sign_ins_share_no_secret(desk: Desk, small: SmallProvider) -> None:
    await desk.sign_in(configured(small))
    await desk.sign_in(configured(small))
    one, two = small.requests
    assert all(one[name] != two[name] for name in ("state", "nonce", "code_challenge"))


LIES: dict[str, Bend] = {
    "nonce of another sign-in": lambda claims: {**claims, "nonce": "x" * 43},
    "nonce that is no text": lambda claims: {**claims, "nonce": ["x"]},
    "no nonce": lambda claims: {name: value for name, value in claims.items() if name != "nonce"},
    "for another client": lambda claims: {**claims, "aud": "another"},
    "for nobody": lambda claims: {name: value for name, value in claims.items() if name != "aud"},
    "for others, too, without azp": lambda claims: {**claims, "aud": [CLIENT, "another"]},
    "for others, too, with their azp": lambda claims: {**claims, "aud": [CLIENT, "another"], "azp": "another"},
    "azp of another": lambda claims: {**claims, "azp": "another"},
    "expired": lambda claims: {**claims, "exp": int(time.time()) - 120},
    "without an end": lambda claims: {name: value for name, value in claims.items() if name != "exp"},
    "ends never": lambda claims: {**claims, "exp": "never"},
    "made tomorrow": lambda claims: {**claims, "iat": int(time.time()) + 86_400},
    "of another issuer": lambda claims: {**claims, "iss": "https://evil.example"},
    "of an issuer but for a slash": lambda claims: {**claims, "iss": claims["iss"] + "/"},
    "no subject": lambda claims: {name: value for name, value in claims.items() if name != "sub"},
    "empty subject": lambda claims: {**claims, "sub": ""},
    "subject that is no text": lambda claims: {**claims, "sub": 7},
    "with another access token": lambda claims: {**claims, "at_hash": "AAAAAAAAAAAAAAAAAAAAAA"},
}


@pytest.mark.parametrize("lie", LIES)
async def test_an_id_token_that_lies_is_refused(desk: Desk, small: SmallProvider, lie: str) -> None:
    small.bends["claims"] = LIES[lie]
    assert "ID token" in await refusal(desk, configured(small))


FORGED: dict[str, Bend] = {
    "alg none": lambda small: unsigned,
    "HS256 with the public key": lambda small: small.signed_with_public_key,
    "HS256 with the client's secret": lambda small: (
        lambda claims: jwt.encode(
            {"alg": "HS256", "kid": "k1"}, claims, OctKey.import_key(SECRET), algorithms=["HS256"]
        )
    ),
    "another key": lambda small: (
        lambda claims: jwt.encode({"alg": "RS256", "kid": "k1"}, claims, another_key(), algorithms=["RS256"])
    ),
    "a key of an unknown id": lambda small: lambda claims: small.signed(claims, kid="k2"),
    "changed after signing": lambda small: lambda claims: _other_payload(small.signed(claims)),
    "no token": lambda small: lambda claims: "not.a.token",
    "not even letters": lambda small: lambda claims: "ß" * 100,
}


def _other_payload(token: str) -> str:
    head, payload, signature = token.split(".")
    return f"{head}.{payload[:-6]}AAAAAA.{signature}"


@pytest.mark.parametrize("forged", FORGED)
async def test_a_forged_id_token_is_refused(desk: Desk, small: SmallProvider, forged: str) -> None:
    small.bends["id_token"] = FORGED[forged](small)
    assert "ID token" in await refusal(desk, configured(small))


async def test_a_provider_whose_metadata_says_another_issuer_is_not_asked_further(
    desk: Desk, small: SmallProvider
) -> None:
    small.bends["metadata"] = lambda document: {**document, "issuer": document["issuer"] + "/"}
    assert "another issuer" in await refusal(desk, configured(small), ProviderDown)
    assert small.requests == []


async def test_an_answer_that_says_it_is_from_another_issuer_is_refused_before_its_code_is_used(
    desk: Desk, small: SmallProvider
) -> None:
    """RFC 9207: an error that another provider sent is not shown either."""
    for extra in {"code": "c"}, {"error": "access_denied"}:
        small.bends["response"] = lambda response, extra=extra: {
            "state": response["state"],
            "iss": "https://evil.example",
            **extra,
        }
        assert "another identity provider" in await refusal(desk, configured(small))
    assert "token" not in small.asked


async def test_a_provider_that_promises_to_name_itself_must_do_so(desk: Desk, small: SmallProvider) -> None:
    promise = {"authorization_response_iss_parameter_supported": True}
    small.bends["metadata"] = lambda document: {**document, **promise}
    assert "another identity provider" in await refusal(desk, configured(small))
    small.bends["response"] = lambda response: {**response, "iss": small.url}
    assert (await desk.sign_in(configured(small))).subject == "s-1"


async def test_what_one_provider_sends_back_is_worth_nothing_at_anothers_callback(
    desk: Desk, small: SmallProvider
) -> None:
    """Mix-up: somebody who began with one provider is sent to the callback of the other."""
    async with small_provider() as evil:
        corp, other = configured(small), configured(evil, id="evil")
        response = await desk.sent_back(other)
        with pytest.raises(Unauthenticated, match="was used already"):
            await desk.take(corp, response)
        response = await desk.sent_back(corp)
        with pytest.raises(Unauthenticated, match="was used already"):
            await desk.take(other, response)
        assert "token" not in small.asked + evil.asked


async def test_a_state_is_good_once(desk: Desk, small: SmallProvider) -> None:
    response = await desk.sent_back(configured(small))
    await desk.take(configured(small), response)
    with pytest.raises(Unauthenticated, match="was used already"):
        await desk.take(configured(small), response)


async def test_a_state_is_good_in_the_browser_only_that_it_was_made_in(desk: Desk, small: SmallProvider) -> None:
    response = await desk.sent_back(configured(small))
    for browser in (new_browser(), "short", "x" * 43):
        with pytest.raises(Unauthenticated, match="was used already"):
            await desk.take(configured(small), response, browser)
    assert (await desk.take(configured(small), response)).subject == "s-1"


async def test_a_code_of_another_sign_in_is_worth_nothing(desk: Desk, small: SmallProvider) -> None:
    """Code injection: PKCE and the nonce bind the code to the browser that began."""
    stolen = (await Desk().sent_back(configured(small)))["code"]
    mine = await desk.sent_back(configured(small))
    with pytest.raises(Unauthenticated, match="did not confirm"):
        await desk.take(configured(small), {**mine, "code": stolen})


async def test_a_provider_that_ignores_pkce_is_caught_by_the_nonce(desk: Desk, small: SmallProvider) -> None:
    theirs = await Desk().sent_back(configured(small))
    mine = await desk.sent_back(configured(small))
    asked = small.codes[theirs["code"]]
    asked["code_challenge"] = small.codes[mine["code"]]["code_challenge"]
    with pytest.raises(Unauthenticated, match="nonce"):
        await desk.take(configured(small), {**mine, "code": theirs["code"]})


async def test_what_the_provider_refuses_is_told_in_its_words_on_one_line(desk: Desk, small: SmallProvider) -> None:
    small.bends["response"] = lambda response: {"state": response["state"], "error": "access_denied"}
    assert await refusal(desk, configured(small)) == "Corp did not let you in, or you did not agree."
    told = {"error": "server_error\n\u202e", "error_description": "<b>no</b> " + "x" * 500}
    small.bends["response"] = lambda response: {"state": response["state"], **told}
    words = await refusal(desk, configured(small))
    assert words.startswith("Corp answered with the error server_error  : <b>no</b> xxx")
    assert len(words) < 300
    assert words.isprintable()


async def test_a_wrong_client_secret_is_a_refusal_and_shows_nothing_of_it(desk: Desk, small: SmallProvider) -> None:
    words = await refusal(desk, configured(small, client_secret="wrong secret"))
    assert "did not confirm" in words
    assert "wrong" not in words


async def test_the_userinfo_endpoint_is_asked_for_what_the_id_token_leaves_out(
    desk: Desk, small: SmallProvider
) -> None:
    small.in_token, small.user["groups"] = (), ["ops", "dev"]
    found = await desk.sign_in(configured(small))
    assert (found.email, found.verified, found.groups) == ("ann@example.com", True, ("ops", "dev"))
    small.bends["userinfo"] = lambda claims: {**claims, "sub": "s-2"}
    assert "somebody else" in await refusal(desk, configured(small))
    del small.bends["userinfo"]
    small.bends["metadata"] = lambda document: {**document, "userinfo_endpoint": None}
    found = await Desk().sign_in(configured(small))
    assert (found.email, found.verified, found.groups) == ("", False, ())


@pytest.mark.parametrize("method", ["client_secret_post", "none"])
async def test_the_gateway_proves_itself_as_the_provider_wants(desk: Desk, small: SmallProvider, method: str) -> None:
    small.bends["metadata"] = lambda document: {**document, "token_endpoint_auth_methods_supported": [method]}
    given = {"client_secret": ""} if method == "none" else {}
    assert "did not confirm" in await refusal(desk, configured(small, **given))  # this one takes Basic only
    assert await refusal(Desk(), replace(configured(small), client_id="someone"))


BROKEN: dict[str, tuple[str, Bend]] = {
    "metadata is a page": ("metadata", lambda _: PlainTextResponse("<html>")),
    "metadata is a list": ("metadata", lambda _: JSONResponse([])),
    "metadata is missing": ("metadata", lambda _: JSONResponse({}, 404)),
    "metadata fails": ("metadata", lambda _: JSONResponse({}, 500)),
    "metadata is a redirect": ("metadata", lambda _: JSONResponse({}, 302, {"location": "http://127.0.0.1/"})),
    "metadata is huge": ("metadata", lambda document: {**document, "more": "x" * LARGEST}),
    "metadata is compressed": ("metadata", lambda _: PlainTextResponse("{}", headers={"content-encoding": "gzip"})),
    "no token endpoint": ("metadata", lambda document: {**document, "token_endpoint": None}),
    "plain http": ("metadata", lambda document: {**document, "token_endpoint": "http://idp.example/token"}),
    "a file": ("metadata", lambda document: {**document, "jwks_uri": "file:///etc/passwd"}),
    "nothing there": ("metadata", lambda document: {**document, "jwks_uri": "http://127.0.0.1:1/"}),
    "token is a page": ("token", lambda _: PlainTextResponse("<html>")),
    "token is a list": ("token", lambda _: JSONResponse([])),
    "token fails": ("token", lambda _: PlainTextResponse("oh", 503)),
    "token without an ID token": ("token", lambda token: {**token, "id_token": None}),
    "token is huge": ("token", lambda token: {**token, "more": "x" * LARGEST}),
}


@pytest.mark.parametrize("what", BROKEN)
async def test_a_provider_that_cannot_be_used_is_told_in_words(desk: Desk, small: SmallProvider, what: str) -> None:
    where, bend = BROKEN[what]
    small.bends[where] = bend
    words = await refusal(desk, configured(small), ProviderDown)
    assert words.startswith("Corp ")
    assert words.endswith(".")


async def test_a_provider_that_is_not_there_is_told_in_words(desk: Desk) -> None:
    gone = Provider("corp", "http://127.0.0.1:1", CLIENT, SECRET, "Corp")
    assert await refusal(desk, gone, ProviderDown) == "Corp cannot be reached."


async def test_a_sign_in_under_way_survives_a_restart(small: SmallProvider) -> None:
    keyring = KeyRing.generate()
    before, after = Desk(), Desk()
    before.sso, after.sso = (SingleSignOn(PendingSignIns(keyring)) for _ in range(2))
    response = await before.sent_back(configured(small), "/ui/approve/abc")
    pending = after.sso.recall(configured(small), before.browser, response["state"])
    assert (type(pending), pending.onto) == (Pending, "/ui/approve/abc")
    found = await after.sso.finish(configured(small), CALLBACK.format("corp"), pending, response)
    assert found.subject == "s-1"


async def test_a_new_key_of_the_provider_is_found(desk: Desk, small: SmallProvider) -> None:
    await desk.sign_in(configured(small))
    assert small.asked.count("keys") == 1
    await desk.sign_in(configured(small))
    assert (small.asked.count("keys"), small.asked.count("metadata")) == (1, 1)


def test_what_strangers_say_is_shown_short_and_on_one_line() -> None:
    assert shown("a\nb\x1b[31m") == "a b [31m"
    assert shown("x" * 300) == "x" * 200 + "…"


async def test_what_proves_who_somebody_is_comes_with_them_and_is_renewed(desk: Desk, small: SmallProvider) -> None:
    small.refresh = "on"
    provider = configured(small)
    first = (await desk.sign_in(provider)).tokens
    assert first is not None
    assert (first.subject, first.refresh) == ("s-1", small.refresh)
    assert jwt.decode(first.id_token, small.key).claims["aud"] == CLIENT
    assert first.id_token not in repr(first)
    assert first.refresh not in repr(first)
    small.bends["renewed"] = lambda claims: {**claims, "exp": claims["exp"] + 60}
    second = await desk.sso.renew(provider, first)
    assert second.expires > first.expires
    assert second.id_token != first.id_token
    assert second.refresh == small.refresh != first.refresh
    with pytest.raises(Unauthenticated):
        await desk.sso.renew(provider, first)  # its refresh token was used


async def test_a_refresh_token_that_stays_good_is_kept(desk: Desk, small: SmallProvider) -> None:
    small.refresh = "on"
    first = (await desk.sign_in(configured(small))).tokens
    assert first is not None
    small.bends["token"] = lambda token: {name: value for name, value in token.items() if name != "refresh_token"}
    assert (await desk.sso.renew(configured(small), first)).refresh == first.refresh


@pytest.mark.parametrize(
    "bend",
    [
        lambda claims: {**claims, "sub": "s-2"},
        lambda claims: {**claims, "aud": "another"},
        lambda claims: {**claims, "iss": "https://other.example"},
        lambda claims: {**claims, "exp": claims["iat"] - 600},
    ],
    ids=["sub", "aud", "iss", "exp"],
)
async def test_nobody_becomes_somebody_else_by_a_refresh_token(desk: Desk, small: SmallProvider, bend: Bend) -> None:
    small.refresh = "on"
    first = (await desk.sign_in(configured(small))).tokens
    assert first is not None
    small.bends["renewed"] = bend
    with pytest.raises(Unauthenticated):
        await desk.sso.renew(configured(small), first)


async def test_a_sign_in_that_ends_in_no_calendar_has_ended(desk: Desk, small: SmallProvider) -> None:
    small.bends["claims"] = lambda claims: {**claims, "exp": 10**18}
    found = (await desk.sign_in(configured(small))).tokens
    assert found is not None
    assert found.expires <= datetime.now(UTC)


async def test_a_provider_that_renews_nothing_says_so_and_one_that_cannot_just_now_as_well(
    desk: Desk, small: SmallProvider
) -> None:
    small.refresh = "on"
    first = (await desk.sign_in(configured(small))).tokens
    assert first is not None
    with pytest.raises(ProviderDown):
        await desk.sso.renew(configured(small, client_secret="wrong"), first)
    small.bends["token"] = lambda token: {name: value for name, value in token.items() if name != "id_token"}
    with pytest.raises(Unauthenticated, match="no further ID token"):
        await desk.sso.renew(configured(small), first)
