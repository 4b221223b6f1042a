"""ID-JAG assertions say what they say for one client, one authorization server and a while (oauth.md A32, K15)."""

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from portkey_mcp.errors import ProviderDown
from portkey_mcp.identity.assertions import Assertion, AssertionRefused, verify_id_jag
from portkey_mcp.identity.fetching import Fetching
from portkey_mcp.identity.jwks import KeySets
from portkey_mcp.trust import Enterprise
from portkey_mcp.wire import Json
from tests.identity.issuer import RSA, Issuer, issuer, signed

pytestmark = pytest.mark.anyio

OURS = "https://gateway.example"
NOW = int(time.time())


@pytest.fixture
async def idp() -> AsyncIterator[Issuer]:
    async with issuer() as made:
        yield made


def claims(idp: Issuer, **other: Any) -> Json:
    good = {
        "iss": idp.url,
        "sub": "U019488227",
        "aud": OURS,
        "client_id": "claude",
        "jti": "9e43f81b64a33f20116179",
        "iat": NOW,
        "exp": NOW + 300,
        "resource": f"{OURS}/team/mcp",
        "scope": "mcp:read mcp:call",
        "email": "ada@example.com",
    }
    return {name: value for name, value in {**good, **other}.items() if value is not None}


async def verified(idp: Issuer, assertion: str, client_id: str = "claude", trusted: str = "") -> Assertion:
    enterprises = [Enterprise("https://other.example"), Enterprise(trusted or idp.url)]
    keys = KeySets(Fetching())
    return await verify_id_jag(assertion, enterprises, keys, audience=OURS, client_id=client_id, now=NOW)


def jag(idp: Issuer, header: Json | None = None, **other: Any) -> str:
    return signed(claims(idp, **other), **{"typ": "oauth-id-jag+jwt", **(header or {})})


async def test_a32_an_assertion_says_who_for_which_client_where_and_how_long(idp: Issuer) -> None:
    assert await verified(idp, jag(idp)) == Assertion(
        idp.url,
        "U019488227",
        "ada@example.com",
        "claude",
        f"{OURS}/team/mcp",
        ("mcp:read", "mcp:call"),
        "9e43f81b64a33f20116179",
        NOW + 300,
    )


@pytest.mark.parametrize(
    ("other", "email"),
    [
        ({"email": None}, ""),
        ({"email": 7}, ""),
        ({"email_verified": True}, "ada@example.com"),
        ({"email_verified": False}, ""),
        ({"email_verified": "no"}, ""),
    ],
)
async def test_an_address_counts_only_as_the_provider_vouches_for_it(
    idp: Issuer, other: dict[str, Any], email: str
) -> None:
    assert (await verified(idp, jag(idp, **other))).email == email


async def test_without_a_scope_nothing_is_said_of_it(idp: Issuer) -> None:
    assert (await verified(idp, jag(idp, scope=None))).scopes == ()
    assert (await verified(idp, jag(idp, aud=[OURS]))).scopes == ("mcp:read", "mcp:call")


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"aud": f"{OURS}/"}, "another authorization server"),
        ({"aud": [OURS, "https://other.example"]}, "another authorization server"),
        ({"aud": None}, "another authorization server"),
        ({"client_id": "cursor"}, "another client"),
        ({"client_id": None}, "another client"),
        ({"iat": None}, "when it was made"),
        ({"iat": NOW + 120}, "not valid yet"),
        ({"exp": None}, "never expires"),
        ({"exp": NOW}, "expired"),
        ({"exp": NOW + 3601}, "more than an hour"),
        ({"iat": NOW - 3600, "exp": NOW + 300}, "more than an hour"),
        ({"jti": None}, "no jti"),
        ({"jti": "x" * 256}, "no jti"),
        ({"sub": None}, "no sub"),
        ({"sub": ""}, "no sub"),
        ({"resource": None}, "no single resource"),
        ({"resource": [f"{OURS}/a", f"{OURS}/b"]}, "no single resource"),
        ({"scope": ["mcp:read"]}, "scope"),
        ({"cnf": {"jkt": "x"}}, "bound to a key"),
        ({"iss": "https://evil.example"}, "not trusted"),
    ],
)
async def test_a32_what_does_not_fit_is_an_invalid_grant(idp: Issuer, other: dict[str, Any], why: str) -> None:
    with pytest.raises(AssertionRefused, match=why) as refusal:
        await verified(idp, jag(idp, **other))
    assert refusal.value.error == "invalid_grant"
    told = str(refusal.value)
    assert told.isascii()
    assert not set('"\\') & set(told), "RFC 6749, section 5.2: characters of error_description"


@pytest.mark.parametrize("typ", ["JWT", "at+jwt", ""])
async def test_a32_another_kind_of_token_is_no_assertion(idp: Issuer, typ: str) -> None:
    with pytest.raises(AssertionRefused, match="no ID-JAG"):
        await verified(idp, jag(idp, {"typ": typ}))
    with pytest.raises(AssertionRefused, match="no ID-JAG"):
        await verified(idp, "opaque")


async def test_a32_only_the_providers_own_key_signs(idp: Issuer) -> None:
    forged = signed(claims(idp), RSA["second"], kid="first", typ="oauth-id-jag+jwt")
    with pytest.raises(AssertionRefused, match="signature"):
        await verified(idp, forged)


async def test_a_provider_that_is_down_says_nothing_against_the_assertion(idp: Issuer) -> None:
    idp.broken = True
    with pytest.raises(ProviderDown):
        await verified(idp, jag(idp))
