"""Logging: one line for a record, to standard error, and no line that could hold an argument, a result or a token.

    2026-11-22T20:00:00.123Z WARNING portkey_mcp.upstream.pool: server 'linear' is not available

What foreign libraries say of the data they carry is silenced. An exception is told by its type and where it arose; its
text only where it is our own or the operating system's, since others quote what they choked on.
"""

import logging
import os
import time
import traceback
from typing import Final, TextIO

from portkey_mcp.errors import PortkeyError, UpstreamError

QUIET: Final = {
    "aiohttp": logging.WARNING,
    "aiosqlite": logging.WARNING,
    "alembic": logging.WARNING,
    "httpcore2": logging.WARNING,
    "httpx2": logging.WARNING,  # every URL at INFO
    "mcp": logging.WARNING,  # session ids at INFO
    "opentelemetry.trace": logging.ERROR,  # malformed tracestate of clients, quoted, at WARNING
    "uvicorn.access": logging.WARNING,
    "watchfiles": logging.WARNING,
}
"""Logger -> the lowest level that is heard of it, whatever the level set."""

FRAMES: Final = 6
"""Places of an exception's way that are told, the innermost first."""

_ESCAPES: Final = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160), 0x2028, 0x2029)}
_ESCAPES.update({ord("\n"): "\\n", ord("\r"): "\\r", ord("\t"): "\t"})


class OneLine(logging.Formatter):
    """Formats a record as one line; line breaks and control characters in it are escaped."""

    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def format(self, record: logging.LogRecord) -> str:
        line = f"{self.formatTime(record)} {record.levelname} {record.name}: {record.getMessage()}"
        if record.exc_info and record.exc_info[1] is not None:
            line = f"{line} ({told(record.exc_info[1])})"
        return line.translate(_ESCAPES)


def told(error: BaseException) -> str:
    """An exception in one line: its type, its text where that is safe, and where it came from, innermost first."""
    kind = type(error)
    text = f": {error}" if _is_safe(error) else ""
    frames = traceback.extract_tb(error.__traceback__)[: -FRAMES - 1 : -1]
    places = " < ".join(f"{os.path.basename(frame.filename)}:{frame.lineno} {frame.name}" for frame in frames)
    return f"{kind.__module__}.{kind.__qualname__}{text}{' at ' if places else ''}{places}"


def _is_safe(error: BaseException) -> bool:
    return isinstance(error, OSError | PortkeyError) and not isinstance(error, UpstreamError)


def start(level: str, stream: TextIO | None = None) -> None:
    """Set logging up for the process; standard error where no stream is given. Replaces what was set up before."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(OneLine())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name, lowest in QUIET.items():
        logging.getLogger(name).setLevel(lowest)
    for name in ("uvicorn", "uvicorn.error"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
