"""What a policy means, in one table: match, order, override, accumulation, and for whom. Run by `test_decide.py`."""

from typing import Any

from portkey_mcp.model import Endpoint, Principal, Role, Visit, Workspace
from portkey_mcp.policy.decide import Thing

WORKSPACE = Workspace("demo", "Demo", {}, {})


def visit(
    role: Role | None = "member",
    *,
    who: str = "p1",
    groups: tuple[str, ...] = (),
    client: str = "",
    address: str = "",
) -> Visit:
    roles: dict[str, Role] = {} if role is None else {"demo": role}
    principal = Principal(who, "Somebody", "person", workspaces=roles, groups=groups, client=client)
    return Visit(principal, Endpoint("server", WORKSPACE, "files"), address)


DELETE = Thing("tool", "linear", "delete_issue")
CREATE = Thing("tool", "linear", "create_issue")
CONTRACTOR = visit("member", groups=("contractors",))
OFFICE, HOME = visit(address="10.1.2.3"), visit(address="192.168.7.7")
BOT = Visit(Principal("key:1", "ci", "service", {"demo": "member"}), Endpoint("server", WORKSPACE, "files"))
ADA = Visit(
    Principal("person:1", "Ada", "person", {"demo": "member"}, email="ada@example.com"),
    Endpoint("server", WORKSPACE, "files"),
)
CLAUDE = visit(client="https://claude.ai/oauth/claude")

HIDDEN = "hidden"
DAY, HOUR = {"calls": 1000, "per": "day", "each": "user"}, {"calls": 20, "per": "hour", "each": "user"}

# Each line: what it shows, the rules, who asks, about what, and what then holds: HIDDEN, or the terms that are set.
SEMANTICS: list[tuple[str, list[dict[str, Any]], Visit, Thing, object]] = [
    # match
    ("without a rule everything is free", [], visit(), DELETE, {}),
    ("* is about everything", [{"match": "*", "enabled": False}], visit(), DELETE, HIDDEN),
    ("a pattern is about one server", [{"match": "files/*", "enabled": False}], visit(), DELETE, {}),
    ("? is any one character", [{"match": "linear/delete?issue", "enabled": False}], visit(), DELETE, HIDDEN),
    ("case counts", [{"match": "linear/Delete_*", "enabled": False}], visit(), DELETE, {}),
    (
        "any of several patterns is enough",
        [{"match": ["a/b", "linear/delete_*"], "enabled": False}],
        visit(),
        DELETE,
        HIDDEN,
    ),
    ("prompts are no tools", [{"match": "prompt:linear/*", "enabled": False}], visit(), DELETE, {}),
    ("a tool that is named so", [{"match": "tool:linear/*", "enabled": False}], visit(), DELETE, HIDDEN),
    # order and override
    (
        "a later rule overrides",
        [{"match": "*", "enabled": False}, {"match": "linear/*", "enabled": True}],
        visit(),
        DELETE,
        {},
    ),
    (
        "an earlier one does not",
        [{"match": "linear/*", "enabled": True}, {"match": "*", "enabled": False}],
        visit(),
        DELETE,
        HIDDEN,
    ),
    (
        "member by member",
        [{"match": "*", "timeout": "60s", "max_arguments": "1KB"}, {"match": "linear/*", "timeout": "5s"}],
        visit(),
        DELETE,
        {"timeout": 5.0, "max_arguments": 1000},
    ),
    (
        "what a rule does not say stays as it was",
        [{"match": "*", "require_approval": True}, {"match": "linear/*", "timeout": "5s"}],
        visit(),
        DELETE,
        {"require_approval": True, "timeout": 5.0},
    ),
    (
        "what is switched on can be switched off",
        [
            {"match": "*", "require_approval": True, "redact": ["email"]},
            {"match": "linear/*", "require_approval": False, "redact": []},
        ],
        visit(),
        DELETE,
        {"require_approval": False, "redact": ()},
    ),
    # accumulation
    (
        "limits add up",
        [{"match": "*", "limits": [DAY]}, {"match": "linear/*", "limits": [HOUR]}],
        visit(),
        DELETE,
        {"limits": [1000, 20]},
    ),
    (
        "an empty list takes none away",
        [{"match": "*", "limits": [DAY]}, {"match": "linear/*", "limits": []}],
        visit(),
        DELETE,
        {"limits": [1000]},
    ),
    (
        "of a hidden tool nothing is left",
        [{"match": "*", "limits": [DAY]}, {"match": "linear/delete_*", "enabled": False}],
        visit(),
        DELETE,
        HIDDEN,
    ),
    # for
    ("for a role", [{"match": "*", "for": {"roles": ["viewer"]}, "enabled": False}], visit("viewer"), DELETE, HIDDEN),
    (
        "for others it says nothing",
        [{"match": "*", "for": {"roles": ["viewer"]}, "enabled": False}],
        visit(),
        DELETE,
        {},
    ),
    (
        "for a group",
        [{"match": "*", "for": {"groups": ["contractors"]}, "limits": [HOUR]}],
        CONTRACTOR,
        CREATE,
        {"limits": [20]},
    ),
    (
        "all members of `for` must fit",
        [{"match": "*", "for": {"roles": ["admin"], "groups": ["contractors"]}, "enabled": False}],
        CONTRACTOR,
        CREATE,
        {},
    ),
    ("for a person", [{"match": "*", "for": {"people": ["p1"]}, "enabled": False}], visit(), CREATE, HIDDEN),
    (
        "for a person by the e-mail address",
        [{"match": "*", "for": {"people": ["Ada@Example.com"]}, "enabled": False}],
        ADA,
        CREATE,
        HIDDEN,
    ),
    (
        "by a name alone nobody is",
        [{"match": "*", "for": {"people": ["Somebody"]}, "enabled": False}],
        visit(),
        CREATE,
        {},
    ),
    (
        "for an API key by its name",
        [{"match": "*", "for": {"service_accounts": ["ci"]}, "enabled": False}],
        BOT,
        CREATE,
        HIDDEN,
    ),
    (
        "a person called like a key is none",
        [{"match": "*", "for": {"service_accounts": ["Somebody"]}, "enabled": False}],
        visit(),
        CREATE,
        {},
    ),
    (
        "for a client",
        [{"match": "*", "for": {"clients": ["https://claude.ai/oauth/claude"]}, "enabled": False}],
        CLAUDE,
        CREATE,
        HIDDEN,
    ),
    (
        "who has no client is no client",
        [{"match": "*", "for": {"clients": ["https://claude.ai/oauth/claude"]}, "enabled": False}],
        visit(),
        CREATE,
        {},
    ),
    (
        "from a network",
        [{"match": "*", "enabled": False}, {"match": "*", "for": {"networks": ["10.0.0.0/8"]}, "enabled": True}],
        OFFICE,
        CREATE,
        {},
    ),
    (
        "from elsewhere",
        [{"match": "*", "enabled": False}, {"match": "*", "for": {"networks": ["10.0.0.0/8"]}, "enabled": True}],
        HOME,
        CREATE,
        HIDDEN,
    ),
    (
        "from nobody knows where",
        [{"match": "*", "enabled": False}, {"match": "*", "for": {"networks": ["10.0.0.0/8"]}, "enabled": True}],
        visit(),
        CREATE,
        HIDDEN,
    ),
]
