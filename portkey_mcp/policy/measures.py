"""Durations and sizes as people write them: `90s`, `5m`, `150KB`. Pure."""

import re
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, WithJsonSchema

_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)")
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}

_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(B|KB|MB|KiB|MiB)", re.IGNORECASE)
_BYTES: Final = {"b": 1, "kb": 1000, "mb": 1_000_000, "kib": 1024, "mib": 1024 * 1024}


def seconds(value: Any) -> float:
    """`60s`, `1.5m`, `500ms`, `2h`, `1d` in seconds. A bare number has no unit and is refused.

    Raises:
        ValueError: it is none, or nothing is left of it.
    """
    found = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        raise ValueError("expected a duration like 500ms, 60s, 5m, 2h or 1d")
    length = float(found[1]) * _SECONDS[found[2]]
    if not length:
        raise ValueError("a duration must be longer than nothing")
    return length


def size(value: Any) -> int:
    """`150KB` (150,000), `64KiB` (65,536), `2MB`, `500B` in bytes.

    Raises:
        ValueError: it is none, or nothing is left of it.
    """
    found = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        raise ValueError("expected a size like 500B, 150KB, 64KiB or 2MB")
    number = int(float(found[1]) * _BYTES[found[2].lower()])
    if not number:
        raise ValueError("a size must be at least one byte")
    return number


def _text(pattern: re.Pattern[str], what: str, *examples: str) -> WithJsonSchema:
    return WithJsonSchema(
        {"type": "string", "pattern": f"^{pattern.pattern}$", "description": what, "examples": list(examples)}
    )


Duration = Annotated[float, BeforeValidator(seconds), _text(_DURATION, "A duration.", "500ms", "60s", "5m", "2h", "1d")]
"""Seconds."""

Size = Annotated[
    int, BeforeValidator(size), _text(_SIZE, "A size; KB is 1000 bytes, KiB 1024.", "150KB", "64KiB", "2MB")
]
"""Bytes."""
