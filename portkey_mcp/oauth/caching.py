"""For how long a fetched document is good, as its headers say. Pure."""

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Final

SHORTEST: Final = 300.0
LONGEST: Final = 86_400.0
UNTOLD: Final = 3_600.0
"""Seconds: at least, at most, and where the headers say nothing."""

_MAX_AGE: Final = re.compile(r'max-age\s*=\s*"?(\d{1,10})(?!\d)')
_NOT_AT_ALL: Final = re.compile(r"\bno-(?:store|cache)\b")


def good_for(headers: Mapping[str, str], now: float) -> float:
    """Seconds (RFC 9111, section 4.2). `headers` have names in small letters, `now` is seconds since the epoch.

    Whoever writes the headers neither makes us ask all the time nor keeps us from asking again.
    """
    return min(LONGEST, max(SHORTEST, _said(headers, now)))


def _said(headers: Mapping[str, str], now: float) -> float:
    control = headers.get("cache-control", "").lower()
    if _NOT_AT_ALL.search(control):
        return 0.0
    if found := _MAX_AGE.search(control):
        age = headers.get("age", "")
        return float(found[1]) - (float(age) if re.fullmatch(r"[0-9]{1,10}", age) else 0.0)
    if "expires" not in headers:
        return UNTOLD
    expires = _moment(headers["expires"])
    return 0.0 if expires is None else expires - (_moment(headers.get("date", "")) or now)


def _moment(date: str) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError):
        return None
