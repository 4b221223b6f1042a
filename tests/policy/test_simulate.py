"""What was recorded is judged by the draft at its own time; what the record does not tell is said to be open."""

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portkey_mcp.model import Endpoint, Principal, Visit, Workspace
from portkey_mcp.policy import simulate as module
from portkey_mcp.policy.decide import Deny, Rules, Thing
from portkey_mcp.policy.document import parse
from portkey_mcp.policy.simulate import Replay, Simulation, simulate

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
WORKSPACE = Workspace("demo", "Demo", {}, {})


@dataclass(frozen=True)
class Past:
    """A recorded call."""

    name: str = "read_file"
    at: datetime = NOON
    principal: str = "key:1"
    principal_name: str = "ci"
    kind: str = "service"
    role: str = "member"
    groups: tuple[str, ...] = ()
    client: str = ""
    address: str = "10.0.0.7"
    server: str = "files"
    method: str = "tools/call"
    outcome: str = "ok"
    duration_ms: float = 10.0


def after(seconds: float, **other: Any) -> Past:
    return Past(at=NOON + timedelta(seconds=seconds), **other)


def replayed(rules: list[dict[str, Any]], *calls: Past, zone: str = "UTC", **known: Any) -> Simulation:
    return simulate(parse({"time_zone": zone, "rules": rules}), WORKSPACE, calls, **known)


def said(found: Simulation) -> list[tuple[Any, ...]]:
    return [(f.rule, f.principal_name, f.thing, f.refused, f.why) for f in found.findings]


def test_what_a_rule_disables_is_counted_by_rule_principal_and_thing() -> None:
    found = replayed(
        [{"match": "*"}, {"match": "files/write_*", "enabled": False}],
        Past("read_file"),
        after(1, name="write_file", outcome="refused"),
        after(2, name="write_file", principal="p1", principal_name="Ada"),
        after(3, name="write_file"),
    )
    assert (found.calls, found.refused, found.refused_then, found.depends) == (4, 3, 1, 0)
    assert said(found) == [(2, "ci", "files/write_file", 2, "disabled"), (2, "Ada", "files/write_file", 1, "disabled")]
    first = found.findings[0]
    assert (first.also_then, first.first, first.last) == (1, "2026-11-22T12:00:01+00:00", "2026-11-22T12:00:03+00:00")
    assert (found.first, found.last) == ("2026-11-22T12:00:00+00:00", "2026-11-22T12:00:03+00:00")


@pytest.mark.parametrize(
    ("whom", "refused"),
    [
        ({"roles": ["member"]}, 1),
        ({"roles": ["viewer"]}, 0),
        ({"groups": ["ops"]}, 1),
        ({"service_accounts": ["ci"]}, 1),
        ({"people": ["key:1"]}, 1),
        ({"clients": ["cursor"]}, 1),
        ({"networks": ["10.0.0.0/8"]}, 1),
        ({"networks": ["192.168.0.0/16"]}, 0),
    ],
)
def test_the_one_who_called_is_the_one_who_is_judged(whom: dict[str, Any], refused: int) -> None:
    call = Past(groups=("ops",), client="cursor")
    assert replayed([{"match": "*", "for": whom, "enabled": False}], call).refused == refused


def test_one_without_a_role_is_refused_by_no_rule() -> None:
    assert said(replayed([], Past(role=""))) == [(None, "ci", "files/read_file", 1, "no role in this workspace")]


def test_prompts_and_resources_are_judged_and_other_methods_passed_over() -> None:
    found = replayed(
        [{"match": "*", "enabled": False}],
        Past("review", method="prompts/get"),
        Past("file:///a", method="resources/read"),
        Past("", method="tools/list"),
    )
    assert found.calls == 2
    assert {f.thing for f in found.findings} == {"prompt:files/review", "resource:files/file:///a"}


def test_a_limit_counts_in_windows_of_the_recorded_time() -> None:
    limited = [{"match": "*", "limits": [{"calls": 2, "per": "hour", "each": "user"}]}]
    found = replayed(
        limited,
        *(after(seconds) for seconds in (0, 1, 2, 3599, 3600)),
        after(3, principal="p1", principal_name="Ada"),
    )
    assert said(found) == [(1, "ci", "files/read_file", 2, "limit of 2 calls per hour for each user")]


def test_a_day_begins_in_the_zone_of_the_policy() -> None:
    limited = [{"match": "*", "limits": [{"calls": 1, "per": "day"}]}]
    calls = [Past(at=datetime(2026, 11, 22, hour, 30, tzinfo=UTC)) for hour in (22, 23)]
    assert replayed(limited, *calls).refused == 1
    assert replayed(limited, *calls, zone="Europe/Berlin").refused == 0


def test_a_refused_call_costs_nothing_of_any_limit() -> None:
    limited = [
        {"match": "*", "limits": [{"calls": 3, "per": "day"}]},
        {"match": "files/write_*", "limits": [{"calls": 1, "per": "day"}]},
    ]
    names = ["write_file", "write_file", "write_file", "read_file", "read_file", "read_file"]
    found = replayed(limited, *(after(second, name=name) for second, name in enumerate(names)))
    assert [(rule, thing, refused) for rule, _, thing, refused, _ in said(found)] == [
        (2, "files/write_file", 2),
        (1, "files/read_file", 1),
    ]


def test_weights_count_in_limits_of_cost() -> None:
    weighed = [{"match": "*", "cost": 4, "limits": [{"cost": 10, "per": "minute"}]}]
    assert replayed(weighed, *(after(second) for second in range(4))).refused == 2


def test_calls_at_the_same_time_are_counted_by_how_long_they_took() -> None:
    limited = [{"match": "*", "limits": [{"concurrent": 2}]}]
    calls = [after(second, duration_ms=2500.0) for second in range(6)]
    assert replayed(limited, *calls).refused == 2
    assert replayed(limited, *(after(second, duration_ms=1900.0) for second in range(6))).refused == 0


@pytest.mark.parametrize(
    ("demand", "member"),
    [
        ({"when": "args.a == 1"}, "when"),
        ({"check_arguments": True}, "check_arguments"),
        ({"max_arguments": "1KB"}, "max_arguments"),
        ({"redact": [{"find": "secrets", "do": "block"}]}, "redact"),
        ({"require_approval": True}, "require_approval"),
        ({"max_result": {"size": "1KB", "over": "refuse"}}, "max_result"),
        ({"hidden_text": "refuse"}, "hidden_text"),
        ({"read_only": True}, "read_only"),
    ],
)
def test_what_the_record_does_not_tell_is_counted_apart(demand: dict[str, Any], member: str) -> None:
    found = replayed([{"match": "*", **demand}], Past(), Past())
    assert (found.refused, found.depends, found.depends_on) == (0, 2, {member: 2})


@pytest.mark.parametrize("demand", [{"redact": ["email"]}, {"max_result": "1KB"}, {"hidden_text": "remove"}])
def test_what_only_changes_a_call_is_not_open(demand: dict[str, Any]) -> None:
    assert replayed([{"match": "*", **demand}], Past()).depends == 0


def test_read_only_is_decided_where_the_tool_is_known() -> None:
    known = {Thing("tool", "files", "read_file"): {"readOnlyHint": True}, Thing("tool", "files", "write_file"): {}}
    found = replayed([{"match": "*", "read_only": True}], Past(), Past("write_file"), Past("odd"), annotations=known)
    assert said(found) == [(1, "ci", "files/write_file", 1, "not read-only")]
    assert found.depends_on == {"read_only": 1}


def test_a_simulation_becomes_json_and_an_empty_record_gives_an_empty_one() -> None:
    assert json.loads(json.dumps(asdict(replayed([], Past()))))["calls"] == 1
    assert replayed([]) == Simulation(0, 0, 0, 0, {}, "", "", ())


def test_what_is_remembered_does_not_grow_with_the_names_that_callers_choose(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_FINDINGS", 2)
    monkeypatch.setattr(module, "MOST_COUNTS", 2)
    limited = [{"match": "*", "limits": [{"calls": 1, "per": "minute", "each": "tool"}]}]
    calls = [after(120 * minute, name=f"tool_{minute}") for minute in range(9) for _ in range(2)]
    found = replayed(limited, *calls)
    assert found.refused == 9
    assert [finding.thing for finding in found.findings] == ["other things", "files/tool_0", "files/tool_1"]


def test_an_outcome_may_be_asked_for_while_calls_come() -> None:
    replay = Replay(parse({"rules": [{"match": "*", "enabled": False}]}), WORKSPACE)
    replay.add(Past())
    assert replay.outcome().refused == 1
    replay.add(after(1))
    assert replay.outcome().refused == 2


RULES = st.lists(
    st.fixed_dictionaries(
        {"match": st.sampled_from(["*", "files/a*", "files/b", "x/*"]), "enabled": st.booleans()},
        optional={"for": st.fixed_dictionaries({"roles": st.sampled_from([["member"], ["viewer"]])})},
    ),
    max_size=5,
)
CALLS = st.lists(
    st.builds(
        lambda name, role, server: Past(name=name, role=role, server=server),
        st.sampled_from(["a", "ab", "b"]),
        st.sampled_from(["member", "viewer", ""]),
        st.sampled_from(["files", "x"]),
    )
)


@given(RULES, CALLS)
def test_it_refuses_exactly_what_the_rules_hide(rules: list[dict[str, Any]], calls: list[Past]) -> None:
    decided = Rules(parse({"rules": rules}))

    def hidden(call: Past) -> bool:
        roles: Any = {"demo": call.role} if call.role else {}
        visit = Visit(Principal("key:1", "ci", "service", roles), Endpoint("hub", WORKSPACE))
        return isinstance(decided.decide(visit, Thing("tool", call.server, call.name)), Deny)

    assert replayed(rules, *calls).refused == sum(map(hidden, calls))
