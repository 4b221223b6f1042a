"""People sign in with the company's account, in a real browser, at two real providers; what their groups say holds."""

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from portkey_mcp.identity.authenticate import Identity
from portkey_mcp.storage.database import Database
from tests.stories.browser import Browser, browser
from tests.stories.gateway import Gateway, gateway
from tests.stories.house import document
from tests.stories.oidc_providers import ADA, OidcProvider, npm_oidc_provider, oidc_provider_mock

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("one_chromium"), pytest.mark.outside("chromium", "node")]

Start = Callable[[str], AbstractAsyncContextManager[OidcProvider]]
PROVIDERS = [oidc_provider_mock, npm_oidc_provider]
JOIN = [
    {"workspace": "blue", "role": "viewer", "claimed": ["engineers"]},
    {"workspace": "blue", "role": "admin", "claimed": ["admins"]},
    {"workspace": "red", "role": "member", "claimed": ["reds"]},
]


@dataclass
class House:
    gateway: Gateway
    provider: OidcProvider

    @asynccontextmanager
    async def signed_in(self, sub: str) -> AsyncIterator[Browser]:
        """A fresh browser of somebody who signs in at the provider's."""
        async with browser(self.gateway.url, elsewhere=[self.provider.issuer]) as person:
            await person.visit(f"{self.gateway.url}/ui/")
            await person.press("Sign in with Corp")
            await person.arrives(self.provider.issuer)
            await self.provider.sign_in(person, sub)
            await person.arrives(self.gateway.url)
            yield person


@asynccontextmanager
async def house(start: Start, data: Path, **more: Any) -> AsyncIterator[House]:
    """A gateway whose only way in is the provider."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    async with start(f"http://127.0.0.1:{port}/ui/sign-in/corp/callback") as provider:
        scopes = ["openid", "email", "profile"] + (["groups"] if provider.kind == "npm" else [])
        corp = {
            "id": "corp",
            "name": "Corp",
            "issuer": provider.issuer,
            "client_id": provider.client_id,
            "client_secret": provider.client_secret,
            "scopes": scopes,
            "join": JOIN,
            **more,
        }
        text = document({"blue": {}, "red": {}}, sign_in={"password": False, "providers": [corp]})
        async with gateway(text, data, port=port) as running:
            yield House(running, provider)


@pytest.mark.parametrize("start", PROVIDERS)
async def test_groups_give_a_role_and_changed_groups_change_it(start: Start, tmp_path: Path) -> None:
    async with house(start, tmp_path) as at:
        async with at.signed_in(ADA["sub"]) as ada:
            said = await ada.text()
            assert "Ada Lovelace" in said
            assert "viewer" in said
            assert "red" not in said
            await ada.screenshot(f"sso-{at.provider.kind}")
            await at.provider.change({**ADA, "groups": ["admins", "reds"]})
            async with at.signed_in(ADA["sub"]) as again:
                said = await again.text()
                assert "admin" in said
                assert "red" in said
            await ada.visit(f"{at.gateway.url}/ui/")
            assert "red" in await ada.text()  # the browser of before has what holds now, too
        await at.provider.change({**ADA, "groups": []})
        async with at.signed_in(ADA["sub"]) as last:
            assert "You are in none yet" in await last.text()


@pytest.mark.parametrize("start", PROVIDERS)
async def test_who_is_of_another_domain_or_disabled_is_told_so(start: Start, tmp_path: Path) -> None:
    async with house(start, tmp_path, domains=["example.com"]) as at:
        async with at.signed_in("bob-1") as bob:
            assert "Addresses of elsewhere.test are not let in here." in await bob.text()
            await bob.press("Back to sign-in")
            await bob.visit(f"{at.gateway.url}/ui/")
            assert "Sign in with Corp" in await bob.text()
        async with at.signed_in(ADA["sub"]) as ada:
            assert "Ada Lovelace" in await ada.text()
            database = await Database.open(at.gateway.data)
            await Identity(database).people.disable("ada@example.com")
            await database.close()
            async with at.signed_in(ADA["sub"]) as again:
                assert "Your account here is disabled." in await again.text()


@pytest.mark.parametrize("start", PROVIDERS)
async def test_who_does_not_want_to_is_back_on_a_page_that_says_so(start: Start, tmp_path: Path) -> None:
    async with (
        house(start, tmp_path) as at,
        browser(at.gateway.url, elsewhere=[at.provider.issuer], width=320) as person,
    ):
        await person.visit(f"{at.gateway.url}/ui/")
        assert await person.page.locator("input[name=password]").count() == 0
        await person.screenshot(f"sso-sign-in-{at.provider.kind}")
        await person.press("Sign in with Corp")
        await person.arrives(at.provider.issuer)
        await at.provider.refuse(person)
        await person.arrives(at.gateway.url)
        # The mock leaves `state` out of a refusal: then nobody knows whose it is, and its words are not shown.
        assert ("did not let you in" if at.provider.kind == "npm" else "Please begin again") in await person.text()
