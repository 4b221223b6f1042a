"""Requests to token endpoints, against real ones (oauth.md A22, A27, A33): sent, read, refused, never told."""

import base64
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi import Response
from fastapi.responses import JSONResponse

from portkey_mcp.egress import Egress
from portkey_mcp.errors import NotFetched, ProviderDown, TokenRefused
from portkey_mcp.vault import dpop
from portkey_mcp.vault.connection import Client, Endpoint, Tokens
from portkey_mcp.vault.reaching import Reaching
from portkey_mcp.vault.token_requests import TokenRequests
from portkey_mcp.wire import Json, loads
from tests.vault.outside_server import Heard, OutsideServer, outside_server, reaching

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
GOOD = {"access_token": "at-1", "token_type": "Bearer"}
CODE = {"grant_type": "authorization_code", "code": "code-hush", "code_verifier": "verifier-hush"}
US = Client("us", "client_secret_post", "client-hush")


@pytest.fixture
async def outside() -> AsyncIterator[OutsideServer]:
    async with outside_server() as found:
        yield found


def at(outside: OutsideServer, *dpop: str) -> Endpoint:
    return Endpoint(outside.origin, f"{outside.origin}/token", f"{outside.origin}/revoke", dpop=dpop)


async def ask(outside: OutsideServer, answer: Any = None, form: Any = CODE, **how: Any) -> Tokens:
    if answer is not None:
        outside.answers["/token"] = answer
    requests = TokenRequests(reaching(), now=lambda: NOW)
    return await requests.ask(outside.url, at(outside, *how.pop("dpop", ())), how.pop("client", US), form, **how)


async def refused(outside: OutsideServer, error: type[Exception], answer: Any, **how: Any) -> Any:
    with pytest.raises(error) as raised:
        await ask(outside, answer, **how)
    return raised.value


def error(code: str, status: int = 400, **more: Any) -> Response:
    return JSONResponse({"error": code, **more}, status)


def claims_of(heard: Heard) -> Json:
    found: Json = loads(base64.urlsafe_b64decode(heard.headers["dpop"].split(".")[1] + "=="))
    return found


async def test_a22_the_form_goes_out_as_it_is_with_who_the_client_is(outside: OutsideServer) -> None:
    await ask(outside, GOOD, {**CODE, "resource": "https://h/mcp"})

    (heard,) = outside.heard
    assert heard.form == {**CODE, "resource": "https://h/mcp", "client_id": "us", "client_secret": "client-hush"}
    assert heard.headers["accept"] == "application/json"
    assert "authorization" not in heard.headers
    assert "dpop" not in heard.headers


async def test_a27_the_client_may_prove_itself_in_a_header(outside: OutsideServer) -> None:
    await ask(outside, GOOD, client=Client("us", "client_secret_basic", "s"))

    assert outside.heard[0].headers["authorization"] == f"Basic {base64.b64encode(b'us:s').decode()}"
    assert outside.heard[0].form == CODE


async def test_all_that_an_answer_says_is_read(outside: OutsideServer) -> None:
    said = {"token_type": "bEARER", "expires_in": 3600, "refresh_token": "rt", "scope": "a b", "id_token": "x.y.z"}

    assert await ask(outside, {**GOOD, **said}) == Tokens(
        "at-1", "Bearer", NOW + timedelta(hours=1), "rt", ("a", "b"), "x.y.z"
    )
    assert await ask(outside, GOOD) == Tokens("at-1")


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        *[(1, 1), ("3600", 3600), ("3599.5", 3599.5), (3599.5, 3599.5), (10**30, 315_360_000)],
        *[(0, None), (-1, None), (True, None), ("soon", None), ("nan", None), (None, None), ([], None)],
    ],
)
async def test_a_lifetime_is_a_number_however_it_is_written(outside: OutsideServer, said: Any, seconds: Any) -> None:
    expected = None if seconds is None else NOW + timedelta(seconds=seconds)

    assert (await ask(outside, {**GOOD, "expires_in": said})).expires == expected


@pytest.mark.parametrize(
    ("said", "scopes"), [("repo,gist", ("repo", "gist")), ("", ()), (["a", "b"], ("a", "b")), (None, None)]
)
async def test_scopes_are_read_however_they_are_written(outside: OutsideServer, said: Any, scopes: Any) -> None:
    assert (await ask(outside, {**GOOD, "scope": said})).scopes == scopes


@pytest.mark.parametrize("token", [None, "", "a b", "a\r\nX: y", "ü", 7, ["x"]])
async def test_a_token_that_no_header_can_hold_is_none(outside: OutsideServer, token: Any) -> None:
    assert "no access_token" in str(await refused(outside, NotFetched, {**GOOD, "access_token": token}))


@pytest.mark.parametrize("kind", [None, "", "mac", "N_A", "DPoP", 7])
async def test_a_token_of_an_unknown_type_is_none(outside: OutsideServer, kind: Any) -> None:
    found = await refused(outside, NotFetched, {**GOOD, "token_type": kind})

    assert "type that is not known" in str(found)
    assert "at-1" not in str(found)


async def test_an_assertion_that_was_exchanged_for_is_no_access_token(outside: OutsideServer) -> None:
    """RFC 8693, section 2.2.1: `N_A`, where `issued_token_type` says what it is."""
    wanted = "urn:ietf:params:oauth:token-type:id-jag"
    said = {**GOOD, "token_type": "N_A", "issued_token_type": wanted}

    assert (await ask(outside, said, {**CODE, "requested_token_type": wanted})).access == "at-1"
    await refused(outside, NotFetched, said, form={**CODE, "requested_token_type": "other"})


@pytest.mark.parametrize("status", [200, 400, 401, 403])
async def test_a_refusal_has_its_code_whatever_the_status(outside: OutsideServer, status: int) -> None:
    """GitHub says 200."""
    found = await refused(outside, TokenRefused, error("invalid_grant", status, error_description="It is\nover."))

    assert (found.error, found.description) == ("invalid_grant", "It isover.")
    assert len(outside.heard) == 1


async def test_a_refusal_may_be_written_as_a_form(outside: OutsideServer) -> None:
    said = Response("error=bad_code&error_description=It+is+over", media_type="application/x-www-form-urlencoded")

    assert str(await refused(outside, TokenRefused, said)) == "bad_code: It is over"


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
async def test_what_passes_is_told_as_such_and_never_repeated(outside: OutsideServer, status: int) -> None:
    await refused(outside, ProviderDown, error("invalid_grant", status))

    assert len(outside.heard) == 1


@pytest.mark.parametrize("code", ["temporarily_unavailable", "server_error", "slow_down"])
async def test_a_refusal_that_says_nothing_of_the_request_passes(outside: OutsideServer, code: str) -> None:
    await refused(outside, ProviderDown, error(code))


@pytest.mark.parametrize(
    "said",
    [
        Response("<h1>No</h1>", 403, media_type="text/html"),
        Response("[]", 404, media_type="application/json"),
        Response("", 204),
        JSONResponse({"error": ["invalid_grant"]}, 400),
        Response("", 302, {"Location": "https://elsewhere.example/"}),
    ],
)
async def test_an_answer_that_says_nothing_is_told_with_its_status(outside: OutsideServer, said: Response) -> None:
    assert str(said.status_code) in str(await refused(outside, NotFetched, said))


async def test_an_authorization_server_that_is_gone_is_down() -> None:
    async with outside_server() as outside:
        pass
    with pytest.raises(ProviderDown, match="does not answer"):
        await ask(outside)


async def test_b3_a_token_endpoint_inside_is_not_asked(outside: OutsideServer) -> None:
    requests = TokenRequests(Reaching(Egress(), lambda: ()))
    for inside in ("https://10.0.0.7/token", "http://127.0.0.1:1/token"):
        with pytest.raises(NotFetched):
            await requests.ask(outside.url, Endpoint("https://as.example", inside), US, CODE)


async def test_a33_tokens_are_bound_to_a_key_where_proofs_are_taken(outside: OutsideServer) -> None:
    bound = {**GOOD, "token_type": "DPoP"}
    tokens = await ask(outside, bound, dpop=("RS256", "ES256"))
    assert (tokens.kind, claims_of(outside.heard[0])["htu"]) == ("DPoP", f"{outside.origin}/token")
    assert "ath" not in claims_of(outside.heard[0])

    again = await ask(outside, bound, dpop=("ES256",), dpop_key=tokens.dpop_key)
    assert dpop.thumbprint(again.dpop_key) == dpop.thumbprint(tokens.dpop_key)
    assert (await ask(outside, GOOD, dpop=("ES256",))).dpop_key == ""  # it binds to none, whatever it takes


@pytest.mark.parametrize("algorithms", [(), ("RS256", "none")])
async def test_a33_without_a_proof_that_both_know_there_is_none(outside: OutsideServer, algorithms: Any) -> None:
    await ask(outside, GOOD, dpop=algorithms)

    assert "dpop" not in outside.heard[0].headers


async def test_a33_a_nonce_that_is_wanted_is_sent_in_a_second_request_and_no_third(outside: OutsideServer) -> None:
    def wanting(heard: Heard) -> Response:
        return JSONResponse({"error": "use_dpop_nonce"}, 400, {"DPoP-Nonce": "n-1"})

    def answer(heard: Heard) -> Any:
        return {**GOOD, "token_type": "DPoP"} if claims_of(heard).get("nonce") == "n-1" else wanting(heard)

    assert (await ask(outside, answer, dpop=("ES256",))).kind == "DPoP"
    first, second = outside.heard
    assert first.form == second.form
    assert claims_of(first)["jti"] != claims_of(second)["jti"]

    outside.heard.clear()
    assert (await refused(outside, TokenRefused, wanting, dpop=("ES256",))).error == "use_dpop_nonce"
    assert len(outside.heard) == 2
    await refused(outside, TokenRefused, wanting)  # without a key there is no proof to put it into
    assert len(outside.heard) == 3


PLANTED = {
    "code": "code-planted%1",
    "code_verifier": "verifier-planted",
    "refresh_token": "refresh-planted",
    "assertion": "assertion-planted",
    "subject_token": "subject-planted",
}


@pytest.mark.parametrize("secret", [*PLANTED.values(), "client-planted", "code-planted%251"])
async def test_nothing_secret_is_in_an_error_or_a_log_whatever_the_answer_repeats(
    outside: OutsideServer, secret: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "portkey_mcp")
    client = Client("us", "client_secret_post", "client-planted")
    for said in (
        error("invalid_grant", error_description=f"{'x' * 290} {secret} is over"),
        error(secret),
        Response(f"<p>{secret}</p>", 400, media_type="text/html"),
        {"access_token": f"{secret} x", "token_type": "Bearer"},
        {"access_token": secret, "token_type": secret[:4]},
        error("x", 500, error_description=secret),
    ):
        with pytest.raises((TokenRefused, NotFetched, ProviderDown)) as raised:
            await ask(outside, said, {"grant_type": "x", **PLANTED}, client=client)
        assert "planted" not in f"{raised.value} {raised.value!r}"
    assert "planted" not in caplog.text


async def test_a_refusal_may_name_what_is_not_secret(outside: OutsideServer) -> None:
    said = error("invalid_target", error_description="no resource https://h/mcp for us")
    found = await refused(outside, TokenRefused, said, form={**CODE, "resource": "https://h/mcp"})

    assert found.description == "no resource https://h/mcp for us"


async def test_revoking_names_the_refresh_token_first(outside: OutsideServer) -> None:
    outside.answers["/revoke"] = Response(status_code=200)
    requests = TokenRequests(reaching())

    assert await requests.revoke(outside.url, at(outside), US, Tokens("access", refresh="refresh"))
    assert [one.form["token"] for one in outside.heard] == ["refresh", "access"]
    assert [one.form["token_type_hint"] for one in outside.heard] == ["refresh_token", "access_token"]
    assert outside.heard[0].form["client_secret"] == "client-hush"
    assert await requests.revoke(outside.url, at(outside), US, Tokens("access"))
    assert len(outside.heard) == 3


async def test_revoking_never_fails_loudly(outside: OutsideServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "portkey_mcp")
    requests, tokens = TokenRequests(reaching()), Tokens("access-hush", refresh="refresh-hush")
    outside.answers["/revoke"] = error("unsupported_token_type")

    assert not await requests.revoke(outside.url, at(outside), US, tokens)
    assert not await requests.revoke(outside.url, Endpoint("https://a", "https://a/t"), US, tokens)
    assert not await requests.revoke(outside.url, Endpoint("i", "t", "javascript:x"), US, tokens)
    assert not await requests.revoke(outside.url, at(outside), Client("us", "client_secret_basic"), tokens)
    assert "hush" not in caplog.text
