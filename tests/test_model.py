import pytest

from portkey_mcp.model import (
    Endpoint,
    EndpointKind,
    Introduction,
    McpServer,
    Principal,
    Role,
    Workspace,
    email_problem,
    folded_email,
    label_problem,
    lower_role,
    outranks,
)

TEAM = Workspace("team", "Team", {}, {})


def test_a_servers_key_is_unique_in_the_gateway() -> None:
    assert McpServer("team", "files", "stdio").key == "team/files"


@pytest.mark.parametrize(
    ("kind", "name", "path"),
    [("server", "files", "team/files"), ("bundle", "reading", "team/reading"), ("hub", "", "team"), ("root", "", "")],
)
def test_an_endpoint_knows_its_path(kind: EndpointKind, name: str, path: str) -> None:
    assert Endpoint(kind, TEAM, name).path == path


def test_a_principal_has_a_role_only_where_it_is_a_member() -> None:
    robot = Principal("key:1", "robot", "service", {"team": "viewer"})

    assert robot.role_in("team") == "viewer"
    assert robot.role_in("other") is None


def test_a_local_admin_has_its_role_everywhere() -> None:
    assert Principal("local", "local", "local", everywhere="admin").role_in("any") == "admin"


def test_introductions_of_one_party_are_one_key() -> None:
    first = Introduction("party", "key:1", {"roots": {}}, {"name": "a"}, "2025-11-25")

    assert len({first, Introduction("party", "key:1", {}, {}, "2025-11-25")}) == 1


def test_groups_count_where_they_are_from_and_claimed_ones_everywhere() -> None:
    ada = Principal("p", "Ada", "person", groups=("staff", "ops"), own_groups={"team": ("ops", "night")})

    assert (ada.groups_in("team"), ada.groups_in("other")) == (("staff", "ops", "night"), ("staff", "ops"))
    assert Principal("p", "Ada", "person", own_groups={"team": ("ops",)}).groups_in("team") == ("ops",)


@pytest.mark.parametrize(("one", "other", "lower"), [("owner", "viewer", "viewer"), ("member", "admin", "member")])
def test_the_lower_of_two_roles_may_do_less(one: Role, other: Role, lower: Role) -> None:
    assert lower_role(one, other) == lower_role(other, one) == lower


def test_an_address_is_the_same_in_any_spelling() -> None:
    assert folded_email("Ada.L@Example.COM") == folded_email(" ada.l@example.com")
    assert folded_email("zo\N{COMBINING DIAERESIS}e@x") == folded_email("Z\N{LATIN CAPITAL LETTER O WITH DIAERESIS}E@x")


@pytest.mark.parametrize(
    "email", ["ada@example.com", "a.b+c@x-y.example", "ada@localhost", "o'hara@x.ie", "jörg@müller.de"]
)
def test_what_can_be_an_address_is_taken(email: str) -> None:
    assert email_problem(email) == ""


@pytest.mark.parametrize(
    "email",
    [
        "",
        "ada",
        "@x",
        "ada@",
        "a@b@c",
        "a b@x",
        "a@x..y",
        "a@.x",
        "a@x.",
        "<a@x>",
        "a@x,b@x",
        "a@x\n",
        "\u202ea@x",
        "a@/x",
    ],
)
def test_what_cannot_be_an_address_is_shown_one(email: str) -> None:
    assert email_problem(email) == f"{email!r} is no e-mail address; expected one like ada@example.com"


def test_an_address_and_a_name_have_a_length() -> None:
    assert email_problem("a" * 250 + "@x.y") == ""
    assert email_problem("a" * 251 + "@x.y") == "an e-mail address has at most 254 characters; this one has 255"
    assert (label_problem("x" * 100, "name"), label_problem("", "name")[:13]) == ("", "'' is no name")
    assert label_problem("x" * 101, "name")
    assert label_problem("a\tb", "name")


def test_roles_outrank_those_that_may_do_less() -> None:
    assert outranks("owner", "admin")
    assert outranks("member", "viewer")
    assert not outranks("admin", "admin")
    assert not outranks("viewer", "member")
