"""Where values stand is exact: what is cut out of the text there says the value again."""

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from portkey_mcp.registry.pieces import Piece, flow, pieces, quoted

TEXT = """\
a: plain   # beside
b: "quoted"
c: |
  block
   of lines

# between
d:
  - {x: 1, y: [2, 3]}   # beside
  - &there
    z: "é\N{GRINNING FACE}"
e: *there
f:
"""

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


def cut(text: str, piece: Piece | None) -> str:
    return "" if piece is None else text[piece.start : piece.end]


@pytest.mark.parametrize("line_break", ["\n", "\r\n"])
def test_every_value_is_cut_exactly(line_break: str) -> None:
    text = TEXT.replace("\n", line_break)
    root = pieces(text)
    assert root is not None
    found = [cut(text, value).replace("\r\n", "\n") for _, value in root.pairs]

    assert found[:3] == ["plain", '"quoted"', "|\n  block\n   of lines"]
    assert found[3].startswith("- {x: 1") or found[3].startswith("-")
    assert found[3].endswith('"é\N{GRINNING FACE}"')
    assert found[4:] == ["*there", ""]
    listed = root.value_of("d")
    assert listed is not None
    assert cut(text, listed.items[0]) == "{x: 1, y: [2, 3]}"
    assert listed.column == 2


@pytest.mark.parametrize("text", ["", "# only a comment\n"])
def test_no_document_has_no_pieces(text: str) -> None:
    assert pieces(text) is None


def test_what_is_no_yaml_is_said() -> None:
    with pytest.raises(yaml.YAMLError):
        pieces("a: [")


@given(JSON)
def test_a_value_on_one_line_in_brackets_is_read_back_as_it_was(value: Any) -> None:
    for as_json in (False, True):
        written = flow(value, as_json=as_json)
        assert "\n" not in written
        if not as_json:
            assert yaml.safe_load(f"{{k: [{written}, 1]}}") == {"k": [value, 1]}


@given(st.text())
def test_a_quoted_text_is_read_back_as_it_was(text: str) -> None:
    assert yaml.safe_load(f"k: {quoted(text)}") == {"k": text}
