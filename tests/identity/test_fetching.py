"""Asking a provider: bounded in time and bytes, and told in one way when it fails."""

import base64
from collections.abc import AsyncIterator

import anyio
import httpx2
import pytest
from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse

from portkey_mcp.errors import ProviderDown
from portkey_mcp.identity import fetching
from portkey_mcp.identity.fetching import LARGEST, Fetching, TooLarge, usable_url
from tests.identity.issuer import CLIENT, SECRET, issuer
from tests.stories.gateway import serving

pytestmark = pytest.mark.anyio

PART = b" " * 65_536


@pytest.fixture
async def url() -> AsyncIterator[str]:
    app, gone = FastAPI(), anyio.Event()

    @app.get("/said")
    async def said(request: Request) -> dict[str, str]:
        return dict(request.headers)

    @app.get("/large")
    async def large() -> Response:
        async def parts() -> AsyncIterator[bytes]:
            for _ in range(LARGEST // len(PART) + 2):
                yield PART

        return StreamingResponse(parts())

    @app.get("/silent")
    async def silent() -> Response:
        await gone.wait()
        return Response()

    @app.get("/onward")
    async def onward() -> Response:
        return Response(status_code=302, headers={"location": "/said"})

    async with serving(app) as origin:
        try:
            yield origin
        finally:
            gone.set()


async def test_nothing_compressed_is_asked_for(url: str) -> None:
    found = await Fetching().document(f"{url}/said", "Corp", {"X-More": "1"})
    assert (found["accept-encoding"], found["accept"], found["x-more"]) == ("identity", "application/json", "1")


async def test_a_large_answer_is_not_read_to_its_end(url: str) -> None:
    with pytest.raises(ProviderDown, match="cannot be reached"):
        await Fetching().document(f"{url}/large", "Corp")
    async with httpx2.AsyncClient(transport=await Fetching().transport()) as client:
        with pytest.raises(TooLarge, match=str(LARGEST)):
            await client.get(f"{url}/large")


async def test_an_answer_that_does_not_come_is_not_waited_for(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "SECONDS", 0.1)
    with pytest.raises(ProviderDown, match=r"Corp (did not answer in time|cannot be reached)"):
        await Fetching().document(f"{url}/silent", "Corp")


async def test_a_redirect_is_not_followed(url: str) -> None:
    with pytest.raises(ProviderDown, match="status 302"):
        await Fetching().document(f"{url}/onward", "Corp")


@pytest.mark.parametrize(
    ("address", "usable"),
    [
        ("https://idp.example/token", True),
        ("https://10.0.0.1/token?tenant=1", True),
        ("http://127.0.0.1:9000/token", True),
        ("http://localhost/token", True),
        ("http://idp.example/token", False),
        ("https://user@idp.example/", False),
        ("https://idp.example/#part", False),
        ("https://idp.example:port/", False),
        ("https:///token", False),
        ("file:///etc/passwd", False),
        ("", False),
        (None, False),
        (7, False),
    ],
)
def test_what_a_provider_names_must_be_encrypted_or_here(address: object, usable: bool) -> None:
    assert usable_url(address) is usable


async def test_a_form_brings_the_credentials_of_the_client() -> None:
    """RFC 6749, section 2.3.1: both are form-encoded first."""
    async with issuer() as made:
        asked = Fetching().answer(f"{made.url}/introspect", "Corp", {"token": "x"}, CLIENT, SECRET)
        assert await asked == {"active": False}
    assert made.credentials == [f"Basic {base64.b64encode(b'gateway%3A1:a%2Fsecret+of+%25').decode()}"]
