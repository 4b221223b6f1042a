"""The decisions that are measured are of the kind that a gateway makes."""

from benchmarks.decisions import RULES, TOOLS, decisions, document, tools, visitors
from portkey_mcp.policy.decide import Allow, Deny, Rules


def test_the_policy_hides_and_limits_some_of_the_tools() -> None:
    rules = Rules(document())
    found = [rules.decide(visit, thing) for visit in visitors() for thing in tools()]

    assert len(rules.policy.rules) == RULES
    assert len(tools()) == TOOLS
    assert any(isinstance(decision, Deny) for decision in found)
    assert sum(isinstance(decision, Allow) and len(decision.terms.limits) == 2 for decision in found) > 10


def test_every_figure_is_there_and_positive() -> None:
    costs = {cost.name: cost.value for cost in decisions()}
    assert set(costs) == {"decision", "decision_first", "policy_compiled"}
    assert all(value > 0 for value in costs.values())
