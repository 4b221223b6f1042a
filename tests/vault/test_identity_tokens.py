"""What a server is told of who calls: whole, unforgeable, and nothing of the client's own credential."""

import json
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import KeySet

from portkey_mcp.errors import Mistake
from portkey_mcp.model import Principal
from portkey_mcp.proof import IdentityAuth
from portkey_mcp.sealing import KeyRing
from portkey_mcp.storage.database import Database
from portkey_mcp.vault.identity_tokens import LIFE, SPARE, IdentityTokens, _encoded, _line, _text, claims_of
from portkey_mcp.vault.signing import SigningKeys
from portkey_mcp.wire import Json
from tests.storage.conftest import database

pytestmark = pytest.mark.anyio

__all__ = ["database"]

ISSUER = "https://gateway.example"
ADA = Principal(
    "person:1",
    "Ada Lovelace",
    "person",
    {"demo": "admin", "other": "viewer"},
    groups=("all staff",),
    email="ada@example.com",
    own_groups={"demo": ("engines, analytical",), "other": ("secret",)},
    credential="grant:planted",
    client="https://client.example/planted",
)


class Clock:
    """Seconds that a test moves on."""

    def __init__(self) -> None:
        self.moment = 1_800_000_000.0

    def __call__(self) -> float:
        return self.moment


class House:
    """What signs, and what checks it."""

    def __init__(self, database: Database) -> None:
        self.clock = Clock()
        self.keys = SigningKeys(database, KeyRing.generate())
        self.tokens = IdentityTokens(self.keys, ISSUER, self.clock)

    async def read(self, lines: bytes, header: str) -> Json:
        token = headers(lines)[header]
        claims: Json = jwt.decode(
            token, KeySet.import_key_set(await self.keys.published()), algorithms=["ES256"]
        ).claims
        return claims


@pytest.fixture
def house(database: Database) -> House:
    return House(database)


def headers(lines: bytes) -> dict[str, str]:
    """What a server makes of them."""
    *found, end = lines.decode("ascii").split("\r\n")
    assert end == ""
    return dict(line.split(": ", 1) for line in found)


async def test_claims_are_told_in_the_headers_that_were_named(house: House) -> None:
    claims = {f"X-{claim}": claim for claim in ("id", "name", "email", "groups", "role", "workspace", "all")}
    found = headers(await house.tokens.lines(IdentityAuth(claims), ADA, "demo"))
    assert json.loads(found.pop("X-all")) == {
        "id": "person:1",
        "name": "Ada Lovelace",
        "email": "ada@example.com",
        "groups": ["all staff", "engines, analytical"],
        "role": "admin",
        "workspace": "demo",
    }
    assert found == {
        "X-id": "person:1",
        "X-name": "Ada Lovelace",
        "X-email": "ada@example.com",
        "X-groups": "all staff,engines%2C analytical",
        "X-role": "admin",
        "X-workspace": "demo",
    }


async def test_a_server_learns_nothing_of_other_workspaces(house: House) -> None:
    auth = IdentityAuth({"X-All": "all"}, "X-Token", "https://files")
    lines = await house.tokens.lines(auth, ADA, "demo")
    said = headers(lines)["X-All"] + json.dumps(await house.read(lines, "X-Token"))
    assert "secret" not in said
    assert "other" not in said


async def test_b2_nothing_of_the_clients_own_credential_is_told(house: House) -> None:
    auth = IdentityAuth({"X-All": "all"}, "X-Token", "https://files")
    lines = await house.tokens.lines(auth, ADA, "demo")
    assert "planted" not in headers(lines)["X-All"] + json.dumps(await house.read(lines, "X-Token"))


async def test_the_token_says_who_calls_to_one_audience_for_five_minutes(house: House) -> None:
    found = await house.read(
        await house.tokens.lines(IdentityAuth({}, "X-Token", "https://files"), ADA, "demo"), "X-Token"
    )
    assert len(found.pop("jti")) == 36
    assert found == {
        "iss": ISSUER,
        "sub": "person:1",
        "aud": "https://files",
        "iat": int(house.clock.moment),
        "exp": int(house.clock.moment) + 300,
        "name": "Ada Lovelace",
        "email": "ada@example.com",
        "groups": ["all staff", "engines, analytical"],
        "role": "admin",
        "workspace": "demo",
    }


async def test_in_authorization_a_token_has_its_scheme(house: House) -> None:
    lines = await house.tokens.lines(IdentityAuth({}, "Authorization", "https://files"), ADA, "demo")
    assert headers(lines)["Authorization"].startswith("Bearer eyJ")


async def test_lines_are_made_once_until_shortly_before_the_token_ends(house: House) -> None:
    auth = IdentityAuth({"X-Email": "email"}, "X-Token", "https://files")
    assert house.tokens.ready(auth, ADA, "demo") is None
    first = await house.tokens.lines(auth, ADA, "demo")
    house.clock.moment += LIFE - SPARE - 1
    assert house.tokens.ready(auth, ADA, "demo") == await house.tokens.lines(auth, ADA, "demo") == first
    house.clock.moment += 1
    assert house.tokens.ready(auth, ADA, "demo") is None
    assert await house.tokens.lines(auth, ADA, "demo") != first


async def test_nobody_is_told_as_somebody_else(house: House) -> None:
    auth = IdentityAuth({"X-Role": "role", "X-Id": "id"})
    await house.tokens.lines(auth, ADA, "demo")
    assert house.tokens.ready(auth, ADA, "other") is None
    assert house.tokens.ready(IdentityAuth({"X-Id": "role", "X-Role": "id"}), ADA, "demo") is None
    assert house.tokens.ready(auth, Principal("person:2", "Bob", "person", {"demo": "admin"}), "demo") is None
    demoted = Principal("person:1", "Ada Lovelace", "person", {"demo": "viewer"})
    assert house.tokens.ready(auth, demoted, "demo") is None
    assert headers(await house.tokens.lines(auth, demoted, "demo"))["X-Role"] == "viewer"
    house.tokens.forget()
    assert house.tokens.ready(auth, demoted, "demo") is None


async def test_what_there_is_nothing_to_say_of_is_left_out(house: House) -> None:
    robot = Principal("service:1", "ci", "service", {"demo": "member"})
    auth = IdentityAuth({"X-Email": "email", "X-Groups": "groups", "X-Name": "name"}, "X-Token", "https://files")
    lines = await house.tokens.lines(auth, robot, "demo")
    assert set(headers(lines)) == {"X-Name", "X-Token"}
    assert not {"email", "groups"} & set(await house.read(lines, "X-Token"))


@pytest.mark.parametrize("header", ["X-A\r\nX-B", "", "X A", "X-Ä", "X:", "X-A\n"])
async def test_a_header_that_has_no_name_is_never_sent(house: House, header: str) -> None:
    with pytest.raises(Mistake):
        await house.tokens.lines(IdentityAuth({header: "email"}), ADA, "demo")


@given(st.text())
def test_every_text_survives_and_none_ends_its_line(text: str) -> None:
    who = Principal("person:1", text, "person", {"demo": "member"}, groups=(text, "second"), email=text)
    claims = claims_of(who, "demo")
    for claim in ("name", "email"):
        line = _line("X", _text(claims, claim))
        assert line.count(b"\r") == line.count(b"\n") == 1
        value = line.decode("ascii").removeprefix("X: ").removesuffix("\r\n")
        assert unquote(value.strip(), errors="strict") == text
    whole = _line("X", _text(claims, "all")).decode("ascii").removeprefix("X: ")
    assert json.loads(whole).get("name", "") == text
    groups = _text(claims, "groups").split(",")
    assert [unquote(group) for group in groups] == [text, "second"]


def test_a_lone_surrogate_ends_nothing_either() -> None:
    assert _encoded("\ud800\r\n", "") == "%ED%A0%80%0D%0A"
