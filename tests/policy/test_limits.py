"""Which count a call goes to, what is left of it, and what is said when nothing is."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from portkey_mcp.model import Endpoint, Exhausted, Principal, Take, Visit, Workspace
from portkey_mcp.policy.decide import Allow, Rules, Thing
from portkey_mcp.policy.document import parse
from portkey_mcp.policy.limits import Charge, charges_of, left_of, refusal, store_refusal

BERLIN = "Europe/Berlin"
NOW = datetime(2026, 11, 24, 13, 48, tzinfo=UTC)
THREE_O_CLOCK = int(datetime(2026, 11, 24, 14, tzinfo=UTC).timestamp())
CREATE = Thing("tool", "github", "create_issue")


def visit(who: str = "ada", *, workspace: str = "demo", credential: str = "") -> Visit:
    principal = Principal(who, "Somebody", "person", workspaces={workspace: "member"}, credential=credential)
    return Visit(principal, Endpoint("server", Workspace(workspace, "", {}, {}), "github"))


def charges(
    *limits: dict[str, Any],
    by: Visit | None = None,
    thing: Thing = CREATE,
    match: str = "*",
    cost: int | None = None,
    zone: str = BERLIN,
    now: datetime = NOW,
) -> tuple[Charge, ...]:
    by = by or visit()
    decided = Rules(parse({"rules": [{"match": match, "limits": limits, "cost": cost}]})).decide(by, thing)
    assert isinstance(decided, Allow)
    return charges_of(decided.terms, by, thing, zone, now)


def key(each: str | list[str], **about: Any) -> str:
    (charge,) = charges({"calls": 5, "per": "day", "each": each}, **about)
    return charge.take.key


def said(*limits: dict[str, Any], used: tuple[int, ...], **about: Any) -> Any:
    """The refusal when all these limits are used up."""
    found = charges(*limits, **about)
    exhausted = Exhausted(tuple(charge.take for charge in found), used)
    return refusal(found, exhausted, about.get("thing", CREATE), BERLIN, about.get("now", NOW))


def test_a_call_takes_one_of_calls_its_weight_of_cost_and_one_lease() -> None:
    found = charges(
        {"calls": 20, "per": "hour"}, {"cost": 100, "per": "hour"}, {"concurrent": 2, "each": "user"}, cost=5
    )
    window = (THREE_O_CLOCK - 3600, THREE_O_CLOCK)
    assert [(c.take.starts, c.take.ends, c.take.cost, c.take.limit) for c in found] == [
        (*window, 1, 20),
        (*window, 5, 100),
        (0, 0, 1, 2),
    ]
    assert [c.take.concurrent for c in found] == [False, False, True]
    assert len({c.take.key for c in found}) == 3


def test_what_costs_nothing_takes_nothing_of_cost_but_is_a_call() -> None:
    found = charges({"cost": 100, "per": "day"}, {"calls": 9, "per": "day"}, cost=0)
    assert [c.counted.limit.calls for c in found] == [9]


def test_a_limit_that_is_raised_keeps_its_count() -> None:
    low, high = (charges({"calls": amount, "per": "day"})[0].take for amount in (5, 500))
    assert low.key == high.key
    assert (low.limit, high.limit) == (5, 500)


def test_of_limits_with_the_same_count_the_smallest_holds() -> None:
    found = charges(*({"calls": amount, "per": "day", "each": "user"} for amount in (7, 3, 5)))
    assert [c.take.limit for c in found] == [3]
    assert found[0].counted.limit.amount == 3


def test_the_order_of_the_subjects_does_not_matter() -> None:
    assert key(["user", "tool"]) == key(["tool", "user", "tool"]) != key("user")


OTHERS = {
    "user": {"by": visit("bob")},
    "key": {"by": visit(credential="k2")},
    "tool": {"thing": Thing("tool", "github", "other")},
    "server": {"thing": Thing("tool", "gitlab", "create_issue")},
    "workspace": {"by": visit(workspace="other")},
}


@pytest.mark.parametrize(
    ("each", "apart"),
    [
        ("user", {"user", "workspace"}),
        ("key", {"user", "key", "workspace"}),
        ("tool", {"tool", "server", "workspace"}),
        ("server", {"server", "workspace"}),
        ("workspace", {"workspace"}),
        ("all", set()),
        (["user", "tool"], {"user", "tool", "server", "workspace"}),
        (["all", "user"], {"user"}),
        (["all", "workspace"], {"workspace"}),
    ],
)
def test_who_has_a_count_of_their_own(each: str | list[str], apart: set[str]) -> None:
    assert {name for name, other in OTHERS.items() if key(each, **other) != key(each)} == apart


def test_other_things_windows_units_and_rules_are_other_counts() -> None:
    tool, prompt = (Thing(kind, "github", "x") for kind in ("tool", "prompt"))
    assert key("tool", thing=tool) != key("tool", thing=prompt)
    assert key("user", match="github/*") != key("user", match="*")
    units = charges({"calls": 5, "per": "day"}, {"calls": 5, "per": "hour"}, {"cost": 5, "per": "day"})
    assert len({c.take.key for c in units}) == 3


def test_another_spelling_of_a_uri_is_no_other_count() -> None:
    plain, other = (Thing("resource", "files", uri) for uri in ("file:///a/b", "FILE:///a/c/../%62"))
    assert key("tool", thing=plain) == key("tool", thing=other)


def test_a_key_without_an_id_of_its_own_is_its_principal() -> None:
    assert key("key", by=visit("ada")) == key("key", by=visit("bob", credential="ada"))


def test_what_all_workspaces_share_begins_for_all_at_once() -> None:
    shared = {"calls": 5, "per": "day", "each": "all"}
    tokyo, berlin = (charges(shared, zone=zone)[0].take for zone in ("Asia/Tokyo", BERLIN))
    assert tokyo == berlin
    own = {"calls": 5, "per": "day"}
    tokyo, berlin = (charges(own, zone=zone)[0].take for zone in ("Asia/Tokyo", BERLIN))
    assert (tokyo.key, tokyo.ends - berlin.ends) == (berlin.key, -8 * 3600)


def test_a_clock_that_jumps_over_midnight_or_a_change_of_clocks_finds_its_window() -> None:
    def ends(now: datetime) -> str:
        (found,) = charges({"calls": 5, "per": "day"}, now=now)
        return str(left_of([found], [1], BERLIN, now)[0]["opensAt"])

    midnight = datetime(2026, 3, 28, 23, tzinfo=UTC)
    assert ends(midnight - timedelta(seconds=1)) == "2026-03-29T00:00:00+01:00"
    assert ends(midnight) == ends(midnight + timedelta(hours=22)) == "2026-03-30T00:00:00+02:00"
    assert ends(midnight - timedelta(seconds=1)) == "2026-03-29T00:00:00+01:00"


def test_what_is_left_is_told_for_each_limit() -> None:
    found = charges({"calls": 20, "per": "hour", "each": "user"}, {"concurrent": 2, "each": ["user", "tool"]})
    assert left_of(found, (3, 1), BERLIN, NOW) == [
        {
            "limit": 20,
            "unit": "calls",
            "per": "hour",
            "each": ["user"],
            "used": 3,
            "left": 17,
            "opensAt": "2026-11-24T15:00:00+01:00",
        },
        {"limit": 2, "unit": "concurrent", "each": ["user", "tool"], "used": 1, "left": 1},
    ]


def test_less_than_nothing_is_never_left_and_an_ended_window_not_told() -> None:
    found = charges({"calls": 20, "per": "hour"})
    assert left_of(found, (25,), BERLIN, NOW)[0]["left"] == 0
    assert left_of(found, (25,), BERLIN, NOW + timedelta(minutes=12)) == []


def test_a_refusal_says_which_limit_and_when_it_opens() -> None:
    refused = said({"calls": 20, "per": "hour", "each": "user"}, used=(20,))
    assert str(refused) == (
        "The limit of 20 calls per hour for each user is used up for github/create_issue (20 used). "
        "It opens again at 2026-11-24T15:00:00+01:00, in 12 minutes. Do not retry before then."
    )
    assert (refused.reason, refused.retry_after, refused.sent) == ("limit", 720.0, False)
    assert refused.data["limits"][0]["left"] == 0


def test_of_several_limits_the_last_to_open_counts() -> None:
    refused = said({"calls": 1, "per": "minute"}, {"calls": 9, "per": "day", "each": ["user", "tool"]}, used=(1, 9))
    assert "1 call per minute for the whole workspace is used up" in refused.text
    assert "9 calls per day for each user and tool is used up" in refused.text
    assert refused.text.endswith(
        "All of them are open again at 2026-11-25T00:00:00+01:00, in 10 hours. Do not retry before then."
    )
    assert len(refused.data["limits"]) == 2


def test_a_refusal_names_only_what_is_used_up() -> None:
    found = charges({"calls": 20, "per": "hour"}, {"calls": 9, "per": "day"})
    refused = refusal(found, Exhausted((found[1].take,), (9,)), CREATE, BERLIN, NOW)
    assert [limit["per"] for limit in refused.data["limits"]] == ["day"]
    assert "per hour" not in refused.text


def test_calls_under_way_are_to_be_waited_for() -> None:
    refused = said({"concurrent": 1, "each": "user"}, used=(1,))
    assert str(refused) == (
        "The limit of 1 call at the same time for each user is used up for github/create_issue: "
        "1 is under way already. Try again when one has ended."
    )
    assert refused.retry_after == 1.0


def test_a_call_that_is_too_dear_for_what_is_left_is_told_so() -> None:
    refused = said({"cost": 10, "per": "day", "each": "all"}, used=(8,), cost=5)
    assert "The limit of 10 cost units per day for all workspaces together leaves too little" in refused.text
    assert "8 used, and one call costs 5" in refused.text


@pytest.mark.parametrize(
    ("limit", "why"),
    [
        (
            {"calls": 0, "per": "day"},
            "The limit of 0 calls per day for the whole workspace never opens for github/create_issue.",
        ),
        ({"concurrent": 0}, "The limit of 0 calls at the same time"),
        ({"cost": 3, "per": "day"}, "costs 5, more than the whole limit of 3 cost units per day"),
    ],
)
def test_a_limit_that_never_opens_is_told_so(limit: dict[str, Any], why: str) -> None:
    refused = said(limit, {"calls": 9, "per": "day", "each": "user"}, used=(0, 9), cost=5)
    assert why in refused.text
    assert "Waiting does not help: do not retry." in refused.text
    assert refused.retry_after is None


@pytest.mark.parametrize(
    ("before", "words"),
    [
        (1, "1 second."),
        (119, "119 seconds."),
        (120, "2 minutes."),
        (121, "3 minutes."),
        (0.2, "1 second."),
        (-5, "1 s"),
    ],
)
def test_the_wait_is_told_in_words(before: float, words: str) -> None:
    found = charges({"calls": 1, "per": "hour"})
    now = datetime.fromtimestamp(THREE_O_CLOCK - before, UTC)
    refused = refusal(found, Exhausted((found[0].take,), (1,)), CREATE, BERLIN, now)
    assert f"in {words}" in refused.text


def test_a_long_wait_is_told_in_days() -> None:
    assert "in 7 days." in said({"calls": 1, "per": "month"}, used=(1,)).text


def test_a_thing_is_called_as_in_a_policy_and_a_long_uri_is_cut() -> None:
    long = Thing("resource", "files", "file:///" + "x" * 1000)
    assert "used up for resource:files/file:///x" in said({"calls": 1, "per": "day"}, used=(1,), thing=long).text
    assert len(store_refusal(long).text) < 500


def test_without_a_count_the_call_is_refused_and_told_to_come_back() -> None:
    refused = store_refusal(CREATE)
    assert (refused.reason, refused.retry_after) == ("store", 5.0)
    assert refused.text == (
        "Usage limits cannot be counted just now, so this call of github/create_issue was not made "
        "(the workspace's policy denies then). Try again in a moment."
    )


def test_takes_are_plain_values() -> None:
    (charge,) = charges({"calls": 5, "per": "day"})
    assert charge.take == Take(charge.take.key, charge.take.starts, charge.take.ends, 1, 5)
    assert len(charge.take.key) == 32
