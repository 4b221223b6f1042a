"""YAML with its places: duplicates are refused, and every value can be pointed at."""

import pytest

from portkey_mcp.errors import Mistakes
from portkey_mcp.registry.source import Source

TEXT = """\
base: &base {url: https://x, title: old}
list:
  - first
  - {name: second}
merged:
  <<: *base
  title: new
"""


def test_what_it_says_is_plain_data() -> None:
    assert Source(TEXT, "f.yaml").data == {
        "base": {"url": "https://x", "title": "old"},
        "list": ["first", {"name": "second"}],
        "merged": {"url": "https://x", "title": "new"},
    }


def test_dates_stay_text_and_an_empty_file_is_nothing() -> None:
    assert Source("protocol: 2025-11-25", "f.yaml").data == {"protocol": "2025-11-25"}
    assert Source("# nothing", "f.yaml").data is None


@pytest.mark.parametrize(
    ("loc", "key", "where"),
    [
        ((), False, "f.yaml:1:1"),
        (("list", 1, "name"), True, "f.yaml:4:6"),
        (("list", 1, "name"), False, "f.yaml:4:12"),
        (("list", 0), False, "f.yaml:3:5"),
        (("merged", "title"), False, "f.yaml:7:10"),
        (("merged", "url"), False, "f.yaml:1:19"),
        (("merged", "tag of a union", "title"), True, "f.yaml:7:3"),
        (("list", 7), False, "f.yaml:3:3"),
    ],
)
def test_a_mistake_points_at_the_key_or_the_value(loc: tuple[str | int, ...], key: bool, where: str) -> None:
    assert str(Source(TEXT, "f.yaml").mistake(loc, "wrong", key=key)) == f"{where}: wrong"


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (
            "a: 1\na: 2\nb: [{c: 1, c: 2}]",
            ["f.yaml:2:1: the key 'a' is there twice", "f.yaml:3:12: the key 'c' is there twice"],
        ),
        ("a: [", ["f.yaml:2:1: while parsing a flow node: did not find expected node content"]),
        ("\ta: 1", ["f.yaml:1:1: while scanning for the next token: found character that cannot start any token"]),
        ("a: 1\n---\nb: 2", ["f.yaml:2:1: expected a single document in the stream: but found another document"]),
        ("a: *b", ["f.yaml:1:4: found undefined alias"]),
        (
            "a: !!python/object:os.system x",
            ["f.yaml:1:4: could not determine a constructor for the tag 'tag:yaml.org,2002:python/object:os.system'"],
        ),
        (
            "a\0b",
            ["f.yaml: is no YAML: unacceptable character #x0000: control characters are not allowed"],
        ),
    ],
)
def test_what_is_not_yaml_is_explained_with_its_place(text: str, lines: list[str]) -> None:
    with pytest.raises(Mistakes) as wrong:
        Source(text, "f.yaml")
    assert str(wrong.value).splitlines() == lines


def test_deep_nesting_is_a_mistake_and_no_crash() -> None:
    with pytest.raises(Mistakes, match=r"f\.yaml"):
        Source("[" * 5000, "f.yaml")


def test_a_document_that_contains_itself_is_read() -> None:
    assert Source("a: &a [*a]", "f.yaml").data["a"]
