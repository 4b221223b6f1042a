"""JSON as editors write it: with comments and trailing commas. Pure."""

import re
from typing import Any, Final

from portkey_mcp.wire import loads

STRING: Final = r'"(?:\\.|[^"\\])*"'
COMMENT: Final = re.compile(rf"({STRING})|//[^\n]*|/\*.*?\*/", re.DOTALL)
TRAILING_COMMA: Final = re.compile(rf"({STRING})|,(?=\s*[}}\]])", re.DOTALL)


def parse(text: str) -> Any:
    """Read one value. Line numbers in errors are those of the text.

    Raises:
        MalformedJson: not even that, or ambiguous.
    """
    text = COMMENT.sub(lambda found: found[1] or re.sub(r"[^\n]", " ", found[0]), text.removeprefix("\ufeff"))
    return loads(TRAILING_COMMA.sub(lambda found: found[1] or " ", text))
