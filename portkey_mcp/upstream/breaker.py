"""A circuit breaker with backoff: after a few failures in a row, callers are told at once instead of waiting again.

`Breaker` is pure: time and chance are arguments. `Gate` is one server's breaker with the clock and the dice.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from portkey_mcp.errors import UpstreamDown

THRESHOLD = 3
"""Failures in a row that open the breaker: one may be a dropped packet, two a restart, three is down."""
BASE = 1.0
"""Seconds: the ceiling of the first pause."""
CEILING = 60.0
"""Seconds: no pause is longer, so a server that came back is found within a minute."""
TRIAL = 35.0
"""Seconds a half-open trial may take before another one is let through; longer than opening a link may last."""


def backoff(attempt: int, chance: float, *, base: float = BASE, ceiling: float = CEILING) -> float:
    """Seconds to wait before try `attempt` (0 is the first): full jitter, `chance` being uniform in [0, 1)."""
    return chance * min(ceiling, base * 2.0 ** min(attempt, 30))


@dataclass(slots=True)
class Breaker:
    """Closed below `THRESHOLD` failures; then open until a moment; then one trial at a time until a success."""

    failures: int = 0
    closed_until: float = 0.0
    """While open: when the next trial may go. Unused while the breaker is closed."""

    @property
    def is_open(self) -> bool:
        """True from the third failure in a row until a success, trials included."""
        return self.failures >= THRESHOLD

    def enter(self, now: float) -> float | None:
        """None: go ahead (and when open, you are the trial). Else the seconds until the next trial."""
        if not self.is_open:
            return None
        if now < self.closed_until:
            return self.closed_until - now
        self.closed_until = now + TRIAL
        return None

    def failed(self, now: float, chance: float) -> None:
        """Note a failure to connect."""
        self.failures += 1
        if self.is_open:
            self.closed_until = now + backoff(self.failures - THRESHOLD, chance)

    def succeeded(self) -> None:
        """Note a success: everything is forgotten."""
        self.failures = 0


class Gate:
    """The breaker of one server. `on_open` is called when it opens, so that somebody tries again by himself."""

    def __init__(
        self,
        server: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
        on_open: Callable[[], None] = lambda: None,
    ) -> None:
        self.server = server
        self._breaker = Breaker()
        self._clock, self._chance, self._on_open = clock, chance, on_open
        self._reason = ""

    @property
    def is_open(self) -> bool:
        """Whether calls are refused, or let through one by one."""
        return self._breaker.is_open

    @property
    def pause(self) -> float:
        """Seconds until the next trial may go; 0 when it may go now."""
        return max(0.0, self._breaker.closed_until - self._clock()) if self.is_open else 0.0

    def enter(self) -> None:
        """Ask before connecting.

        Raises:
            UpstreamDown: the breaker is open; `retry_after` says how long still.
        """
        if not self._breaker.failures:
            return
        wait = self._breaker.enter(self._clock())
        if wait is not None:
            raise UpstreamDown(self.server, f"{self._reason}; it is tried again by itself", retry_after=wait)

    def failed(self, reason: str) -> None:
        """Connecting failed; `reason` is told to those who are refused from now on."""
        was_open = self.is_open
        self._reason = reason
        self._breaker.failed(self._clock(), self._chance())
        if self.is_open and not was_open:
            self._on_open()

    def succeeded(self) -> None:
        """The server answered."""
        if self._breaker.failures:
            self._breaker.succeeded()
