"""For how long a document is good."""

import pytest

from portkey_mcp.oauth.caching import LONGEST, SHORTEST, UNTOLD, good_for

NOW = 1_800_000_000.0
DATE = "Fri, 15 Jan 2027 08:00:00 GMT"
LATER = "Fri, 15 Jan 2027 08:20:00 GMT"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, UNTOLD),
        ({"cache-control": "public, max-age=3000"}, 3000),
        ({"cache-control": 'Max-Age="3000"', "expires": DATE}, 3000),
        ({"cache-control": "max-age=3000", "age": "1000"}, 2000),
        ({"cache-control": "max-age=3000", "age": "x"}, 3000),
        ({"cache-control": "max-age=1"}, SHORTEST),
        ({"cache-control": "no-store, max-age=3000"}, SHORTEST),
        ({"cache-control": "no-cache"}, SHORTEST),
        ({"cache-control": "max-age=9999999999"}, LONGEST),
        ({"cache-control": f"max-age={'9' * 5000}"}, UNTOLD),
        ({"cache-control": "public"}, UNTOLD),
        ({"expires": LATER, "date": DATE}, 1200),
        ({"expires": LATER}, 1200),
        ({"expires": DATE, "date": LATER}, SHORTEST),
        ({"expires": "0"}, SHORTEST),
        ({"expires": "Fri, 15 Jan 999999 08:20:00 GMT"}, SHORTEST),
    ],
)
def test_a15_headers_say_how_long_within_bounds(headers: dict[str, str], seconds: float) -> None:
    assert good_for(headers, NOW) == seconds
