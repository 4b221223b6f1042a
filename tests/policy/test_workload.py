"""What an expression may cost is told from above before it runs, and whatever could cost too much is refused."""

from typing import Any

import pytest

from portkey_mcp.policy.workload import MOST_VALUES, MOST_WORK, Size, bound_names, measured, workload

SMALL = Size(values=20, widest=5, text=200, wide=False)


def cost(text: str, *lists: int) -> int:
    """What the expression may cost of arguments that are lists of so many numbers."""
    return workload(text).of(measured({str(place): [1] * length for place, length in enumerate(lists)}))


def test_values_are_counted_with_their_longest_list_and_all_their_text() -> None:
    value: Any = {"ab": ["x", "yz", None], "c": {"d": 1.5, "e": True}}
    assert measured(value) == Size(values=8, widest=3, text=8, wide=False)
    assert measured({}, {"a": 2**63}).wide
    assert not measured({"a": [2**63 - 1, -(2**63)]}).wide


def test_counting_ends_where_nobody_wants_to_know_more() -> None:
    many = [[0] * MOST_VALUES] * 1000
    assert MOST_VALUES < measured(many).values <= 2 * MOST_VALUES + 1001


@pytest.mark.parametrize(
    ("text", "degree"),
    [
        ("args.a.all(x, x > 1)", 1),
        ("args.a.all(x, x == args.b)", 2),
        ("args.a.filter(x, x > 1).size() == 1", 2),
        ("args.a.all(x, args.b.exists(y, x == y))", 2),
        ("args.a.all(x, x in args.b)", 2),
        ("args.a.map(x, x) == []", 3),
    ],
)
def test_work_grows_with_lists_as_the_engines_does(text: str, degree: int) -> None:
    once, twice = cost(text, 1000, 1000), cost(text, 2000, 2000)
    assert 2 ** (degree - 0.5) < twice / once < 2 ** (degree + 0.5)


@pytest.mark.parametrize(
    ("text", "lists"),
    [
        ("args.paths.all(p, args.roots.exists(r, p.startsWith(r)))", (4000, 4001)),
        ("args.a.map(x, x) == []", (10_000,)),
        ("args.a.map(x, args.a) == []", (1000,)),
        ("args.a.filter(x, true) == []", (20_000,)),
        ("args.a.all(x, size(args.b) > 0)", (1000, 10_000)),
        (r"args.a.all(x, 'abc'.matches('\\w{50}|abc'))", (1000,)),
    ],
)
def test_what_was_measured_to_take_seconds_is_too_much(text: str, lists: tuple[int, ...]) -> None:
    assert cost(text, *lists) > MOST_WORK


@pytest.mark.parametrize(
    ("text", "lists"),
    [
        ("args.paths.all(p, args.roots.exists(r, p.startsWith(r)))", (340, 340)),
        ("args.paths.all(p, p.startsWith('/srv/'))", (95_000,)),
        ("args.paths.all(p, p.matches('^/srv/[a-z]+$'))", (1000,)),
        ("args.a.all(x, x in args.b)", (800, 800)),
        ("size(args.a.filter(x, x.price > 100.0)) < 3", (1000,)),
        (r"args.repo.matches(r'^[\w.-]{1,64}/[\w.-]{1,64}$') && args.repo in principal.groups", (90_000,)),
    ],
)
def test_what_is_quick_may_run(text: str, lists: tuple[int, ...]) -> None:
    assert cost(text, *lists) <= MOST_WORK


def test_long_texts_count_each_time_they_are_copied() -> None:
    inside = workload("args.a.all(x, args.text.contains('zz'))")
    assert inside.of(Size(100, 90, 1000, False)) < MOST_WORK < inside.of(Size(1000, 1000, 10**7, False))


def test_three_comprehensions_in_one_another_are_refused_and_after_one_another_they_are_not() -> None:
    with pytest.raises(ValueError, match="in one another 2 deep, and these stand 3 deep"):
        workload("args.a.all(x, x.exists(y, y . filter( z, z > 1) == []))")
    workload("args.a.filter(x, x > 1).filter(y, y < 9).all(z, z != 5)")


@pytest.mark.parametrize(
    "text",
    [
        "'a.all(x, b.all(y, c.all(z, true)))' == args.x",
        r"'\'a.all(x, b.all(y, c.all(z, true)))' == args.x",
        r"r'\' == args.x // .all(x, x.all(x, x.all(x, true)))",
        '"""a"".all(x, b.all(y, c.all(z, true)))""" == args.x',
        "R'''a'.all(x, b.all(y, c.all(z, true)))''' == args.x",
        r"b'\\' == args.x || 'all(' == args.y",
    ],
)
def test_texts_and_comments_are_no_code(text: str) -> None:
    assert workload(text).of(SMALL) < 1000


@pytest.mark.parametrize(
    "text", [r"'\\'+''.all(x, x.all(y, y.all(z, true)))+'//'", "args.a // '\n.all(x, x.all(y, y.all(z, 1)))"]
)
def test_code_after_a_text_or_a_comment_is_code(text: str) -> None:
    with pytest.raises(ValueError, match="3 deep"):
        workload(text)


def test_lists_of_the_expressions_own_count() -> None:
    of = "[" + ",".join("1" * 450) + "]"
    with pytest.raises(ValueError, match="too much work of lists or patterns of its own"):
        workload(f"{of}.all(a, {of}.all(b, true))")
    workload(f"args.x in {of} && {of}.exists(a, a == args.x)")


@pytest.mark.parametrize(
    "text", ["[args.a]" + ".map(x, x + x)" * 30 + " == []", "[1]" + ".map(x, [x, x])" * 30 + " == []"]
)
def test_lists_that_double_again_and_again_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="too much work"):
        workload(text)


@pytest.mark.parametrize("text", ["args.a.matches(args.b)", "args.a . matches ('^' + args.b)", "matches(args.a, 'x')"])
def test_a_pattern_is_the_expressions_own(text: str) -> None:
    with pytest.raises(ValueError, match="`matches` needs its pattern in quotes"):
        workload(text)


def test_patterns_count_what_they_take_to_compile() -> None:
    plain, letters, many = (
        workload(f"args.a.matches(r'{pattern}')").of(SMALL) for pattern in ("^[a-z]+$", r"^\w+$", r"^(?:\w{10}-){8}$")
    )
    assert plain < 1000 < letters < 10_000 < 300_000 < many < MOST_WORK


def test_names_that_an_expression_binds_are_known_however_it_is_written() -> None:
    assert bound_names("args.a.all(x, x.b . exists_one ( yy , yy == 'z.map(q, q)'))") == {"x", "yy"}
