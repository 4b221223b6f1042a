"""Answers of the OAuth server's endpoints."""

import json

import pytest

from portkey_mcp.errors import StoreDown
from portkey_mcp.oauth.answers import nothing_here, preflight, public, refused, told
from portkey_mcp.oauth.refusal import OAuthRefusal, invalid_client


def test_a17_nobody_keeps_what_a_client_is_told() -> None:
    answer = told({"access_token": "secret"})

    assert (answer.headers["cache-control"], answer.headers["pragma"]) == ("no-store", "no-cache")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["access-control-allow-origin"] == "*"


def test_metadata_may_be_kept_for_a_while() -> None:
    assert public({"issuer": "x"}).headers["cache-control"] == "public, max-age=300"


def test_k4_what_does_not_exist_is_json_and_never_a_page() -> None:
    answer = nothing_here()

    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/json")
    assert json.loads(answer.body)["error"] == "not_found"


def test_scripts_may_ask_with_the_headers_that_mcp_clients_send() -> None:
    headers = preflight().headers

    assert "MCP-Protocol-Version" in headers["access-control-allow-headers"]
    assert "access-control-allow-credentials" not in headers


@pytest.mark.parametrize("basic", [True, False])
def test_a_refused_client_is_asked_for_basic_only_when_it_used_it(basic: bool) -> None:
    answer = refused(invalid_client("unknown"), basic=basic)

    assert answer.status_code == 401
    assert ("www-authenticate" in answer.headers) == basic


def test_other_refusals_ask_for_nothing() -> None:
    answer = refused(OAuthRefusal("invalid_grant", "over"), basic=True)

    assert (answer.status_code, "www-authenticate" in answer.headers) == (400, False)
    assert json.loads(answer.body) == {"error": "invalid_grant", "error_description": "over"}


def test_who_comes_too_often_is_told_when_to_come_again() -> None:
    answer = refused(OAuthRefusal("temporarily_unavailable", "too many", status=429, retry_after=17))

    assert (answer.status_code, answer.headers["retry-after"]) == (429, "17")


def test_a_store_that_is_down_is_no_refusal_and_tells_nothing_of_itself() -> None:
    answer = refused(StoreDown("disk I/O error at secret.db"))

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert b"secret.db" not in answer.body
