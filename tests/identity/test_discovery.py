"""What a provider publishes: held for an hour, asked for again when a key is missing, never more often than told."""

from collections.abc import AsyncIterator, Iterable

import anyio
import pytest
from joserfc.jwk import ECKey, OctKey

from portkey_mcp.errors import ProviderDown
from portkey_mcp.identity.discovery import FAILED, HELD, KEYS_AGAIN, Discovery, PublicKey
from portkey_mcp.identity.fetching import Fetching
from tests.identity.small_provider import SmallProvider, own_key, small_provider

pytestmark = pytest.mark.anyio


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def small() -> AsyncIterator[SmallProvider]:
    async with small_provider() as made:
        yield made


def ids(keys: Iterable[PublicKey]) -> list[object]:
    return [key.get("kid") for key in keys]


async def test_metadata_is_held_for_an_hour(small: SmallProvider) -> None:
    clock = Clock()
    discovery = Discovery(Fetching(), clock)
    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(discovery.metadata, small.url, "Corp")
    clock.now = HELD - 1
    assert (await discovery.metadata(small.url, "Corp")).token == f"{small.url}/token"
    assert small.asked.count("metadata") == 1
    clock.now = HELD
    await discovery.metadata(small.url, "Corp")
    assert small.asked.count("metadata") == 2


async def test_a_failure_is_held_for_a_moment(small: SmallProvider) -> None:
    clock = Clock()
    discovery = Discovery(Fetching(), clock)
    small.bends["metadata"] = lambda document: {**document, "issuer": "https://evil.example"}
    for _ in range(3):
        with pytest.raises(ProviderDown):
            await discovery.metadata(small.url, "Corp")
    assert small.asked.count("metadata") == 1
    del small.bends["metadata"]
    clock.now = FAILED
    assert await discovery.metadata(small.url, "Corp")


async def test_keys_are_asked_for_again_when_one_is_missing_but_not_each_time(small: SmallProvider) -> None:
    clock = Clock()
    discovery = Discovery(Fetching(), clock)
    assert ids(await discovery.keys(small.url, "Corp", "k1")) == ["k1"]
    small.key = own_key("k2")
    assert await discovery.keys(small.url, "Corp", "k2") == ()
    clock.now = KEYS_AGAIN
    assert ids(await discovery.keys(small.url, "Corp", "k2")) == ["k2"]
    assert await discovery.keys(small.url, "Corp", "k1") == ()
    assert small.asked.count("keys") == 2
    clock.now += HELD
    await discovery.keys(small.url, "Corp", "k2")
    assert small.asked.count("keys") == 3


async def test_only_public_keys_for_signatures_are_taken(small: SmallProvider) -> None:
    good = ECKey.generate_key("P-256", {"kid": "ec"}).as_dict(private=False)
    small.bends["keys"] = lambda document: {
        "keys": [
            OctKey.generate_key(256, {"kid": "oct"}).as_dict(),
            own_key("private").as_dict(private=True),
            {**own_key("enc").as_dict(private=False), "use": "enc"},
            *({"kty": "new", "kid": "n"}, {"kty": "RSA", "kid": "half"}, {"kid": "none"}, "text", None, 7),
            good,
        ]
    }
    assert ids(await Discovery(Fetching(), Clock()).keys(small.url, "Corp", None)) == ["ec"]


@pytest.mark.parametrize("keys", [{}, {"keys": None}, {"keys": {}}, {"keys": "text"}])
async def test_a_set_without_keys_has_none(small: SmallProvider, keys: object) -> None:
    small.bends["keys"] = lambda _: keys
    assert await Discovery(Fetching(), Clock()).keys(small.url, "Corp", None) == ()
