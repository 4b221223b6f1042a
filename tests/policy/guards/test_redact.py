"""What is masked is gone, what is blocked does not pass, what is noted stays, and nothing else changes."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portkey_mcp.errors import Refused
from portkey_mcp.policy.guards import redact as module
from portkey_mcp.policy.guards.redact import MOST_FOUND, MOST_READ, MOST_SEARCHED, Redacted, redact
from portkey_mcp.policy.guards.regex import compile_own
from portkey_mcp.policy.parts import Redaction
from portkey_mcp.wire import DEEPEST, Raw, dumps, loads

GITHUB = "gh" + "p_" + "a1B2" * 9
CARD = "4111 1111 1111 1111"


def rule(**members: Any) -> Redaction:
    return Redaction.model_validate(members)


EMAIL, SECRETS, CARDS = rule(find="email"), rule(find="secrets"), rule(find="card")
ALL = tuple(rule(find=name) for name in ("secrets", "jwt", "pem", "email", "card", "iban", "phone"))


def masked(text: str, *redactions: Redaction) -> str:
    made = redact(redactions, text, "result").value
    assert isinstance(made, str)
    return made


@pytest.mark.parametrize(
    ("text", "redactions", "expected"),
    [
        ("Ask ada@example.com.", [EMAIL], "Ask [email removed]."),
        ("a@b.de, c@d.de", [EMAIL], "[email removed], [email removed]"),
        (f"token {GITHUB}", [SECRETS], "token [GitHub token removed]"),
        (f"token {GITHUB}", [rule(find="secrets", name="our keys")], "token [our keys removed]"),
        ("TICKET-42 é TICKET-7", [rule(pattern=r"TICKET-\d+")], "[pattern removed] é [pattern removed]"),
        ("TICKET-42", [rule(pattern=r"TICKET-\d+", name="ticket")], "[ticket removed]"),
        ("postgres://ada:pw1@db.example.com/x", [SECRETS], "postgres://ada:[password removed]@db.example.com/x"),
        ("postgres://ada:pw1@db.example.com/x", [SECRETS, EMAIL], "postgres://ada:[email removed]/x"),
        (f"{CARD} a@b.de", [EMAIL, CARDS], "[card removed] [email removed]"),
        ("\ud800 x1 \udfff x2", [rule(pattern=r"x\d")], "\ud800 [pattern removed] \udfff [pattern removed]"),
        ("\ud800 ada@example.com", [EMAIL], "\ud800 [email removed]"),
        ("a b", [rule(pattern=r"\b")], "a b"),
    ],
)
def test_what_is_found_is_replaced_by_what_it_was(text: str, redactions: list[Redaction], expected: str) -> None:
    assert masked(text, *redactions) == expected


def test_every_text_of_a_result_is_searched_and_base64_is_not() -> None:
    found = "ada@example.com"
    payload = "ada" * 20
    result = {
        "content": [
            {"type": "text", "text": found},
            {"type": "text", "text": json.dumps({"to": found})},
            {"type": "resource", "resource": {"uri": "x:y", "text": found}},
            {"type": "image", "mimeType": "image/png", "data": payload},
        ],
        "structuredContent": {"people": [{"mail": found}], found: 1},
        "messages": [{"role": "user", "content": {"type": "text", "text": found}}],
        "contents": [{"uri": "x:y", "text": found}, {"uri": "x:z", "mimeType": "a/b", "blob": payload}],
        "_meta": {"who": found},
        "isError": False,
    }
    done = redact((EMAIL, rule(pattern="adaada")), result, "result")
    text = json.dumps(done.value)
    assert found not in text
    assert text.count("[email removed]") == 8  # one is the name of a member
    assert text.count(payload) == 2
    assert done.found == ("email",)


CARD_NUMBER = 4111111111111111


def test_numbers_are_searched_by_their_digits_and_become_the_marker() -> None:
    result = {
        "structuredContent": {"card": CARD_NUMBER, "as": [float(CARD_NUMBER)], "phone": 491701234567, "n": 1234567}
    }
    done = redact(ALL, result, "result")
    assert done.value["structuredContent"] == {
        "card": "[card removed]",
        "as": ["[card removed]"],
        "phone": "[phone removed]",
        "n": 1234567,
    }
    assert (
        redact((rule(find="card", **{"in": "both"}),), {"n": CARD_NUMBER}, "arguments").value["n"] == "[card removed]"
    )
    with pytest.raises(Refused):
        redact((rule(find="card", do="block"),), result, "result")


def test_names_in_results_are_searched_and_those_that_become_alike_are_kept_apart() -> None:
    people = {"a@b.de": 1, "x": 2, "c@d.de": 3}
    done = redact((EMAIL,), {"structuredContent": people}, "result")
    assert done.value["structuredContent"] == {"[email removed]": 1, "x": 2, "[email removed] (2)": 3}
    assert redact((EMAIL,), done.value, "result").value is done.value
    with pytest.raises(Refused):
        redact((rule(find="email", do="block"),), {"structuredContent": people}, "result")
    in_both = rule(find="email", **{"in": "both"})
    assert redact((in_both,), people, "arguments").value is people


def test_a_name_that_mcp_gives_is_nobodys_data() -> None:
    result = {"content": [{"type": "text", "text": "text", "size": 5}], "isError": False}
    made = redact((rule(pattern="^(text|content|type|isError|5)$"),), result, "result").value
    assert made == {
        "content": [{"type": "[pattern removed]", "text": "[pattern removed]", "size": 5}],
        "isError": False,
    }


@pytest.mark.parametrize("where", ["arguments", "result"])
def test_what_looks_like_a_payload_is_searched_where_a_caller_or_a_server_says_what_it_likes(where: Any) -> None:
    block = {"type": "image", "mimeType": "image/png", "data": "AKIA" + "ABCDEFGHIJ234567"}
    secrets = rule(find="secrets", **{"in": "both"})
    made = redact((secrets,), {"structuredContent": {"content": [block]}}, where).value
    assert made["structuredContent"]["content"][0]["data"] == "[AWS access key removed]"


LONG = "x" * MOST_SEARCHED


def test_text_that_is_too_much_to_search_is_left_out_of_a_result_and_the_rest_is_searched() -> None:
    result = {"content": [{"type": "text", "text": LONG}, {"type": "text", "text": "a@b.de"}]}
    done = redact((EMAIL,), result, "result")
    left_out = f"[text of {MOST_SEARCHED:,} bytes not searched and left out]"
    assert [block["text"] for block in done.value["content"]] == [left_out, "[email removed]"]
    assert done.found == ("email", "unsearched")
    assert redact((EMAIL, rule(pattern=r"\d")), done.value, "result").value["content"][0]["text"] == left_out


def test_text_that_is_too_much_to_search_is_only_noted_where_finds_are() -> None:
    value = {"text": LONG, "to": "a@b.de"}
    done = redact((rule(find="email", do="log"),), value, "result")
    assert done == Redacted(value, ("email", "unsearched"))


@pytest.mark.parametrize(
    ("do", "where", "sent"), [("block", "result", True), ("block", "arguments", False), ("mask", "arguments", False)]
)
def test_text_that_is_too_much_to_search_does_not_pass(do: str, where: Any, sent: bool) -> None:
    with pytest.raises(Refused) as refused:
        redact((rule(find="email", do=do, **{"in": "both"}),), {"a": "b", "text": LONG}, where)
    assert (refused.value.reason, refused.value.sent) == ("content", sent)
    assert refused.value.data == {"found": "unsearched", "in": where}
    assert "(about 1,048,576 bytes)" in refused.value.text


def test_a_value_of_very_many_texts_is_refused_before_all_were_looked_at() -> None:
    few = ["a@b.de"] * 30_000
    assert set(redact((EMAIL,), few, "result").value) == {
        "[email removed]",
        "[text of 6 bytes not searched and left out]",
    }
    with pytest.raises(Refused, match="more text than this gateway can search"):
        redact((EMAIL,), few * 20, "result")
    short = ["a@b"] * 200_000
    assert redact((EMAIL,), short, "result").value is short


class Counting:
    """A text searched by an own pattern, whose searches are counted as they are made."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.read = 0
        monkeypatch.setattr(module, "compile_own", lambda text: self)
        self._compile = compile_own
        self.pattern = ""

    def finditer(self, text: str) -> Any:
        for found in self._compile(self.pattern).finditer(text):
            self.read += len(text) - found.start()
            yield found


def test_a_pattern_that_reads_to_the_end_each_time_reads_so_often_only(monkeypatch: pytest.MonkeyPatch) -> None:
    counting = Counting(monkeypatch)
    counting.pattern = "(?s)a(.*b)?"
    text = "a" * (MOST_SEARCHED - 100)
    done = redact((rule(pattern=counting.pattern),), [text], "result")
    assert MOST_READ // 2 < counting.read < 2 * MOST_READ
    assert done.value == ["[pattern removed]"]


def test_a_pattern_that_reads_no_further_than_it_finds_may_find_more() -> None:
    text = "E12345, " * 9000
    assert masked(text, rule(pattern=r"E[0-9]{5}")).count("removed]") == 9000
    many = "TICKET-7, " * 2000
    assert masked(many, rule(pattern=r"TICKET-\d+")).count("removed]") == 2000


@pytest.mark.parametrize("name", ["email", "card", "iban", "secrets"])
def test_of_what_is_found_very_often_the_rest_of_the_text_is_one(name: str) -> None:
    one = {"email": "a@b.de ", "card": f"{CARD}, ", "iban": "DE89370400440532013000 ", "secrets": "://a:b@c "}[name]
    made = masked(one * (MOST_FOUND + 50) + "the end", rule(find=name))
    assert made.count(" removed]") == MOST_FOUND + 1
    assert made.endswith(" removed]")


def test_finds_of_all_texts_of_a_value_count_together() -> None:
    texts = ["a@b.de " * 150 + "end"] * (MOST_FOUND // 100)
    made = redact((EMAIL,), texts, "result").value
    assert made[0].count(" removed]") == 150
    assert made[-1] == "[email removed]"


def test_a_secret_where_base64_should_be_is_found() -> None:
    block = {"type": "image", "mimeType": "text/plain", "data": GITHUB}
    assert redact((SECRETS,), block, "result").value["data"] == "[GitHub token removed]"


def test_what_has_nothing_to_redact_is_the_same_object() -> None:
    result = Raw(
        {"content": [{"type": "text", "text": "nothing here"}]}, b'{"content":[{"type":"text","text":"nothing here"}]}'
    )
    for redactions in ((), ALL, (*ALL, rule(pattern="zzz"))):
        done = redact(redactions, result, "result")
        assert done.value is result
        assert done.found == ()


def test_a_value_that_changes_is_not_touched_and_loses_its_old_bytes() -> None:
    data = b'{"content":[{"type":"text","text":"a@b.de"}]}'
    result = Raw(loads(data), data)
    done = redact((EMAIL,), result, "result")
    assert dumps(done.value) == data.replace(b"a@b.de", b"[email removed]")
    assert dumps(dict(result)) == data


def test_what_is_only_logged_stays_and_is_reported() -> None:
    value = {"text": f"a@b.de {CARD}"}
    done = redact(
        (rule(find="email", do="log"), rule(find="iban", do="log"), rule(find="card", do="log")), value, "result"
    )
    assert done == Redacted(value, ("email", "card"))
    assert done.value is value


@pytest.mark.parametrize("where", ["arguments", "result"])
def test_what_is_blocked_is_named_and_not_quoted(where: Any) -> None:
    with pytest.raises(Refused) as refused:
        redact((rule(find="secrets", do="block", **{"in": "both"}),), {"a": [f"x {GITHUB}"]}, where)
    said = refused.value
    assert said.reason == "content"
    assert said.sent is (where == "result")
    assert "secrets (GitHub token)" in said.text
    assert GITHUB not in said.text + str(said.data)
    assert said.data == {"found": "secrets", "in": where}


@pytest.mark.parametrize(
    ("in_", "where", "searched"),
    [
        ("result", "result", True),
        ("result", "arguments", False),
        ("arguments", "arguments", True),
        ("arguments", "result", False),
        ("both", "arguments", True),
        ("both", "result", True),
    ],
)
def test_a_redaction_is_for_its_direction(in_: str, where: Any, searched: bool) -> None:
    done = redact((rule(find="email", **{"in": in_}),), {"to": "a@b.de"}, where)
    assert (done.value == {"to": "[email removed]"}) is searched


def test_overlapping_finds_become_one_that_the_first_names() -> None:
    first, second = rule(pattern="abcd", name="first"), rule(pattern="cdefgh", name="second")
    assert masked("-abcdefgh-", second, first) == "-[first removed]-"
    assert masked("-abcd-", rule(pattern="ab", name="short"), rule(pattern="abc", name="long")) == "-[long removed]d-"


def test_a_marker_is_no_find_but_what_surrounds_it_may_be() -> None:
    anything = rule(pattern=r"\w+")
    once = masked("one two", anything)
    assert once == "[pattern removed] [pattern removed]"
    assert masked(once, anything) == once
    assert masked("key: [email removed] rest", rule(pattern="key: .*", name="line")) == "[line removed]"
    assert masked("[email removed] rest", rule(pattern=r"removed\] rest", name="tail")) == "[tail removed]"


TEXTS = st.lists(
    st.sampled_from(
        ["a@b.de", "@", CARD, "4", " ", GITHUB, "+49 30 1234567", "1", "x", ".", "://u:p@", "[email removed]"]
    )
    | st.text(max_size=3),
    max_size=12,
).map("".join)


@given(TEXTS)
def test_to_redact_twice_is_to_redact_once(text: str) -> None:
    once = masked(text, *ALL)
    assert masked(once, *ALL) == once


@given(TEXTS, st.lists(TEXTS, max_size=3))
def test_one_text_among_many_is_redacted_as_if_it_were_alone(text: str, others: list[str]) -> None:
    done = redact(ALL, {"all": [*others, text]}, "result")
    assert done.value["all"] == [masked(one, *ALL) for one in [*others, text]]


def test_after_very_many_finds_the_rest_is_one() -> None:
    text = "x." * (MOST_FOUND + 5)
    made = masked(text, rule(pattern="x"))
    assert made.count("[pattern removed]") == MOST_FOUND + 1
    assert "x" not in made


def test_deep_values_are_searched_to_the_bottom() -> None:
    value: Any = "a@b.de"
    for _ in range(DEEPEST):
        value = [value]
    assert b"[email removed]" in dumps(redact((EMAIL,), value, "result").value)
