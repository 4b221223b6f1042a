"""Calendar windows: from when until when a limit counts, by the clocks of a time zone. Pure.

Windows of one length tile time: each begins where the one before ended, whatever the clocks do. A day lasts 23 or 25
hours where they change. Where an hour is shown twice, the second showing is another hour; where half of one is shown
twice (Lord Howe Island), that half is a window of its own, and what is skipped is in none.
"""

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final, assert_never
from zoneinfo import ZoneInfo

from portkey_mcp.policy.parts import Window

_REMEMBERED: Final = 1024
"""Windows kept, by the second they were asked in: calls of one second share them."""


def window(per: Window, zone: ZoneInfo, now: datetime) -> tuple[int, int]:
    """Start and end of the window that `now` (with its zone) is in, seconds since the epoch: start <= now < end."""
    return _at(per, zone, int(now.timestamp() // 1))


@lru_cache(maxsize=_REMEMBERED)
def _at(per: Window, zone: ZoneInfo, now: int) -> tuple[int, int]:
    match per:
        case "minute":
            return _by_the_clock(60, zone, now)
        case "hour":
            return _by_the_clock(3600, zone, now)
        case "day" | "week" | "month":
            # More than the two around today: near a change of clocks the date of now may be another than its window's,
            # and where a whole date was skipped (Samoa, 2011-12-30) two begin at once.
            begins = [_beginning(day, zone) for day in _days(per, _shown(now, zone).date())]
            return max(start for start in begins if start <= now), min(end for end in begins if end > now)
        case _:
            assert_never(per)


def _days(per: Window, today: date) -> list[date]:
    """Days near `today` with which windows begin, in order."""
    if per == "day":
        return [today + timedelta(days=step) for step in range(-2, 4)]
    if per == "week":
        monday = today - timedelta(days=today.weekday())
        return [monday + timedelta(weeks=step) for step in range(-1, 3)]
    months = [today.year * 12 + today.month - 1 + step for step in range(-1, 3)]
    return [date(month // 12, month % 12 + 1, 1) for month in months]


def _beginning(day: date, zone: ZoneInfo) -> int:
    """When the clocks first show midnight of this day, or what comes instead where they skip it."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
    # Both readings of a time that is not there lie around the jump, the later reading first (PEP 495).
    late, early = round(midnight.timestamp()), round(midnight.replace(fold=1).timestamp())
    return late if late <= early else _change(early, late, zone)


def _by_the_clock(length: int, zone: ZoneInfo, now: int) -> tuple[int, int]:
    """The minute or hour that the clocks show, cut off where they change."""
    offset = _offset(now, zone)
    start = now - (now + offset) % length
    end = start + length
    if _offset(start, zone) != offset:
        start = _change(start, now, zone)
    if _offset(end - 1, zone) != offset:
        end = _change(now, end - 1, zone)
    return start, end


def _change(before: int, after: int, zone: ZoneInfo) -> int:
    """The first second with the offset that `after` has, where `before` has another and there is one change between."""
    offset = _offset(after, zone)
    while after - before > 1:
        middle = (before + after) // 2
        if _offset(middle, zone) == offset:
            after = middle
        else:
            before = middle
    return after


def _offset(moment: int, zone: ZoneInfo) -> int:
    """How far the clocks are ahead of UTC then, in seconds."""
    offset = _shown(moment, zone).utcoffset()
    assert offset is not None
    return round(offset.total_seconds())


def _shown(moment: int, zone: ZoneInfo) -> datetime:
    return datetime.fromtimestamp(moment, UTC).astimezone(zone)
