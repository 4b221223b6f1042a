from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portkey_mcp.gateway.relabel import Relabel
from portkey_mcp.wire import Json, Raw

LABELS = Relabel("files", task=lambda task: f"task<{task}>", state=lambda state: f"state<{state}>")
URI, SHOWN = "file:///a", "mcp+files+file:///a"

JSON: Any = st.recursive(
    st.none() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["content", "contents", "messages", "uri", "type", "resource", "taskId", "_meta", "ui", "name"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)


@pytest.mark.parametrize(
    ("method", "thing", "shown"),
    [
        ("tools/list", {"name": "read", "x": None}, {"name": "files__read", "x": None}),
        ("prompts/list", {"name": "review"}, {"name": "files__review"}),
        ("resources/list", {"uri": URI, "name": "a"}, {"uri": SHOWN, "name": "a"}),
        ("resources/templates/list", {"uriTemplate": "f:{x}"}, {"uriTemplate": "mcp+files+f:{x}"}),
        ("tools/list", {"title": "nameless"}, {"title": "nameless"}),
        ("tools/list", "no object", "no object"),
    ],
)
def test_a_listed_thing_is_named_as_on_the_hub(method: str, thing: Any, shown: Any) -> None:
    assert LABELS.listed(method, thing) == shown


def test_a_tools_link_to_its_app_is_renamed_in_both_spellings() -> None:
    meta = {"ui": {"resourceUri": "ui://a/b", "more": 1}, "ui/resourceUri": "ui://a/b", "other": "ui://a/b"}
    shown = LABELS.listed("tools/list", {"name": "show", "_meta": meta})

    assert shown["_meta"] == {
        "ui": {"resourceUri": "ui://files+a/b", "more": 1},
        "ui/resourceUri": "ui://files+a/b",
        "other": "ui://a/b",
    }
    assert meta["ui"] == {"resourceUri": "ui://a/b", "more": 1}


def test_links_and_embedded_resources_in_a_result_are_renamed_and_nothing_else() -> None:
    text = {"type": "text", "text": URI, "uri": URI}
    result: Json = {
        "content": [text, {"type": "resource_link", "uri": URI}, {"type": "resource", "resource": {"uri": URI}}, 7],
        "structuredContent": {"uri": URI},
        "isError": False,
    }

    assert LABELS.result(result) == {
        "content": [text, {"type": "resource_link", "uri": SHOWN}, {"type": "resource", "resource": {"uri": SHOWN}}, 7],
        "structuredContent": {"uri": URI},
        "isError": False,
    }


@pytest.mark.parametrize(
    "result",
    [
        {"content": [{"type": "text", "text": "hi"}], "structuredContent": {"uri": URI}},
        {"messages": [{"role": "user", "content": {"type": "text", "text": "hi"}}]},
        {"contents": [{"text": "nowhere"}], "taskId": 7},
        {"completion": {"values": []}},
    ],
)
def test_a_result_in_which_nothing_is_renamed_stays_the_object_it_was(result: Json) -> None:
    whole = Raw(result)

    assert LABELS.result(whole) is whole


def test_contents_of_a_read_resource_are_renamed() -> None:
    assert LABELS.result({"contents": [{"uri": URI, "text": "x"}]}) == {"contents": [{"uri": SHOWN, "text": "x"}]}


def test_messages_of_a_prompt_are_renamed_whether_they_hold_one_block_or_several() -> None:
    link, shown = {"type": "resource_link", "uri": URI}, {"type": "resource_link", "uri": SHOWN}
    result = LABELS.result({"messages": [{"role": "user", "content": link}, {"content": [link]}, {"role": "user"}]})

    assert result["messages"] == [{"role": "user", "content": shown}, {"content": [shown]}, {"role": "user"}]


def test_a_tasks_id_and_the_result_it_carries_are_renamed() -> None:
    result = LABELS.result({"taskId": "7", "status": "completed", "result": {"contents": [{"uri": URI}]}})

    assert result == {"taskId": "task<7>", "status": "completed", "result": {"contents": [{"uri": SHOWN}]}}


def test_a_request_state_is_sealed_to_its_server() -> None:
    assert LABELS.result({"resultType": "input_required", "requestState": "s"})["requestState"] == "state<s>"


def test_notifications_about_resources_and_tasks_are_renamed_and_others_are_not() -> None:
    updated: Json = {"method": "notifications/resources/updated", "params": {"uri": URI}}
    task: Json = {"method": "notifications/tasks", "params": {"taskId": "7", "status": "working"}}
    log: Json = {"method": "notifications/message", "params": {"data": URI, "uri": URI}}
    bare: Json = {"method": "notifications/tools/list_changed"}

    assert LABELS.notification(updated)["params"] == {"uri": SHOWN}
    assert LABELS.notification(task)["params"] == {"taskId": "task<7>", "status": "working"}
    assert LABELS.notification(log) == log
    assert LABELS.notification(bare) == bare


@given(st.dictionaries(st.text(max_size=8), JSON, max_size=3) | JSON)
def test_nothing_that_an_upstream_says_raises(said: Any) -> None:
    result = said if isinstance(said, dict) else {"content": said, "messages": said, "contents": said}

    LABELS.result(result)
    LABELS.listed("tools/list", said)
    LABELS.notification({"method": "notifications/resources/updated", "params": said})
