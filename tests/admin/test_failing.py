"""What is said of each way to fail."""

import sqlite3
from collections.abc import Mapping
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from portkey_mcp.admin.failing import NotJson, TooLarge, failure, places
from portkey_mcp.errors import (
    Conflict,
    Forbidden,
    Mistake,
    Mistakes,
    NotFound,
    Refused,
    StoreDown,
    Unauthenticated,
    UpstreamDown,
)
from portkey_mcp.model import Principal
from portkey_mcp.wire import loads
from tests.admin.conftest import House, error_of

pytestmark = pytest.mark.anyio

TWO = Mistakes([Mistake("no such word", file="policy", line=3, column=5), Mistake("too long", file="policy")])


def said(error: Exception) -> tuple[int, Any]:
    answer = failure(error)
    assert answer.headers["cache-control"] == "no-store"
    return answer.status_code, loads(bytes(answer.body))["error"]


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (Unauthenticated("Who are you?"), 401, "unauthenticated"),
        (Forbidden("Not for you."), 403, "forbidden"),
        (NotFound("Nothing."), 404, "not_found"),
        (Conflict("changed meanwhile"), 409, "conflict"),
        (Refused("approval", "Decided already."), 409, "conflict"),
        (TooLarge("Too much."), 413, "too_large"),
        (NotJson("Send JSON."), 415, "unsupported_media_type"),
        (Mistake("no such version"), 422, "invalid"),
    ],
)
async def test_every_refusal_has_its_status_its_code_and_its_own_words(
    error: Exception, status: int, code: str
) -> None:
    assert said(error) == (status, {"code": code, "message": str(error)})


async def test_the_mistakes_of_a_document_are_told_one_by_one_with_their_places() -> None:
    status, error = said(TWO)
    assert (status, error["message"]) == (422, "There are 2 mistakes; the first: policy:3:5: no such word")
    assert error["mistakes"] == [
        {"line": 3, "column": 5, "message": "no such word"},
        {"line": 1, "column": 1, "message": "too long"},
    ]
    assert places(Mistake("about no text")) == []


async def test_a_locked_database_is_a_store_that_is_down_and_its_statement_is_not_told() -> None:
    error = OperationalError("INSERT INTO t VALUES (?)", ("hunter2",), sqlite3.OperationalError("locked"))
    answer = failure(error)
    assert answer.status_code == 503
    assert b"hunter2" not in bytes(answer.body)
    assert b"INSERT" not in bytes(answer.body)


async def test_what_nobody_raises_on_purpose_is_not_dressed_up() -> None:
    for error in (ZeroDivisionError(), UpstreamDown("files", "gone")):
        with pytest.raises(type(error)):
            failure(error)


async def test_a_store_that_is_down_says_so_and_when_to_come_again(house: House) -> None:
    async def down(_: Mapping[str, str]) -> Principal:
        raise StoreDown("disk full at secret place")

    async with house.client(None, authenticate=down) as client:
        answer = await client.get("/workspaces/demo/policy")
    assert error_of(answer) == (503, "unavailable")
    assert answer.headers["retry-after"] == "5"
    assert "secret" not in answer.text
