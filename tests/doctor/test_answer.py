"""An answer as the checks see it."""

import pytest

from portkey_mcp.doctor.answer import Answer, text, texts


@pytest.mark.parametrize(
    ("body", "document"),
    [
        (b'{"a": 1}', {"a": 1}),
        (b"[1]", None),
        (b"", None),
        (b"<html>", None),
        (b'{"a": 1, "a": 2}', None),
        (b"[" * 100_000, None),
        (b"\xff\xfe", None),
    ],
)
def test_a_document_is_a_json_object_and_nothing_else(body: bytes, document: object) -> None:
    assert Answer("u", 200, body=body).document == document


def test_what_was_cut_is_no_document() -> None:
    assert Answer("u", 200, body=b"{}", cut=True).document is None


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer("u", failure="no answer within 10 seconds"), "no answer within 10 seconds"),
        (Answer("u", 404), "404 Not Found"),
        (Answer("u", 599), "599"),
        (Answer("u", 302, {"location": "https://x/\x1b"}), "302 Found to https://x/\N{REPLACEMENT CHARACTER}"),
        (Answer("u", 403, {"content-type": "text/html; charset=utf-8"}, b"Nope"), "403 Forbidden with a web page"),
        (Answer("u", 200, {}, b"\n <!DOCTYPE html>"), "200 OK with a web page"),
        (Answer("u", 400, {}, b'{"error": "invalid_grant"}'), "400 Bad Request (invalid_grant)"),
        (Answer("u", 200, {}, b'{"error": {"code": -1, "message": "no"}}'), "200 OK (no)"),
        (Answer("u", 400, {}, b'{"error": [1]}'), "400 Bad Request"),
    ],
)
def test_it_is_said_in_a_few_words(answer: Answer, said: str) -> None:
    assert answer.said == said


def test_only_a_redirect_has_a_location() -> None:
    assert Answer("u", 201, {"location": "https://x"}).location == ""


def test_members_of_the_wrong_kind_are_as_if_they_were_missing() -> None:
    document = {"a": 1, "b": "x", "c": ["x", 1, None], "d": "x"}

    assert (text(document, "a"), text(document, "b"), text(document, "z")) == ("", "x", "")
    assert (texts(document, "c"), texts(document, "d"), texts(document, "z")) == (["x"], None, None)
