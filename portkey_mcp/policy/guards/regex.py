"""Regular expressions that strangers' text is searched with: RE2, which takes time linear in the text. Pure."""

import importlib
from functools import lru_cache
from typing import Any, Final

LONGEST: Final = 1000
"""Characters of an expression that a person writes."""


@lru_cache(maxsize=1024)
def compile_own(text: str) -> Any:
    """Compile an expression of a person's own; what comes back searches like `re.Pattern`.

    Raises:
        ValueError: it is none, fits the empty text, or RE2 is not there: Python's own engine can be made to hang.
    """
    try:
        re2 = importlib.import_module("re2")  # when a policy first has an expression: it brings 3 MB
    except ImportError:  # no build of it for this Python yet
        message = "regular expressions of your own need the package google-re2, which this Python has not"
        raise ValueError(message) from None
    if len(text) > LONGEST:
        raise ValueError(f"a regular expression has at most {LONGEST} characters, this one {len(text)}")
    options = re2.Options()
    options.log_errors = False
    try:
        compiled = re2.compile(text, options)
    except re2.error as error:
        said = error.args[0].decode() if isinstance(error.args[0], bytes) else str(error)
        raise ValueError(f"is no RE2 expression: {said}") from None
    if compiled.search("") is not None:
        raise ValueError("the expression fits an empty text, and so would be found everywhere")
    return compiled
