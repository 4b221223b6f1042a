"""Rules are folded in their order: a later one overrides member by member, limits add up."""

from portkey_mcp.policy.document import parse
from portkey_mcp.policy.terms import FREE, fold, place_of


def test_nothing_said_is_nothing_demanded() -> None:
    assert fold([]) is FREE
    assert fold(enumerate(parse({"rules": [{"match": "*", "enabled": True}]}).rules)) is FREE


def test_each_member_is_that_of_the_last_rule_that_says_it() -> None:
    limit = {"calls": 1, "per": "day"}
    rules = parse(
        {
            "rules": [
                {"match": "*", "timeout": "60s", "cost": 2, "limits": [limit]},
                {"match": "a/*", "timeout": "5s", "arguments": {"x": {"value": 1}}},
                {"match": "a/b", "arguments": {"y": {"hidden": True}}, "limits": [limit, {"concurrent": 2}]},
            ]
        }
    ).rules
    terms = fold(enumerate(rules))
    assert (terms.timeout, terms.cost, list(terms.arguments)) == (5.0, 2, ["y"])
    assert [(counted.limit.amount, counted.rule) for counted in terms.limits] == [(1, 0), (1, 2), (2, 2)]
    assert terms.said == {"timeout": 1, "cost": 0, "arguments": 2}


def test_a_rules_counts_keep_their_place_when_its_numbers_or_other_rules_change() -> None:
    before, after, other = parse(
        {
            "rules": [
                {"match": ["a/b", "a/c"], "for": {"roles": ["member"]}, "limits": [{"calls": 1, "per": "day"}]},
                {"match": ["a/c", "a/b"], "for": {"roles": ["member"]}, "limits": [{"calls": 9, "per": "day"}]},
                {"match": ["a/c", "a/b"], "for": {"roles": ["viewer"]}, "limits": [{"calls": 9, "per": "day"}]},
            ]
        }
    ).rules
    assert place_of(before) == place_of(after) != place_of(other)
