"""The explanation agrees with the decision and names every rule that fits."""

from dataclasses import asdict

from portkey_mcp.model import Endpoint, Principal, Visit, Workspace
from portkey_mcp.policy.decide import Thing
from portkey_mcp.policy.document import EMPTY, parse
from portkey_mcp.policy.explain import explain

VISIT = Visit(
    Principal("p1", "Ada", "person", workspaces={"demo": "member"}),
    Endpoint("server", Workspace("demo", "Demo", {}, {}), "files"),
)
POLICY = parse(
    {
        "rules": [
            {"match": "*", "enabled": False},
            {"match": "files/read_*", "enabled": True},
            {"match": "files/*", "for": {"roles": ["viewer"]}, "enabled": False},
            {"match": ["linear/*", "files/read_file"]},
        ]
    }
)


def test_every_rule_that_fits_is_listed_and_the_deciding_one_marked() -> None:
    explained = asdict(explain(POLICY, VISIT, Thing("tool", "files", "read_file")))
    assert explained == {
        "allowed": True,
        "reason": "enabled by rule 2 of the policy",
        "fits": (
            {"number": 1, "match": ("*",), "enabled": False, "decided": False},
            {"number": 2, "match": ("files/read_*",), "enabled": True, "decided": True},
            {"number": 4, "match": ("linear/*", "files/read_file"), "enabled": None, "decided": False},
        ),
    }


def test_a_denial_names_its_rule() -> None:
    explained = explain(POLICY, VISIT, Thing("prompt", "files", "review"))
    assert (explained.allowed, explained.reason) == (False, "disabled by rule 1 of the policy")
    assert [fit.number for fit in explained.fits if fit.decided] == [1]


def test_a_denial_through_another_spelling_of_the_uri_names_its_rule() -> None:
    policy = parse({"rules": [{"match": "resource:files/file:///secret", "enabled": False}]})
    explained = explain(policy, VISIT, Thing("resource", "files", "file:///a/../secret"))
    assert not explained.allowed
    assert [fit.decided for fit in explained.fits] == [True]


def test_without_rules_nothing_stands_against_it() -> None:
    explained = explain(EMPTY, VISIT, Thing("tool", "files", "x"))
    assert (explained.allowed, explained.reason, explained.fits) == (True, "no rule says otherwise", ())


def test_a_stranger_is_told_apart_from_a_denied_member() -> None:
    stranger = Visit(Principal("p2", "Bob", "person"), VISIT.endpoint)
    explained = explain(POLICY, stranger, Thing("tool", "files", "read_file"))
    assert (explained.allowed, explained.reason, explained.fits) == (False, "no role in this workspace", ())
