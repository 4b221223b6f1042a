"""Who gets in, who may change something, and what the others are told."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace

import pytest

from portkey_mcp.admin.desk import LARGEST_BODY
from portkey_mcp.identity.authenticate import LOCAL_ADMIN
from portkey_mcp.model import Principal
from portkey_mcp.wire import dumps
from tests.admin.conftest import ORIGIN, House, error_of

pytestmark = pytest.mark.anyio

POLICY = "/workspaces/demo/policy"
DOCUMENT = {"text": "version: 1\n", "based_on": 0}


async def test_nobody_is_asked_for_a_key_and_a_wrong_one_is_refused(house: House) -> None:
    for key in (None, "pk_wrong"):
        async with house.client(key) as client:
            for path in (POLICY, "/workspaces/nowhere/policy"):
                answer = await client.get(path)
                assert error_of(answer) == (401, "unauthenticated")
                assert answer.headers["www-authenticate"] == "Bearer"


async def test_either_header_brings_a_key(house: House) -> None:
    async with house.client(None, headers={"x-portkey-api-key": house.keys["boss"]}) as client:
        assert (await client.get(POLICY)).status_code == 200
    async with house.client() as client:
        assert (await client.get(POLICY)).headers["cache-control"] == "no-store"


async def test_a_workspace_without_a_role_looks_like_one_that_does_not_exist(house: House) -> None:
    async with house.client() as client:
        there, nowhere = [await client.get(f"/workspaces/{slug}/policy") for slug in ("other", "never")]
        assert error_of(there) == error_of(nowhere) == (404, "not_found")
        assert there.text.replace("other", "never") == nowhere.text
        assert error_of(await client.put("/workspaces/other/policy", json=DOCUMENT)) == (404, "not_found")


@pytest.mark.parametrize("role", ["member", "viewer"])
async def test_who_is_no_admin_changes_nothing_and_is_told_why(house: House, role: str) -> None:
    await house.key("small", role)
    async with house.client("small") as client:
        answer = await client.put(POLICY, json=DOCUMENT)
    assert error_of(answer) == (403, "forbidden")
    assert "takes the role owner or admin" in answer.text
    assert f"yours is {role}" in answer.text
    assert await house.services.policies.current("demo") is None


async def test_an_owner_may_what_an_admin_may(house: House) -> None:
    await house.key("lord", "owner")
    async with house.client("lord") as client:
        assert (await client.put(POLICY, json=DOCUMENT)).status_code == 200


async def test_without_authentication_everybody_is_the_local_admin(house: House) -> None:
    async def local(_: Mapping[str, str]) -> Principal:
        return LOCAL_ADMIN

    async with house.client(None, authenticate=local) as client:
        saved = await client.put(POLICY, json=DOCUMENT)
        assert (saved.status_code, saved.json()["who"]) == (200, "local admin (local)")
        assert error_of(await client.get("/workspaces/never/policy")) == (404, "not_found")


@pytest.mark.parametrize(
    ("origin", "status"),
    [(ORIGIN, 200), (ORIGIN.upper(), 200), ("http://evil.example", 403), ("null", 403), (f"{ORIGIN}:81", 403)],
)
async def test_a_page_of_another_origin_changes_nothing(house: House, origin: str, status: int) -> None:
    async with house.client(headers={"origin": origin}) as client:
        assert (await client.put(POLICY, json=DOCUMENT)).status_code == status
    assert (await house.services.policies.current("demo") is not None) == (status == 200)


@pytest.mark.parametrize(
    "kind", [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonx", ""]
)
async def test_what_a_form_could_send_changes_nothing(house: House, kind: str | None) -> None:
    headers = {} if kind is None else {"content-type": kind}
    async with house.client() as client:
        answer = await client.put(POLICY, content=b'{"text": "version: 1", "based_on": 0}', headers=headers)
    assert error_of(answer) == (415, "unsupported_media_type")
    assert await house.services.policies.current("demo") is None


async def test_json_may_name_its_character_set(house: House) -> None:
    headers = {"content-type": "Application/JSON; charset=utf-8"}
    async with house.client() as client:
        answer = await client.put(POLICY, content=b'{"text": "version: 1", "based_on": 0}', headers=headers)
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff",
        b'{"text": NaN}',
        b'{"text": "a", "text": "b", "based_on": 0}',
        b"[" * 2000 + b"]" * 2000,
        b'{"\\ud800": 1}',
        b'["\\uD800"]',
    ],
)
async def test_a_body_that_two_readers_could_read_differently_is_no_json(house: House, body: bytes) -> None:
    async with house.client(headers={"content-type": "application/json"}) as client:
        assert error_of(await client.put(POLICY, content=body)) == (400, "bad_request")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ([], "body: "),
        ({"text": "version: 1"}, "body.based_on: Field required"),
        ({**DOCUMENT, "txt": ""}, "body.txt: Extra inputs are not permitted"),
        ({**DOCUMENT, "text": 7}, "body.text: "),
        ({**DOCUMENT, "based_on": "0"}, "body.based_on: "),
        ({**DOCUMENT, "x" * 5000: 1}, "body.xxx"),
    ],
)
async def test_a_body_of_the_wrong_shape_is_told_in_words(house: House, body: object, said: str) -> None:
    async with house.client(headers={"content-type": "application/json"}) as client:
        answer = await client.put(POLICY, content=dumps(body))
    assert error_of(answer) == (422, "invalid")
    assert said in answer.json()["error"]["message"]
    assert len(answer.content) < 1000


async def test_nothing_that_was_sent_is_repeated(house: House) -> None:
    async with house.client() as client:
        answer = await client.put(POLICY, json={"text": ["hunter2"], "based_on": "hunter2", "why": {"a": "hunter2"}})
    assert error_of(answer) == (422, "invalid")
    assert "hunter2" not in answer.text


async def test_a_body_is_read_only_as_far_as_it_may_go(house: House) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 65_536
            yield b" " * 65_536

    async with house.client(headers={"content-type": "application/json"}) as client:
        assert error_of(await client.put(POLICY, content=endless())) == (413, "too_large")
        assert sent < 2 * LARGEST_BODY
        fits = b'{"text": "version: 1", "based_on": 0}'.ljust(LARGEST_BODY)
        assert (await client.put(POLICY, content=fits)).status_code == 200
        assert error_of(await client.put(POLICY, content=fits + b" ")) == (413, "too_large")


async def test_who_may_not_enter_is_refused_before_anything_is_read(house: House) -> None:
    async def never() -> AsyncIterator[bytes]:
        yield b""
        pytest.fail("it was read")

    headers = {"content-type": "application/json"}
    for key, path in ((None, POLICY), ("boss", "/workspaces/other/policy")):
        async with house.client(key, headers=headers) as client:
            assert (await client.put(path, content=never())).status_code in (401, 404)


@pytest.mark.parametrize(
    ("reach", "scopes", "status"),
    [(None, None, 200), ("demo", None, 200), ("demo/files", None, 403), (None, ("mcp:read", "mcp:call"), 403)],
)
async def test_a_credential_for_one_server_or_some_scopes_is_none_for_this_api(
    house: House, reach: str | None, scopes: tuple[str, ...] | None, status: int
) -> None:
    narrow = replace(house.whose["boss"], reach=reach, scopes=scopes)

    async def authenticate(_: Mapping[str, str]) -> Principal:
        return narrow

    async with house.client(authenticate=authenticate) as client:
        answers = [await client.get(POLICY), await client.put(POLICY, json=DOCUMENT)]
        assert [answer.status_code for answer in answers] == [status, status]
        if status == 403:
            assert "is good for" in answers[0].text
        assert error_of(await client.get("/workspaces/other/policy")) == (404, "not_found")


async def test_what_is_taken_away_needs_no_body_and_comes_from_no_other_site(house: House) -> None:
    async with house.client() as client:
        made = (await client.post("/workspaces/demo/invitations", json={})).json()
        at = f"/workspaces/demo/invitations/{made['id']}"
        foreign = await client.delete(at, headers={"origin": "http://evil.example"})
        assert error_of(foreign) == (403, "forbidden")
        assert (await client.delete(at, headers={"origin": ORIGIN})).status_code == 200
