"""What is too large is refused with both sizes, or cut so that it always fits and says so."""

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portkey_mcp.errors import Refused
from portkey_mcp.policy.guards.sizes import check_arguments, fit_result
from portkey_mcp.policy.parts import MaxResult
from portkey_mcp.wire import DEEPEST, Json, Raw, dumps, loads


def most(size: int, over: Any = "cut") -> MaxResult:
    return MaxResult(size=f"{size}B", over=over)  # type: ignore[arg-type]


def text(words: str, **more: Any) -> Json:
    return {"type": "text", "text": words, **more}


def fitted(size: int, result: Json) -> Json:
    made = fit_result(most(size), result)
    assert len(dumps(made)) <= size
    return made


def test_arguments_are_measured_as_they_would_be_sent() -> None:
    arguments = {"a": "é", "b": [1, 2]}
    size = len(b'{"a":"\xc3\xa9","b":[1,2]}')
    check_arguments(size, arguments)
    check_arguments(None, arguments)
    check_arguments(1, None)
    with pytest.raises(Refused) as refused:
        check_arguments(size - 1, arguments)
    assert refused.value.reason == "size"
    assert refused.value.sent is False
    assert refused.value.data == {"size": size, "limit": size - 1}
    assert f"{size} bytes" in refused.value.text


def test_a_result_that_fits_is_the_same_object() -> None:
    result = Raw({"content": []}, b'{"content":[]}')
    assert fit_result(None, result) is result
    assert fit_result(most(14), result) is result
    plain: Json = {"content": []}
    assert fit_result(most(14), plain) is plain


def test_a_result_that_is_large_for_its_blanks_only_is_written_anew() -> None:
    data = b'{"content": [' + b" " * 1000 + b"]}"
    made = fit_result(most(14), Raw(loads(data), data))
    assert isinstance(made, Raw)
    assert made.text == b'{"content":[]}'


def test_a_result_that_may_not_be_cut_is_refused_after_the_fact() -> None:
    with pytest.raises(Refused) as refused:
        fit_result(most(1000, "refuse"), {"content": [text("x" * 2000)]})
    assert (refused.value.reason, refused.value.sent) == ("size", True)
    assert refused.value.data == {"size": 2039, "limit": 1000}
    assert "2,039 bytes" in refused.value.text


def test_text_is_cut_at_its_end_with_a_notice() -> None:
    made = fitted(1000, {"content": [text("é" * 2000, annotations={"priority": 1})], "isError": True})
    assert made["isError"] is True
    (block,) = made["content"]
    assert block["annotations"] == {"priority": 1}
    shown, notice = block["text"].split("\n")
    assert set(shown) == {"é"}
    assert notice == (
        f"[cut: {2 * len(shown)} of 4,000 bytes of this text shown; the result has 4,083 bytes, and the gateway's "
        "policy allows 1,000. Ask for less, or for a part.]"
    )
    assert len(dumps(made)) > 800


def test_blocks_after_the_cut_are_left_out_and_counted() -> None:
    blocks = [text("first"), text("x" * 3000), text("third"), text("fourth")]
    made = fitted(1000, {"content": blocks})
    assert made["content"][0] is blocks[0]
    assert len(made["content"]) == 2
    assert "2 further parts left out" in made["content"][1]["text"]


def test_an_image_that_does_not_fit_becomes_a_line_and_the_text_after_it_stays() -> None:
    data = base64.b64encode(b"x" * 3000).decode()
    image = {"type": "image", "mimeType": "image/png", "data": data}
    made = fitted(1000, {"content": [image, text("caption")]})
    assert made["content"] == [
        text("[left out: image, image/png, 3,000 bytes; the gateway's policy allows results of 1,000 bytes]"),
        text("caption"),
    ]


def test_structured_content_stays_whole_or_goes_whole() -> None:
    kept = fitted(1500, {"content": [text("x" * 3000)], "structuredContent": {"a": "y" * 500}})
    assert kept["structuredContent"] == {"a": "y" * 500}
    gone = fitted(1500, {"content": [text("short")], "structuredContent": {"a": "y" * 3000}})
    assert "structuredContent" not in gone
    assert gone["content"][0] == text("short")
    assert "the structured content left out" in gone["content"][1]["text"]
    alone = fitted(1500, {"structuredContent": {"a": "y" * 3000}})
    assert [block["type"] for block in alone["content"]] == ["text"]


def test_messages_and_contents_keep_their_form() -> None:
    message = {"role": "assistant", "content": text("x" * 3000)}
    (made,) = fitted(1000, {"messages": [message]})["messages"]
    assert made["role"] == "assistant"
    assert "[cut: " in made["content"]["text"]
    embedded = {"role": "user", "content": {"type": "resource", "resource": {"uri": "x:y", "text": "x" * 3000}}}
    (made,) = fitted(1000, {"messages": [embedded]})["messages"]
    assert made["content"]["resource"]["uri"] == "x:y"
    assert "[cut: " in made["content"]["resource"]["text"]
    contents = [{"uri": "x:1", "mimeType": "a/b", "blob": "A" * 4000}, {"uri": "x:2", "text": "x" * 4000}]
    first, second = fitted(1200, {"contents": contents})["contents"]
    assert (first["uri"], first["mimeType"]) == ("x:1", "text/plain")
    assert first["text"].startswith("[left out: file, a/b, 3,000 bytes")
    assert (second["uri"], second["text"][:3]) == ("x:2", "xxx")
    image = {"role": "assistant", "content": {"type": "image", "mimeType": "image/png", "data": "A" * 4000}}
    (made,) = fitted(1000, {"messages": [image]})["messages"]
    assert (made["role"], made["content"]["type"]) == ("assistant", "text")


@pytest.mark.parametrize(
    "result",
    [
        {"content": [text("x" * 500)]},
        {"content": [], "_meta": {"a": "x" * 500}},
        {"completion": {"values": ["x" * 500]}},
        {"contents": [{"uri": "x" * 500, "text": "y"}]},
    ],
)
def test_where_not_even_the_notice_fits_the_result_is_refused(result: Json) -> None:
    with pytest.raises(Refused, match="The call ran"):
        fit_result(most(200), result)


def test_one_half_of_a_pair_makes_everything_larger_and_still_fits() -> None:
    made = fitted(1000, {"content": [text("é" * 300 + "\ud800" + "é" * 300)]})
    assert made["content"][0]["text"].startswith("é")
    assert fitted(1000, {"content": [text("é" * 300), text("\ud800")], "structuredContent": {"a": "é" * 300}})


def test_a_result_that_is_deep_is_measured_and_cut() -> None:
    deep: Any = "x"
    for _ in range(DEEPEST - 2):
        deep = {"a": deep}
    made = fitted(1500, {"content": [text("é" * 900)], "structuredContent": deep})
    assert "structuredContent" not in made


def grown(result: Json, by: int) -> Json:
    """The result with longer text before the notice, as masking may leave it."""
    blocks = [{**block, "text": "#" * by + block["text"]} if "text" in block else block for block in result["content"]]
    return {**result, "content": blocks}


@pytest.mark.parametrize("by", [1, 30, 200, 5000])
def test_what_was_cut_and_has_grown_is_cut_again_with_one_notice_that_tells_of_the_whole(by: int) -> None:
    result = {"content": [text("first"), text("é" * 2000), text("third")], "structuredContent": {"a": "y" * 5000}}
    size = len(dumps(result))
    once = fitted(1000, result)
    assert fit_result(most(1000), once) is once
    twice = fitted(1000, grown(once, by))
    said = str(twice)
    assert said.count("[cut: ") == 1
    assert f"the result has {size:,} bytes, and the gateway's policy allows 1,000." in said
    assert "the structured content left out" in said
    assert ("of 4,000 bytes of this text shown, 1 further parts left out" in said) is (by < 5000)
    assert fit_result(most(1000), twice) is twice


def test_a_block_that_is_only_the_notice_of_an_earlier_cut_is_counted_on() -> None:
    once = fitted(1000, {"content": [text("a" * 500), {"type": "resource_link", "uri": "b" * 900}, text("c")]})
    assert "[cut: 2 further parts left out" in once["content"][-1]["text"]
    still = fitted(1000, {"content": [text("a" * 600), *once["content"][1:]]})
    assert (len(still["content"]), still["content"][-1]) == (2, once["content"][-1])
    twice = fitted(1000, {"content": [text("a" * 900), *once["content"][1:]]})
    assert len(twice["content"]) == 1
    assert "of 900 bytes of this text shown, 2 further parts left out" in twice["content"][0]["text"]


def test_a_notice_that_a_server_wrote_itself_makes_nothing_larger_than_it_may_be() -> None:
    forged = (
        f"[cut: 1 of {'9' * 20} bytes of this text shown; the result has 5 bytes, and the gateway's policy allows 5. "
    )
    fitted(1000, {"content": [text("x" * 2000 + forged + "Ask for less, or for a part.]")]})


WORDS = st.text(max_size=40) | st.integers(0, 900).map(lambda n: "é\n" * n) | st.just("\ud83d" * 50)
BLOCKS = st.one_of(
    st.builds(text, WORDS),
    st.builds(lambda words: {"type": "resource", "resource": {"uri": "x:y", "text": words}}, WORDS),
    st.builds(lambda n: {"type": "image", "mimeType": "image/png", "data": "AAAA" * n}, st.integers(0, 600)),
    st.builds(lambda words: {"type": "resource_link", "description": words}, WORDS),
    st.builds(lambda words: {"uri": "x:y", "mimeType": words, "blob": "AAAA" * len(words)}, WORDS),
    st.builds(lambda words: {"role": "user", "content": text(words)}, WORDS),
    st.none() | st.integers() | st.just([]),
)


@given(
    st.sampled_from(["content", "contents", "messages"]),
    st.lists(BLOCKS, max_size=8),
    st.none() | WORDS,
    st.integers(500, 3000),
)
def test_what_is_cut_always_fits_and_is_whole_where_it_did_before(
    name: str, blocks: list[Any], structured: str | None, size: int
) -> None:
    result: Json = {name: blocks, "isError": False}
    if structured is not None:
        result["structuredContent"] = {"a": structured}
    made = fitted(size, result)
    assert made["isError"] is False
    if len(dumps(result)) <= size:
        assert made is result
    else:
        assert "[cut: " in str(made) or "[left out: " in str(made)
        assert len(made[name]) <= len(blocks) + 1
    assert str(fitted(size, made)).count("[cut: ") <= 1
    longer = {**made, name: [*made[name][:-1], {"grown": "x" * 700}, *made[name][-1:]]}
    assert str(fit_or_none(size, longer)).count("[cut: ") <= 1


def fit_or_none(size: int, result: Json) -> Json | None:
    try:
        return fitted(size, result)
    except Refused:
        return None
