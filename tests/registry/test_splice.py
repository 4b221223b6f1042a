"""One place is changed and every other byte stays: in block style, in brackets, as JSON, with either line break."""

import pytest

from portkey_mcp.registry.splice import Splice, Unspliceable

ENTRY = {"match": "a/b", "enabled": False}


@pytest.mark.parametrize(
    ("before", "key", "value", "after"),
    [
        ("a: 1  # x\nb: 2\n", "a", True, "a: true  # x\nb: 2\n"),
        ("a:   1\nb: 2", "b", "x", "a:   1\nb: x"),
        ("a: 1", "b", 2, "a: 1\nb: 2"),
        ("a: 1 # x\n\n# end\n", "b", 2, "a: 1 # x\nb: 2\n\n# end\n"),
        ("a: 1\r\n", "b", 2, "a: 1\r\nb: 2\r\n"),
        ("a:\nb: 2", "a", 1, "a: 1\nb: 2"),
        ("a: # why\n  - 1\n  - 2\nb: 2", "a", [3], "a: [3] # why\nb: 2"),
        ("a: |\n  x\n\nb: 2", "a", "x\ny", 'a: "x\\ny"\n\nb: 2'),
        ("{ a: 1 }", "b", "x, y", "{ a: 1, b: 'x, y' }"),
        ("{a: 1,}", "a", {"c": [1]}, "{a: {c: [1]},}"),
        ("{}", "a", 1, "{a: 1}"),
        ('{"a": 1}', "b", None, '{"a": 1, "b": null}'),
    ],
)
def test_put(before: str, key: str, value: object, after: str) -> None:
    assert Splice(before).put((), key, value) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", 'version: 1\nrules:\n  - match: "a/b"\n    enabled: false\n'),
        ("# mine", '# mine\nversion: 1\nrules:\n  - match: "a/b"\n    enabled: false\n'),
        ("version: 1", 'version: 1\nrules:\n  - match: "a/b"\n    enabled: false'),
        ("rules: []\n", 'rules:\n  - match: "a/b"\n    enabled: false\n'),
        ("rules: [] # none", "rules: [{match: a/b, enabled: false}] # none"),
        ("rules:\n- match: c/d # x\n# end", 'rules:\n- match: c/d # x\n- match: "a/b"\n  enabled: false\n# end'),
        ("rules: [{match: c/d}]", "rules: [{match: c/d}, {match: a/b, enabled: false}]"),
        ("rules: [\n  {match: c/d} # x\n]", "rules: [\n  {match: c/d}, # x\n  {match: a/b, enabled: false}\n]"),
        ("rules: [\n  {match: c/d}, # x\n]", "rules: [\n  {match: c/d}, # x\n  {match: a/b, enabled: false},\n]"),
        ("rules: [\n  {match: c/d}]", "rules: [\n  {match: c/d},\n  {match: a/b, enabled: false}]"),
        ("{}", "{rules: [{match: a/b, enabled: false}]}"),
        ('{"rules": [{"match": "c/d"}]}', '{"rules": [{"match": "c/d"}, {"match": "a/b", "enabled": false}]}'),
    ],
)
def test_append(before: str, after: str) -> None:
    assert Splice(before).append(("rules",), ENTRY) == after


@pytest.mark.parametrize(
    ("before", "path", "key", "after"),
    [
        ("a: 1 # x\nb: 2\n", (), "a", "b: 2\n"),
        ("a: 1\n# on b\nb: 2", (), "b", "a: 1\n# on b"),
        ("a: 1\r\nb:\r\n  - 1\r\nc: 3\r\n", (), "b", "a: 1\r\nc: 3\r\n"),
        ("{a: 1, b: 2, c: 3}", (), "a", "{b: 2, c: 3}"),
        ("{a: 1, b: 2, c: 3}", (), "c", "{a: 1, b: 2}"),
        ("r:\n- a: 1\n  b: 2", ("r", 0), "a", "r:\n- b: 2"),
        ("r:\n- a: 1 # x\n  # on b\n  b: 2", ("r", 0), "a", "r:\n- \n  # on b\n  b: 2"),
        ("r:\n  - a: 1\n  # on c\n  - c: 3\n", ("r",), 0, "r:\n  # on c\n  - c: 3\n"),
        ("r:\n  -\n    a: 1\n  - c: 3\n", ("r",), 0, "r:\n  - c: 3\n"),
        ("r: # x\n  # y\n  - a: 1\n# end\n", ("r",), 0, "r: [] # x\n  # y\n# end\n"),
        ("r: [{a: 1}, {b: 2}]", ("r",), 1, "r: [{a: 1}]"),
        ("r: [{a: 1}]", ("r",), 0, "r: []"),
    ],
)
def test_cut(before: str, path: tuple[str | int, ...], key: str | int, after: str) -> None:
    assert Splice(before).cut(path, key) == after


def test_what_is_not_there_cannot_be_changed() -> None:
    for attempt in (
        lambda: Splice("a: 1").put(("b",), "c", 1),
        lambda: Splice("rules: 3").append(("rules",), ENTRY),
        lambda: Splice("a: 1").cut((), "b"),
        lambda: Splice("a: 1").cut((), "a"),
        lambda: Splice("a: ["),
    ):
        with pytest.raises(Unspliceable):
            attempt()
