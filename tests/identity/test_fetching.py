"""Providers are asked within bounds, and what they answer is JSON or nothing."""

import base64
import gzip

import pytest
from fastapi import Response

from portkey_mcp.identity import fetching as module
from portkey_mcp.identity.fetching import Fetching, IssuerDown
from tests.identity.issuer import CLIENT, SECRET, Issuer, issuer

pytestmark = pytest.mark.anyio


async def answer(made: Issuer, said: object, seconds: float = 10.0) -> object:
    made.odd["odd"] = said
    asking = Fetching(seconds)
    try:
        return await asking.get(f"{made.url}/odd")
    finally:
        await asking.close()


async def test_what_is_there_is_read_and_a_form_brings_the_credentials_of_the_client() -> None:
    async with issuer() as made:
        asking = Fetching()
        assert "keys" in await asking.get(f"{made.url}/keys")
        assert await asking.post(f"{made.url}/introspect", {"token": "x"}, CLIENT, SECRET) == {"active": False}
        assert await asking.post(f"{made.url}/introspect", {"token": "x"}) == {"active": False}
        await asking.close()
        await asking.close()
    quoted = base64.b64encode(b"gateway%3A1:a%2Fsecret+of+%25").decode()
    assert made.credentials == [f"Basic {quoted}", ""], "RFC 6749, section 2.3.1"


@pytest.mark.parametrize(
    "said",
    [
        [1, 2],
        Response("<h1>hello</h1>"),
        Response(b"\xff\xfe", media_type="application/json"),
        Response('{"a": 1, "a": 2}'),
        Response("", 204),
        Response("{}", 500),
        Response("", 302, {"location": "http://127.0.0.1:1/"}),
        Response(gzip.compress(b"{}"), headers={"content-encoding": "gzip"}),
        Response('{"a": "' + "x" * module.LARGEST + '"}'),
    ],
)
async def test_what_cannot_be_used_is_an_issuer_that_is_down(said: object) -> None:
    async with issuer() as made:
        with pytest.raises(IssuerDown, match="127"):
            await answer(made, said)


async def test_who_does_not_answer_in_time_or_at_all_is_down() -> None:
    async with issuer() as made:
        with pytest.raises(IssuerDown, match="did not answer within 0 s"):
            await answer(made, {}, seconds=0)
    with pytest.raises(IssuerDown, match="cannot be reached"):
        await answer(made, {})


@pytest.mark.parametrize("url", ["ftp://a.example/", "http://", "http://[::1", "nonsense"])
async def test_what_is_no_url_is_down_too(url: str) -> None:
    with pytest.raises(IssuerDown):
        await Fetching().get(url)
