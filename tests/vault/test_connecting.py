"""Connecting an account against a real authorization server; begin and finish are always those of two processes."""

import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from portkey_mcp.errors import Mistake, NotFetched
from portkey_mcp.model import Principal
from portkey_mcp.proof import AccountAuth, Authority, OAuthClient
from portkey_mcp.storage.database import FILE
from portkey_mcp.vault.answering import NotConnected
from portkey_mcp.vault.connection import Place
from portkey_mcp.vault.entering import NotEntered
from portkey_mcp.vault.flows import LIFE
from tests.vault.connecting_house import (
    ACCESS,
    ADA,
    BASE,
    BOB,
    CODE,
    EVE,
    REFRESH,
    ROBOT,
    SECRETS,
    House,
    challenge_of,
    house_at,
)

pytestmark = pytest.mark.anyio

ELSEWHERE = "https://other.example"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with house_at(tmp_path) as made:
        yield made


async def refused(house: House, who: Principal | None, asked: dict[str, str], **params: str | None) -> NotConnected:
    """Why finishing failed; nothing was asked of the token endpoint, and nothing is connected."""
    before = len(house.asked_token())
    with pytest.raises(NotConnected) as error:
        await house.finished(who, asked, **params)
    assert len(house.asked_token()) == before
    assert await house.connecting().connections.of_workspace("demo") == []
    return error.value


async def test_an_account_is_connected_at_another_process_than_where_it_was_begun(house: House) -> None:
    asked = await house.begun(onto="/authorize?x=1")
    finished = await house.finished(ADA, asked)
    connection, credential = finished.connection, finished.connection.credential

    assert finished.onto == "/authorize?x=1"
    assert connection.place == Place("demo", "linear", ADA.id)
    assert (connection.state, connection.connected_by) == ("good", ADA.id)
    assert credential.tokens is not None
    assert (credential.tokens.access, credential.tokens.refresh) == (ACCESS, REFRESH)
    assert (credential.issuer, credential.scopes) == (house.outside.origin, ("read", "write"))
    assert await house.connecting().connected(house.server(), ADA) == (connection, True)


async def test_a22_a23_the_request_has_pkce_state_and_resource(house: House) -> None:
    asked = await house.begun()
    await house.finished(ADA, asked)
    [token] = house.asked_token()

    assert asked["response_type"] == "code"
    assert asked["redirect_uri"] == token.form["redirect_uri"] == f"{BASE}/oauth/callback"
    assert asked["resource"] == token.form["resource"] == house.outside.url
    assert asked["code_challenge_method"] == "S256"
    assert asked["code_challenge"] == challenge_of(token.form["code_verifier"])
    assert asked["scope"] == "read write"
    assert (token.form["grant_type"], token.form["code"]) == ("authorization_code", CODE)
    assert "prompt" not in asked


async def test_a23_a_server_that_does_not_say_that_it_knows_pkce_is_not_used(house: House) -> None:
    house.serve(code_challenge_methods_supported=None)
    with pytest.raises(Mistake, match="PKCE"):
        await house.begun()


@pytest.mark.parametrize(
    "endpoint", ["javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "http://203.0.113.7/a"]
)
async def test_b6_nobody_is_sent_to_what_is_no_https_url(house: House, endpoint: str) -> None:
    house.serve(authorization_endpoint=endpoint)
    with pytest.raises((NotFetched, Mistake)):
        await house.begun()


async def test_b1_what_an_admin_adds_never_takes_the_place_of_what_makes_the_request_safe(house: House) -> None:
    extra = {"access_type": "offline", "prompt": "consent", "state": "mine", "redirect_uri": ELSEWHERE, "Scope": "all"}
    house.change("linear", auth=AccountAuth(authorize_params=extra))
    house.serve(authorization_endpoint=f"{house.outside.origin}/authorize?tenant=7&client_id=theirs&resource=x")
    asked = await house.begun()

    assert (asked["access_type"], asked["prompt"], asked["tenant"]) == ("offline", "consent", "7")
    assert asked["redirect_uri"] == f"{BASE}/oauth/callback"
    assert (asked["client_id"], asked["resource"]) == ("client-1", house.outside.url)
    assert "Scope" not in asked
    assert (await house.finished(ADA, asked)).connection.state == "good"


async def test_a_resource_is_left_out_where_the_admin_says_so(house: House) -> None:
    house.change("linear", auth=AccountAuth(send_resource=False))
    asked = await house.begun()
    await house.finished(ADA, asked)

    assert "resource" not in asked
    assert "resource" not in house.asked_token()[0].form


async def test_a26_what_the_server_asked_for_is_asked_for_beside_what_the_account_has(house: House) -> None:
    house.said["scope"] = "read"
    await house.connected()
    await house.connecting().connections.want(Place("demo", "linear", ADA.id), ["admin"])
    asked = await house.begun()

    assert asked["scope"].split() == ["read", "write", "admin"]
    house.said["scope"] = "read admin"
    connection = (await house.finished(ADA, asked)).connection
    assert (connection.credential.scopes, connection.wanted) == (("read", "admin"), ())


async def test_a24_a_state_is_good_once(house: House) -> None:
    asked = await house.begun()
    await house.finished(ADA, asked)
    with pytest.raises(NotConnected, match="used already"):
        await house.finished(ADA, asked)
    assert len(house.asked_token()) == 1


async def test_a_state_that_nobody_made_or_that_is_old_is_good_for_nothing(house: House) -> None:
    await refused(house, ADA, {"state": "made-up"})
    asked = await house.begun()
    with pytest.raises(NotConnected):
        await house.connecting(lambda: datetime.now(UTC) + LIFE).finish(ADA, {"code": CODE, "state": asked["state"]})
    await refused(house, ADA, asked)
    with pytest.raises(NotConnected):
        await house.connecting().finish(ADA, {"code": CODE})


@pytest.mark.parametrize("who", [BOB, EVE, None])
async def test_a29_b4_another_person_cannot_finish_and_the_way_is_then_over(
    house: House, who: Principal | None
) -> None:
    """Login CSRF both ways: a victim with the attacker's answer, and an attacker with the victim's."""
    asked = await house.begun()

    assert "somebody else" in str(await refused(house, who, asked))
    await refused(house, ADA, asked)


@pytest.mark.parametrize(
    ("promised", "issuer"), [(True, None), (True, ELSEWHERE), (False, ELSEWHERE), (True, ""), (False, "")]
)
async def test_a24_an_answer_of_another_server_is_not_redeemed(
    house: House, promised: bool, issuer: str | None
) -> None:
    house.serve(authorization_response_iss_parameter_supported=promised)
    why = await refused(house, ADA, await house.begun(), iss=issuer)

    assert "does not come from" in str(why)
    assert why.place == Place("demo", "linear", ADA.id)


@pytest.mark.parametrize("promised", [True, False])
async def test_a24_an_answer_of_the_very_server_is(house: House, promised: bool) -> None:
    house.serve(authorization_response_iss_parameter_supported=promised)
    finished = await house.finished(ADA, await house.begun(), iss=house.outside.origin)
    assert finished.issuer == house.outside.origin


async def test_a24_the_words_of_another_server_are_not_shown(house: House) -> None:
    error = {"error": "access_denied", "error_description": "call 555", "code": None, "iss": ELSEWHERE}
    why = await refused(house, ADA, await house.begun(), **error)

    assert "555" not in str(why)
    assert "did not let" not in str(why)


async def test_an_error_is_told_in_words_and_nothing_is_redeemed_beside_it(house: House) -> None:
    denied = await refused(house, ADA, await house.begun(onto="/ui/"), error="access_denied", code=None)
    both = await refused(house, ADA, await house.begun(), error="server_error")
    nothing = await refused(house, ADA, await house.begun(), code=None)

    assert "did not let" in denied.text
    assert (denied.place, denied.onto) == (Place("demo", "linear", ADA.id), "/ui/")
    assert "Try again soon" in both.text
    assert "no code" in nothing.text


async def test_a_client_that_is_unknown_by_now_is_registered_anew(house: House) -> None:
    house.said = {"error": "invalid_client"}
    with pytest.raises(NotConnected, match="try again"):
        await house.connected()
    house.said = {}

    assert (await house.begun())["client_id"] == "client-2"


async def test_a_client_of_the_admins_that_is_not_taken_is_for_an_admin_to_look_at(house: House) -> None:
    house.change("linear", auth=AccountAuth(client=OAuthClient("ours", "wrong-secret")))
    house.said = {"error": "invalid_client"}
    with pytest.raises(NotConnected) as why:
        await house.connected()

    assert "client_secret" in why.value.hint
    assert "wrong-secret" not in f"{why.value.text} {why.value.hint}"


async def test_a_client_that_lacks_what_it_proves_itself_by_is_for_an_admin_to_look_at(house: House) -> None:
    house.change("linear", auth=AccountAuth(client=OAuthClient("ours", method="private_key_jwt")))
    with pytest.raises(NotConnected, match="try again") as why:
        await house.connected()

    assert "signing_algorithm" in why.value.hint
    assert house.asked_token() == []


async def test_what_cannot_be_reached_leaves_what_was_connected(house: House) -> None:
    before = await house.connected()
    asked = await house.begun()
    house.outside.answers["/token"] = lambda _: {"nonsense": True}
    with pytest.raises(NotConnected, match="try again"):
        await house.finished(ADA, asked)

    assert await house.connecting().connections.find(before.place) == before


async def test_one_account_for_all_is_connected_by_admins_only(house: House) -> None:
    connection = await house.connected(ADA, "wiki")
    assert connection.place == Place("demo", "wiki", "")
    assert (await house.connecting().connected(house.server("wiki"), BOB))[1]
    with pytest.raises(NotConnected, match="owner or admin"):
        await house.begun(BOB, "wiki")


async def test_who_is_no_admin_any_more_does_not_finish(house: House) -> None:
    asked = await house.begun(ADA, "wiki")
    await refused(house, replace(ADA, workspaces={"demo": "member"}), asked)


async def test_a_server_that_is_not_there_any_more_or_is_for_all_by_now_gets_no_account(house: House) -> None:
    shared, gone = await house.begun(), await house.begun()
    house.change("linear", auth=AccountAuth(sharing="workspace"))
    await refused(house, ADA, shared)
    house.change("linear", auth=AccountAuth(), enabled=False)
    await refused(house, ADA, gone)


async def test_a_service_account_begins_nothing(house: House) -> None:
    with pytest.raises(NotConnected, match="no browser"):
        await house.begun(ROBOT)
    assert "/register" not in house.outside.paths


async def test_looking_keeps_and_registers_nothing(house: House) -> None:
    connecting = house.connecting()
    prospect = await connecting.look(house.server(), ADA)

    assert prospect.host == house.outside.origin.removeprefix("http://")
    assert "/register" not in house.outside.paths
    house.serve(authorization_endpoint=f"{house.outside.origin}/other")
    assert (await connecting.look(house.server(), ADA)).digest != prospect.digest
    house.serve()
    assert (await connecting.look(house.server(), ADA)).digest == prospect.digest


async def test_a25_a_server_moved_elsewhere_is_not_told_to_have_an_account(house: House) -> None:
    await house.connected()
    house.change("linear", url="https://moved.example/mcp")
    assert not (await house.connecting().connected(house.server(), ADA))[1]


async def test_what_is_written_by_an_admin_is_used_without_metadata(house: House) -> None:
    origin = house.outside.origin
    authority = Authority("", f"{origin}/authorize", f"{origin}/token", f"{origin}/revoke")
    house.change("linear", auth=AccountAuth(client=OAuthClient("ours", "hush"), authority=authority))
    house.outside.answers = {path: one for path, one in house.outside.answers.items() if "well-known" not in path}
    finished = await house.finished(ADA, await house.begun(), iss="https://as.example")

    assert finished.connection.state == "good"


async def test_entered_headers_are_kept_for_the_person_and_the_url(house: House) -> None:
    connecting, server = house.connecting(), house.server("keys")
    connection = await connecting.enter(server, BOB, {"KEY": "k-1", "ORG": "acme"})

    assert connection.place == Place("demo", "keys", BOB.id)
    assert connection.credential.entered == {"KEY": "k-1", "ORG": "acme"}
    assert connection.credential.resource == house.outside.url
    assert (await house.connecting().connected(server, BOB)) == (connection, True)
    with pytest.raises(NotEntered):
        await connecting.enter(server, BOB, {"KEY": "k-2"})
    with pytest.raises(NotConnected):
        await connecting.enter(server, EVE, {"KEY": "k", "ORG": "o"})
    with pytest.raises(Mistake):
        await connecting.enter(house.server("linear"), BOB, {"KEY": "k"})


async def test_disconnecting_forgets_and_revokes_where_that_can_be_done(house: House) -> None:
    connection = await house.connected()
    ended = await house.connecting().disconnect(connection.place)

    assert ended is not None
    assert (ended.connection, ended.revoked) == (connection, True)
    told = [one.form for one in house.outside.heard if one.path == "/revoke"]
    assert [one["token"] for one in told] == [REFRESH, ACCESS]
    assert await house.connecting().connections.find(connection.place) is None
    assert await house.connecting().disconnect(connection.place) is None


async def test_disconnecting_says_what_could_not_be_revoked(house: House) -> None:
    connection = await house.connected()
    del house.outside.answers["/revoke"]
    ended = await house.connecting().disconnect(connection.place)
    house.serve(revocation_endpoint=None)
    again = await house.connecting().disconnect((await house.connected()).place)
    headers = await house.connecting().enter(house.server("keys"), ADA, {"KEY": "k", "ORG": "o"})
    entered = await house.connecting().disconnect(headers.place)

    assert [one.revoked for one in (ended, again, entered) if one] == [False, False, None]


async def test_a_person_is_led_to_the_page_where_an_app_needs_their_account(house: House) -> None:
    connecting = house.connecting()
    steps = {reach: await connecting.next_step(BOB, reach) for reach in ("demo/linear", "demo/keys", "demo/wiki")}
    assert steps == {"demo/linear": "/connect/demo/linear", "demo/keys": "/connect/demo/keys", "demo/wiki": ""}
    assert await connecting.next_step(ADA, "demo/wiki") == "/connect/demo/wiki"
    for nothing in ("demo", "demo/open", "demo/few", "demo/none", "nowhere/linear", ""):
        assert await connecting.next_step(ADA, nothing) == ""

    connection = await house.connected(BOB)
    assert await connecting.next_step(BOB, "demo/linear") == ""
    await connecting.connections.end(connection.place, connection.generation, "no more")
    assert await connecting.next_step(BOB, "demo/linear") == "/connect/demo/linear"


async def test_no_code_state_verifier_or_token_is_logged_or_lies_open_in_the_database(
    house: House, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    asked = await house.begun()
    await house.finished(ADA, asked)
    house.said = {"error": "invalid_grant", "error_description": f"bad {CODE}"}
    with pytest.raises(NotConnected) as why:
        await house.connected()
    with pytest.raises(NotConnected):
        await house.finished(BOB, await house.begun())
    files = b"".join(path.read_bytes() for path in tmp_path.glob(f"{FILE}*"))  # noqa: ASYNC240
    secrets: list[Any] = [*SECRETS, asked["state"], house.asked_token()[0].form["code_verifier"], "hush"]

    for secret in secrets:
        assert secret not in caplog.text.replace(" ", "")
        assert secret not in f"{why.value.text}{why.value.hint}{why.value!r}"
        assert secret.encode() not in files
