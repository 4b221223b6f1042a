"""Windows tile time in every zone, and begin when the clocks there say so."""

import zoneinfo
from datetime import UTC, datetime, timedelta
from typing import get_args
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from portkey_mcp.policy.parts import Window
from portkey_mcp.policy.windows import window

ZONES = sorted(zoneinfo.available_timezones() - {"localtime", "Factory"})
AROUND_CHANGES = st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))


def shown(per: Window, zone: str, at: str) -> tuple[str, str]:
    """Start and end as the clocks there show them, of the window at a moment written with its offset."""
    start, end = window(per, ZoneInfo(zone), datetime.fromisoformat(at))
    return tuple(datetime.fromtimestamp(moment, ZoneInfo(zone)).isoformat() for moment in (start, end))


def length(per: Window, zone: str, at: str) -> timedelta:
    start, end = window(per, ZoneInfo(zone), datetime.fromisoformat(at))
    return timedelta(seconds=end - start)


@pytest.mark.parametrize(
    ("per", "start", "end"),
    [
        ("minute", "2026-11-24T14:48:00+01:00", "2026-11-24T14:49:00+01:00"),
        ("hour", "2026-11-24T14:00:00+01:00", "2026-11-24T15:00:00+01:00"),
        ("day", "2026-11-24T00:00:00+01:00", "2026-11-25T00:00:00+01:00"),
        ("week", "2026-11-23T00:00:00+01:00", "2026-11-30T00:00:00+01:00"),
        ("month", "2026-11-01T00:00:00+01:00", "2026-12-01T00:00:00+01:00"),
    ],
)
def test_a_window_begins_by_the_clocks_of_the_zone(per: Window, start: str, end: str) -> None:
    assert shown(per, "Europe/Berlin", "2026-11-24T13:48:30.999+00:00") == (start, end)


def test_the_date_is_the_one_of_the_zone_not_of_utc() -> None:
    at = "2026-12-31T23:30:00+00:00"
    assert shown("month", "UTC", at)[0] == "2026-12-01T00:00:00+00:00"
    assert shown("month", "Asia/Tokyo", at)[0] == "2027-01-01T00:00:00+09:00"
    assert shown("week", "Asia/Tokyo", at)[0] == "2026-12-28T00:00:00+09:00"


def test_a_day_has_23_or_25_hours_where_the_clocks_change() -> None:
    assert length("day", "Europe/Berlin", "2026-03-29T12:00:00+02:00") == timedelta(hours=23)
    assert length("day", "Europe/Berlin", "2026-10-25T12:00:00+01:00") == timedelta(hours=25)
    assert length("week", "Europe/Berlin", "2026-10-25T12:00:00+01:00") == timedelta(hours=7 * 24 + 1)


def test_a_repeated_hour_is_another_hour() -> None:
    first = shown("hour", "Europe/Berlin", "2026-10-25T02:30:00+02:00")
    second = shown("hour", "Europe/Berlin", "2026-10-25T02:30:00+01:00")
    assert first == ("2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00")
    assert second == ("2026-10-25T02:00:00+01:00", "2026-10-25T03:00:00+01:00")


def test_a_day_whose_midnight_is_skipped_begins_with_what_comes_instead() -> None:
    sao_paulo = shown("day", "America/Sao_Paulo", "2018-11-04T12:00:00-02:00")
    assert sao_paulo == ("2018-11-04T01:00:00-02:00", "2018-11-05T00:00:00-02:00")
    cairo = shown("day", "Africa/Cairo", "2026-04-24T12:00:00+03:00")
    assert cairo == ("2026-04-24T01:00:00+03:00", "2026-04-25T00:00:00+03:00")
    toronto = shown("day", "America/Toronto", "1919-03-31T12:00:00-04:00")
    assert toronto[0] == "1919-03-31T00:30:00-04:00"


def test_a_midnight_that_comes_twice_begins_its_day_the_first_time() -> None:
    st_johns = ("2010-11-07T00:00:00-02:30", "2010-11-08T00:00:00-03:30")
    assert shown("day", "America/St_Johns", "2010-11-07T00:00:30-02:30") == st_johns
    assert shown("day", "America/St_Johns", "2010-11-06T23:30:00-03:30") == st_johns


def test_a_date_that_is_skipped_is_no_window() -> None:
    before, after = "2011-12-29T12:00:00-10:00", "2011-12-31T12:00:00+14:00"
    assert length("day", "Pacific/Apia", before) == length("day", "Pacific/Apia", after) == timedelta(days=1)
    assert shown("day", "Pacific/Apia", before)[1] == shown("day", "Pacific/Apia", after)[0]


def test_offsets_of_half_an_hour_shift_hours_too() -> None:
    assert shown("hour", "Asia/Kolkata", "2026-11-24T10:15:00+00:00")[0] == "2026-11-24T15:00:00+05:30"
    lord_howe = [
        shown("hour", "Australia/Lord_Howe", at) for at in ("2026-04-05T01:45+11:00", "2026-04-05T01:45+10:30")
    ]
    assert lord_howe == [
        ("2026-04-05T01:00:00+11:00", "2026-04-05T01:30:00+10:30"),
        ("2026-04-05T01:30:00+10:30", "2026-04-05T02:00:00+10:30"),
    ]
    assert length("hour", "Australia/Lord_Howe", "2026-10-04T02:45+11:00") == timedelta(minutes=30)


@given(st.sampled_from(get_args(Window)), st.sampled_from(ZONES), AROUND_CHANGES)
@example("day", "America/St_Johns", datetime(2010, 11, 7, 2, 45, tzinfo=UTC))
@example("hour", "America/St_Johns", datetime(2010, 11, 7, 2, 45, tzinfo=UTC))
@example("day", "Pacific/Apia", datetime(2011, 12, 30, 10, tzinfo=UTC))
@example("minute", "Africa/Monrovia", datetime(1972, 1, 7, 0, 44, 30, tzinfo=UTC))
@example("day", "Pacific/Kwajalein", datetime(1993, 8, 21, 12, tzinfo=UTC))
@example("day", "Pacific/Kwajalein", datetime(1969, 9, 30, 14, tzinfo=UTC))
def test_windows_tile_time_in_every_zone(per: Window, name: str, now: datetime) -> None:
    zone = ZoneInfo(name)
    start, end = window(per, zone, now)
    assert start <= now.timestamp() < end
    assert window(per, zone, datetime.fromtimestamp(end, UTC))[0] == end
    assert window(per, zone, datetime.fromtimestamp(start - 1, UTC))[1] == start
    for moment in (start, end - 1):
        assert window(per, zone, datetime.fromtimestamp(moment, UTC)) == (start, end)
