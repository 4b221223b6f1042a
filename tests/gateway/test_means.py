"""What every call works with has safe ways where nothing was given: nothing is counted, asked, pinned or noted."""

from types import SimpleNamespace
from typing import Any

from portkey_mcp.gateway.means import Means
from portkey_mcp.gateway.visible import NO_PINS
from portkey_mcp.policy.document import ServerPolicy
from portkey_mcp.telemetry.spans import SILENT

NOTHING: Any = SimpleNamespace()


def test_what_is_not_given_denies() -> None:
    means = Means(NOTHING, NOTHING, NOTHING, NOTHING, SILENT, 5.0)
    assert means.gate.counter is None
    assert means.gate.asking is None
    assert not means.pins.admits("team/a", ServerPolicy(pin=True), "read", "digest")
    assert means.pins.admits("team/a", ServerPolicy(), "read", "digest")
    assert not NO_PINS.restricts("team/a")
    assert means.note(NOTHING) is None
