"""A program calls a tool with a token of its own issuer; without what is required of it, it is nobody."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import anyio
import httpx2
import pytest

from tests.identity.issuer import AUDIENCE, RSA, Issuer, issuer
from tests.stories.gateway import Gateway, gateway
from tests.stories.house import document
from tests.stories.policy_house import Scripted, text, tool
from tests.stories.raw_client import Json, RawClient, raw_http
from tests.stories.raw_upstream import raw_upstream

pytestmark = pytest.mark.anyio


@dataclass
class House:
    """A gateway that trusts an issuer for `team`, where members in `ops` may use `deploy`."""

    gateway: Gateway
    http: httpx2.AsyncClient
    issuer: Issuer
    part: Json
    trusting: Json

    async def calls(self, token: str, workspace: str = "team", name: str = "deploy") -> tuple[int, Json]:
        client = RawClient(self.http, self.gateway.at(workspace, "files"), "modern", token)
        answered = await client.call("tools/call", {"name": name, "arguments": {}})
        return answered.status, answered.answer if answered.status in (200, 400) else {}


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with issuer() as made, raw_upstream("modern") as upstream, raw_http() as http:
        script = Scripted(tools=[tool("deploy")], calls={"deploy": text("deployed")})
        upstream.script, upstream.told = script, script.told
        rules = [
            {"match": "files/deploy", "enabled": False},
            {"match": "files/deploy", "for": {"groups": ["ops"]}, "enabled": True},
        ]
        part: Json = {"servers": {"files": {"url": upstream.url}}}
        workspaces = {"team": {**part, "policy": {"version": 1, "rules": rules}}, "other": part}
        trusting = {
            "issuer": made.url,
            "audience": AUDIENCE,
            "workspace": "team",
            "required": {"tenant": "acme"},
            "groups_claim": "groups",
        }
        async with gateway(document(workspaces, issuers=[trusting]), tmp_path / "data") as running:
            yield House(running, http, made, workspaces, trusting)


async def test_a_machine_client_calls_a_tool_with_its_issuers_token(house: House) -> None:
    status, answer = await house.calls(house.issuer.token(tenant="acme", groups=["ops"]))
    assert (status, answer["result"]["content"]) == (200, [{"type": "text", "text": "deployed"}])
    status, answer = await house.calls(house.issuer.token(tenant="acme"))
    assert (status, answer["error"]["code"]) == (400, -32602), "policy decides by the groups that the token claims"
    assert (await house.calls(house.issuer.token(tenant="acme"), "other"))[0] == 404


async def test_without_a_required_claim_or_from_anybody_else_it_is_401(house: House) -> None:
    good = {"tenant": "acme", "groups": ["ops"]}
    for token in (
        house.issuer.token(groups=["ops"]),
        house.issuer.token(**{**good, "tenant": "evil"}),
        house.issuer.token(**good, aud="https://other.example"),
        house.issuer.token(**good, exp=1),
        house.issuer.token(RSA["second"], **good),
        house.issuer.token(**good, iss="https://evil.example"),
        house.issuer.token(**good, header={"typ": "oauth-id-jag+jwt"}),
    ):
        assert (await house.calls(token))[0] == 401


async def test_an_issuer_that_the_file_trusts_no_more_lets_nobody_in(house: House) -> None:
    token = house.issuer.token(tenant="acme", groups=["ops"])
    assert (await house.calls(token))[0] == 200
    assert house.gateway.config is not None
    house.gateway.config.write_text(document(house.part))
    with anyio.fail_after(120):
        while (status := (await house.calls(token))[0]) != 401:
            assert status == 200


async def test_a_known_token_costs_its_issuer_nothing(house: House) -> None:
    token = house.issuer.token(tenant="acme", groups=["ops"])
    await house.calls(token)
    asked = house.issuer.asked.total()
    for _ in range(5):
        assert (await house.calls(token))[0] == 200
    assert house.issuer.asked.total() == asked
