"""Machine clients are who their issuer says, for as long as it says so, and nobody else is anybody."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
import pytest

from portkey_mcp.errors import Unauthenticated
from portkey_mcp.identity import foreign as module
from portkey_mcp.identity.fetching import Fetching
from portkey_mcp.identity.foreign import DOWN_FOR, KNOWN_FOR, VOUCHED_FOR, ForeignTokens
from portkey_mcp.identity.jwks import KeySets
from portkey_mcp.identity.signed import LONGEST
from portkey_mcp.model import Principal
from portkey_mcp.trust import Trust, TrustedIssuer
from tests.identity.issuer import RSA, Issuer, issuer, key

pytestmark = pytest.mark.anyio


@dataclass
class Place:
    """A gateway's side: whom it trusts, and a clock that can be moved."""

    issuer: Issuer
    tokens: ForeignTokens
    trust: Trust
    late: float = 0.0

    async def whose(self, token: str) -> Principal:
        found = await self.tokens.verify(token)
        assert found is not None
        return found

    async def refused(self, token: str) -> str:
        with pytest.raises(Unauthenticated) as refusal:
            await self.tokens.verify(token)
        return str(refusal.value)


@asynccontextmanager
async def place(introspects: bool = False, **trusted: Any) -> AsyncIterator[Place]:
    fetching = Fetching()
    async with issuer() as made:
        wanted = (made.introspecting if introspects else made.trusted)(**trusted)
        keys = KeySets(fetching, lambda: here.late)
        tokens = ForeignTokens(lambda: here.trust, fetching, keys, lambda: time.time() + here.late)
        here = Place(made, tokens, Trust(issuers=(wanted,)))
        yield here


async def test_a_token_of_a_trusted_issuer_is_a_service_account_of_its_workspace() -> None:
    async with place(role="viewer", name_claim="client_id") as here:
        found = await here.whose(here.issuer.token())
    assert found == Principal(found.id, "ci", "service", {"team": "viewer"}, client="ci")


async def test_the_same_token_is_the_same_object_and_is_checked_once() -> None:
    async with place() as here:
        token = here.issuer.token(exp=int(time.time()) + 10_000)
        first = await here.whose(token)
        asked = here.issuer.asked.total()
        assert all([await here.whose(token) is first for _ in range(10)])
        assert here.issuer.asked.total() == asked
        here.late = KNOWN_FOR + 1
        assert await here.whose(token) is first, "checked again, and still the same"


async def test_a_token_ends_when_it_says_and_when_its_key_is_gone() -> None:
    async with place() as here:
        token = here.issuer.token()
        await here.whose(token)
        here.late = 601
        assert "it has expired" in await here.refused(token)
        here.late = 0
        token = here.issuer.token(exp=int(time.time()) + 10_000)
        await here.whose(token)
        here.issuer.public = [RSA["second"].as_dict(private=False)]
        here.late = 3601
        assert "signature" in await here.refused(token)


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"aud": "https://other.example"}, "audience"),
        ({"aud": ["https://other.example", "x"]}, "audience"),
        ({"aud": None}, "audience"),
        ({"exp": None}, "never expires"),
        ({"exp": 1}, "expired"),
        ({"nbf": 2**40}, "not valid yet"),
        ({"iat": 2**40}, "not valid yet"),
        ({"sub": None, "client_id": None}, "whom"),
        ({"nonce": "x"}, "no access token"),
        ({"aud": "some-client", "nonce": "x"}, "no access token"),
        ({"cnf": {"jkt": "x"}}, "bound to a key"),
    ],
)
async def test_a_token_that_does_not_fit_is_refused(claims: dict[str, Any], why: str) -> None:
    async with place() as here:
        token = here.issuer.token(**claims)
        told = await here.refused(token)
        assert why in told
        assert "robot" not in told
        assert here.issuer.url not in told


@pytest.mark.parametrize("header", [{"typ": "oauth-id-jag+jwt"}, {"typ": "logout+jwt"}])
async def test_another_kind_of_token_of_the_same_issuer_is_refused(header: dict[str, Any]) -> None:
    async with place() as here:
        assert "no access token" in await here.refused(here.issuer.token(header=header))


async def test_a_signature_by_anybody_else_is_refused() -> None:
    async with place() as here:
        stolen = RSA["second"].as_dict(private=True)
        for by, header in (
            (RSA["second"], {}),
            (RSA["second"], {"kid": "first"}),
            (key("ES256"), {"alg": "ES256", "kid": "first"}),
            (RSA["second"], {"kid": "first", "jwk": {**RSA["second"].as_dict(private=False)}}),
        ):
            assert "signature" in await here.refused(here.issuer.token(by, header))
        assert stolen


async def test_the_key_of_one_issuer_opens_nothing_as_another() -> None:
    async with place() as here, issuer() as other:
        other.public = [RSA["second"].as_dict(private=False)]
        here.trust = Trust(issuers=(here.issuer.trusted(), other.trusted(workspace="elsewhere")))
        assert (await here.whose(other.token(RSA["second"]))).workspaces == {"elsewhere": "member"}
        assert "signature" in await here.refused(here.issuer.token(RSA["second"]))
        assert "signature" in await here.refused(other.token(RSA["first"]))


async def test_what_is_of_no_trusted_issuer_is_left_to_others_and_asks_nobody() -> None:
    async with place() as here:
        own = here.issuer.token()
        here.trust = Trust()
        assert await here.tokens.verify(own) is None
        here.trust = Trust(issuers=(here.issuer.trusted(),))
        for other in (
            here.issuer.token(iss="https://evil.example"),
            here.issuer.token(iss=f"{here.issuer.url}/"),
            here.issuer.token(iss=[here.issuer.url]),
            "opaque-token-of-somebody",
            "pk_" + "x" * 40,
            "",
            "\ud800",
            here.issuer.token(pad="x" * LONGEST),
        ):
            assert await here.tokens.verify(other) is None
        assert here.issuer.asked.total() == 0


async def test_a_flood_of_unknown_keys_asks_the_issuer_no_more() -> None:
    async with place() as here:
        await here.whose(here.issuer.token())
        here.late = 31
        before = here.issuer.asked["keys"]
        for number in range(100):
            await here.refused(here.issuer.token(header={"kid": f"kid-{number}"}))
        assert here.issuer.asked["keys"] - before == 0 or here.issuer.asked["keys"] - before == 1


async def test_a_required_claim_is_required() -> None:
    async with place(required={"tenant": "acme"}) as here:
        await here.whose(here.issuer.token(tenant=["acme", "other"]))
        told = await here.refused(here.issuer.token(tenant="other"))
        assert "acme" not in told
        assert "required" in told


async def test_another_trust_forgets_everybody_at_once() -> None:
    async with place() as here:
        token = here.issuer.token()
        await here.whose(token)
        here.trust = Trust(issuers=(here.issuer.trusted(role="viewer"),))
        assert (await here.whose(token)).workspaces == {"team": "viewer"}
        here.trust = Trust(issuers=(here.issuer.trusted(audience="https://other.example"),))
        assert "audience" in await here.refused(token)
        here.trust = Trust()
        assert await here.tokens.verify(token) is None


async def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_KNOWN", 3)
    monkeypatch.setattr(module, "MOST_REFUSED", 3)
    async with place() as here:
        for number in range(10):
            await here.whose(here.issuer.token(sub=f"robot-{number}"))
            await here.refused(here.issuer.token(sub=f"robot-{number}", aud="x"))
            assert len(here.tokens._known) <= 3
            assert len(here.tokens._refused) <= 3


async def test_an_issuer_that_is_down_lets_in_whom_it_is_known_to_have_signed_and_nobody_new() -> None:
    async with place() as here:
        here.issuer.broken = True
        token = here.issuer.token()
        told = await here.refused(token)
        assert "does not answer" in told
        assert here.issuer.url not in told
        here.issuer.broken = False
        here.late = DOWN_FOR + 1
        await here.whose(token)
        here.issuer.broken = True
        await here.whose(here.issuer.token(sub="another"))


async def test_an_opaque_token_is_whose_its_issuer_says_and_is_asked_about_once_in_a_while() -> None:
    async with place(introspects=True) as here:
        token = "an-opaque-token-of-ours"
        here.issuer.active[token] = {"active": True, "sub": "robot", "client_id": "ci", "scope": "mcp"}
        first = await here.whose(token)
        assert (first.name, first.client, first.workspaces) == ("robot", "ci", {"team": "member"})
        assert await here.whose(token) is first
        assert here.issuer.asked["introspect"] == 1
        here.late = VOUCHED_FOR + 1
        assert await here.whose(token) is first
        assert here.issuer.asked["introspect"] == 2
        del here.issuer.active[token]
        here.late = 2 * VOUCHED_FOR + 2
        assert await here.tokens.verify(token) is None


async def test_a_signed_token_of_an_issuer_that_is_asked_is_asked_about() -> None:
    async with place(introspects=True) as here:
        token = here.issuer.token(RSA["second"])
        assert "does not know it" in await here.refused(token)
        await here.refused(token)
        assert here.issuer.asked["introspect"] == 1, "no is believed for a while, too"
        here.issuer.active[token] = here.issuer.claims(active=True)
        here.late = VOUCHED_FOR + 1
        assert (await here.whose(token)).name == "robot"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"active": "true", "sub": "robot"}, "does not know it"),
        ({"active": 1, "sub": "robot"}, "does not know it"),
        ({"sub": "robot"}, "does not know it"),
        ({"active": True}, "whom"),
        ({"active": True, "sub": "robot", "exp": 1}, "expired"),
        ({"active": True, "sub": "robot", "nbf": 2**40}, "not valid yet"),
        ({"active": True, "sub": "robot", "aud": "other"}, "audience"),
        ({"active": True, "sub": "robot", "iss": "https://evil.example"}, "issuer"),
    ],
)
async def test_an_answer_that_does_not_fit_vouches_for_nobody(said: dict[str, Any], why: str) -> None:
    async with place(introspects=True) as here:
        token = here.issuer.token()
        here.issuer.active[token] = said
        assert why in await here.refused(token)


async def test_an_answer_is_not_believed_beyond_the_end_of_the_token() -> None:
    async with place(introspects=True) as here:
        token = "an-opaque-token-of-ours"
        here.issuer.active[token] = {"active": True, "sub": "robot", "exp": int(time.time()) + 10}
        await here.whose(token)
        here.late = 11
        assert "expired" in await here.refused(token)


async def test_an_issuer_that_cannot_be_asked_vouches_for_nobody() -> None:
    async with place(introspects=True) as here:
        token = "an-opaque-token-of-ours"
        here.issuer.active[token] = {"active": True, "sub": "robot"}
        await here.whose(token)
        here.issuer.broken = True
        await here.whose(token)
        here.late = VOUCHED_FOR + 1
        before = here.issuer.asked["introspect"]
        for _ in range(3):
            assert "does not answer" in await here.refused(token)
        assert here.issuer.asked["introspect"] == before + 1
        here.issuer.broken = False
        here.late += DOWN_FOR + 1
        await here.whose(token)


async def test_what_does_not_look_like_a_token_is_sent_nowhere() -> None:
    async with place(introspects=True) as here:
        for text in ("short", "with space and more text", "umlaut-ümlaut-umlaut", here.issuer.token(iss="https://x.y")):
            assert await here.tokens.verify(text) is None
        assert here.issuer.asked["introspect"] == 0


async def test_of_several_issuers_the_one_that_knows_it_vouches() -> None:
    async with place(introspects=True) as here, issuer() as other:
        token = "an-opaque-token-of-ours"
        other.active[token] = {"active": True, "sub": "robot"}
        here.trust = Trust(issuers=(here.issuer.introspecting(), other.introspecting(workspace="elsewhere")))
        assert (await here.whose(token)).workspaces == {"elsewhere": "member"}


async def test_many_with_one_token_ask_once() -> None:
    async with place(introspects=True) as here:
        token, found = "an-opaque-token-of-ours", list[Principal]()
        here.issuer.active[token] = {"active": True, "sub": "robot"}

        async def one() -> None:
            found.append(await here.whose(token))

        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(one)
        assert here.issuer.asked["introspect"] == 1
        assert len({id(one) for one in found}) == 1


async def test_whom_nobody_trusts_any_more_when_the_answer_comes_is_nobody() -> None:
    async with place(introspects=True) as here:
        token = "an-opaque-token-of-ours"
        here.issuer.active[token] = {"active": True, "sub": "robot"}
        found: list[Principal | None] = []

        async def one() -> None:
            found.append(await here.tokens.verify(token))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one)
            await anyio.lowlevel.checkpoint()
            here.trust = Trust(issuers=(TrustedIssuer("https://other.example", "x", "team"),))
        assert found == [None]
