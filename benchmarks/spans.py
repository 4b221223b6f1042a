"""Whether the spans really arrive: a cost of tracing means nothing when they do not."""

import http.client
import time
from contextlib import AbstractContextManager

import uvloop

from benchmarks.connection import LoadError
from benchmarks.figures import Cost
from benchmarks.load import Point, run
from benchmarks.messages import ECHO
from benchmarks.standing import AT_ONCE, call_some
from benchmarks.targets import Target

PER_CALL = 2
"""SERVER and CLIENT."""
CALM = 200
"""So few calls that their spans fit into any queue: none may be missing."""
TOLERANCE = 0.02
LAG = 6.0
"""Seconds without a new span after which none is on its way: longer than the exporter's five seconds."""


def arriving(gateway: AbstractContextManager[Target], receiver: int, seconds: float) -> list[Cost]:
    """Count what the receiver gets for a few calls, and under load.

    Raises:
        LoadError: of the few, not about two spans each arrived.
    """
    with gateway as target:
        place = target.places["modern"]
        before = counted(receiver)
        calls = call_some(place, "modern", CALM).answered
        calm = (settled(receiver, before + calls * PER_CALL) - before) / calls
        if abs(calm - PER_CALL) > PER_CALL * TOLERANCE:
            raise LoadError(f"{calm:.2f} spans for each call arrived, not {PER_CALL}")
        before = counted(receiver)
        tally = uvloop.run(run(Point(ECHO, "modern", AT_ONCE, place), warm_up=0, seconds=seconds, calls=0))
        sent = tally.answered * PER_CALL
        came = settled(receiver, before + sent) - before
    return [
        Cost("spans_per_call", "spans received for each of a few calls", calm, ""),
        Cost("spans_received", f"spans received under full load, of {sent:,}", came / sent * 100 if sent else 0.0, "%"),
    ]


def settled(receiver: int, expected: int) -> int:
    """Wait until so many spans have come, or none comes any more; how many there are."""
    known, since = counted(receiver), time.monotonic()
    while known < expected and time.monotonic() - since < LAG:
        time.sleep(0.1)
        if (now := counted(receiver)) != known:
            known, since = now, time.monotonic()
    return known


def counted(receiver: int) -> int:
    """How many spans the receiver has had."""
    connection = http.client.HTTPConnection("127.0.0.1", receiver, timeout=10)
    try:
        connection.request("GET", "/")
        return int(connection.getresponse().read())
    finally:
        connection.close()
