"""The gateways are what they say they are: this on, that off, and what is called never hidden."""

import json

import pytest

from benchmarks.load import Point, run
from benchmarks.messages import ECHO, ERAS, HUB_SERVERS
from benchmarks.targets import RULES, TARGETS, VARIANTS, Target, Upstreams, _document, policy
from portkey_mcp.policy.document import parse

UPSTREAMS = Upstreams({"legacy": 1, "modern": 2}, 3)


def test_a_policy_has_as_many_rules_as_it_says_some_about_the_servers_measured() -> None:
    rules = parse(policy(["legacy", "modern"])).rules
    assert len(rules) == RULES
    assert sum(rule.match[0].startswith(("legacy/", "modern/")) for rule in rules) == RULES // 4
    assert all(rule.enabled is False for rule in rules)


def test_each_variant_has_on_what_it_says() -> None:
    for variant in VARIANTS.values():
        document = _document(variant, UPSTREAMS, {})
        assert document["gateway"]["auth"] == ("required" if variant.key else "none")
        for workspace in document["workspaces"].values():
            assert ("api_keys" in workspace) is variant.key
            assert ("policy" in workspace) is (variant.policy or variant.limits)
    assert len(json.dumps(document)) > 0
    assert len(document["workspaces"]["hub-legacy"]["servers"]) == HUB_SERVERS


def test_all_targets_have_a_name_on_the_command_line() -> None:
    assert TARGETS[:2] == ("direct", "proxy")
    assert all("," not in name for name in TARGETS)


@pytest.mark.anyio
async def test_the_whole_gateway_asks_for_a_key_and_answers_in_and_across_the_eras(whole_gateway: Target) -> None:
    assert whole_gateway.name == "gateway"
    for client in ERAS:
        for upstream in ERAS:
            place = whole_gateway.places[upstream]
            assert place.key
            tally = await run(Point(ECHO, client, 2, place), warm_up=0, seconds=30, calls=4)
            assert tally.wrong == 0
            assert len(tally.latencies) >= 4
