"""Key sets are found, kept, renewed when a key is new, and believed while their provider is down."""

import base64
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

import anyio
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc.jwk import Key, OctKey

from portkey_mcp.errors import ProviderDown
from portkey_mcp.identity.fetching import Fetching
from portkey_mcp.identity.jwks import FIRST_PAUSE, FRESH, MOST_TRIED, PAUSE, STALE, KeySets, metadata_urls
from portkey_mcp.identity.signed import Signed, is_signed, read
from tests.identity.issuer import RSA, Issuer, issuer, key, signed

pytestmark = pytest.mark.anyio


@dataclass
class Place:
    """A provider, and what is known of its keys at a moment of a clock that is set."""

    issuer: Issuer
    sets: KeySets
    now: float = 1000.0

    async def finds(self, token: Signed, url: str | None = None) -> bool:
        where = f"{self.issuer.url}/keys" if url is None else url
        return is_signed(token, await self.sets.keys(self.issuer.url, where, token))


@asynccontextmanager
async def place(path: str = "") -> AsyncIterator[Place]:
    fetching = Fetching()
    async with issuer(path) as made:
        found = Place(made, KeySets(fetching, lambda: found.now))
        yield found


def token(by: Key = RSA["first"], **header: str) -> Signed:
    found = read(signed({"sub": "a"}, by, **header))
    assert found is not None
    return found


@contextmanager
def asks(made: Issuer, path: str, times: int) -> Iterator[None]:
    before = made.asked[path]
    yield
    assert made.asked[path] - before == times


async def test_a_set_is_asked_for_once_an_hour() -> None:
    async with place() as here:
        with asks(here.issuer, "keys", 1):
            assert await here.finds(token())
            here.now += FRESH - 1
            assert await here.finds(token())
        with asks(here.issuer, "keys", 1):
            here.now += 1
            assert await here.finds(token())


async def test_a_new_key_is_found_and_an_old_one_forgotten() -> None:
    async with place() as here:
        assert await here.finds(token())
        here.issuer.public = [RSA["second"].as_dict(private=False)]
        here.now += PAUSE
        assert await here.finds(token(RSA["second"]))
        assert not await here.finds(token(RSA["first"]))


async def test_unknown_keys_do_not_make_it_ask_more_than_twice_a_minute() -> None:
    async with place() as here:
        assert await here.finds(token())
        here.now += PAUSE
        with asks(here.issuer, "keys", 2):
            for number in range(200):
                assert not await here.finds(token(kid=f"kid-{number}"))
                here.now += (2 * PAUSE - 1) / 200
            assert await here.finds(token())


async def test_many_who_ask_at_once_ask_once() -> None:
    async with place() as here:
        found: list[bool] = []

        async def one() -> None:
            found.append(await here.finds(token()))

        with asks(here.issuer, "keys", 1):
            async with anyio.create_task_group() as tasks:
                for _ in range(20):
                    tasks.start_soon(one)
        assert found == [True] * 20


async def test_who_leaves_while_it_is_fetched_spoils_it_for_nobody() -> None:
    async with place() as here:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(here.finds, token())
            while not here.issuer.asked["keys"]:
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
        with asks(here.issuer, "keys", 0):
            assert await here.finds(token())


async def test_a_set_is_believed_for_a_day_while_its_provider_is_down(caplog: pytest.LogCaptureFixture) -> None:
    async with place() as here:
        assert await here.finds(token())
        here.issuer.broken = True
        here.now += STALE - 1
        with asks(here.issuer, "keys", 1):
            assert [await here.finds(token()) for _ in range(3)] == [True] * 3
        here.now += 1 + FIRST_PAUSE
        with pytest.raises(ProviderDown, match="500"):
            await here.finds(token())
        here.issuer.broken = False
        here.now += FIRST_PAUSE
        assert await here.finds(token())
    assert caplog.text.count("cannot be fetched") == 1


async def test_a_provider_that_was_never_there_is_not_asked_by_every_stranger() -> None:
    async with place() as here:
        here.issuer.broken = True
        with asks(here.issuer, "keys", 1):
            for _ in range(10):
                with pytest.raises(ProviderDown):
                    await here.finds(token())
        here.now += FIRST_PAUSE
        here.issuer.broken = False
        assert await here.finds(token())


async def test_keys_that_are_secret_weak_for_something_else_or_broken_are_passed_over() -> None:
    numbers = rsa.generate_private_key(65537, 1024).public_key().public_numbers()
    modulus = base64.urlsafe_b64encode(numbers.n.to_bytes(128)).decode().rstrip("=")
    async with place() as here:
        public = RSA["first"].as_dict(private=False)
        here.issuer.public = [
            OctKey.import_key("a secret that is long enough, surely", {"kid": "first"}).as_dict(private=True),
            {"kty": "RSA", "kid": "broken", "n": "!", "e": 3},
            {"kty": "XYZ"},
            RSA["second"].as_dict(private=True),
            {**public, "kid": "enc", "use": "enc"},
            {**public, "kid": "other", "alg": "PS256"},
            {**public, "kid": "ops", "key_ops": ["sign"]},
            {"kty": "RSA", "kid": "weak", "n": modulus, "e": "AQAB"},
            public,
        ]
        assert await here.finds(token())
        for kid in ("broken", "enc", "other", "ops"):
            assert not await here.finds(token(kid=kid))
        assert not await here.finds(token(RSA["second"]))
        assert await here.sets.keys(here.issuer.url, f"{here.issuer.url}/keys", token(kid="weak")) == []


async def test_a_set_without_a_key_that_can_be_used_is_none() -> None:
    async with place() as here:
        here.issuer.public = [{"kty": "oct", "k": "AAAA"}]
        with pytest.raises(ProviderDown, match="no key that can be used"):
            await here.finds(token())


async def test_a_token_that_names_no_key_is_tried_with_a_few() -> None:
    async with place() as here:
        here.issuer.public = [RSA[name].as_dict(private=False) for name in ("second", "first")]
        named = token()
        unnamed = Signed(named.text, {"alg": "RS256"}, named.claims)
        assert len(await here.sets.keys(here.issuer.url, f"{here.issuer.url}/keys", unnamed)) == 2
        here.now += FRESH
        here.issuer.public *= 20
        assert len(await here.sets.keys(here.issuer.url, f"{here.issuer.url}/keys", unnamed)) == MOST_TRIED


async def test_an_algorithm_that_is_not_allowed_asks_nobody() -> None:
    async with place() as here:
        with asks(here.issuer, "keys", 0):
            for name in ("none", "HS256", "RS1", "", 7):
                assert await here.sets.keys(here.issuer.url, "", Signed("", {"alg": name}, {})) == []


@pytest.mark.parametrize("path", ["", "/realms/one"])
async def test_without_a_url_the_metadata_says_where_the_keys_are(path: str) -> None:
    """RFC 8414 first, then OpenID Connect Discovery."""
    async with place(path) as here:
        assert await here.finds(token(), url="")
        assert list(here.issuer.asked) == [
            f".well-known/oauth-authorization-server{path}",
            f"{path}/.well-known/openid-configuration".lstrip("/"),
            f"{path}/keys".lstrip("/"),
        ]


@pytest.mark.parametrize(
    "said",
    [
        {"issuer": "https://evil.example", "jwks_uri": "{url}/keys"},
        {"issuer": "{url}/", "jwks_uri": "{url}/keys"},
        {"jwks_uri": "{url}/keys"},
        {"issuer": "{url}"},
        {"issuer": "{url}", "jwks_uri": "http://192.0.2.1/keys"},
        {"issuer": "{url}", "jwks_uri": "file:///etc/passwd"},
        {"issuer": "{url}", "jwks_uri": 7},
    ],
)
async def test_metadata_of_another_issuer_or_without_a_set_to_trust_is_not_believed(said: dict[str, object]) -> None:
    async with place() as here:
        url = here.issuer.url
        document = {name: value.format(url=url) if isinstance(value, str) else value for name, value in said.items()}
        for path in (".well-known/oauth-authorization-server", ".well-known/openid-configuration"):
            here.issuer.odd[path] = document
        with asks(here.issuer, "keys", 0), pytest.raises(ProviderDown, match="the metadata at"):
            await here.finds(token(), url="")


def test_where_metadata_may_be() -> None:
    assert metadata_urls("https://id.example/realms/one/") == (
        "https://id.example/.well-known/oauth-authorization-server/realms/one",
        "https://id.example/realms/one/.well-known/openid-configuration",
    )


@pytest.mark.parametrize("algorithm", ["ES256", "ES384", "EdDSA", "PS256"])
async def test_keys_of_every_kind_are_read(algorithm: str) -> None:
    ours = key(algorithm)
    async with place() as here:
        here.issuer.public = [ours.as_dict(private=False)]
        assert await here.finds(token(ours, alg=algorithm))
