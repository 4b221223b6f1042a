"""One call's way to its server, as the limits that counted it must know: whether it went out, and when it is over."""

from collections.abc import Awaitable, Callable


class Passage:
    """`rounds` are the requests that were sent for the call. `goes_on`: it is answered by a task of its own by now.

    A call that a person must answer first goes on after its exchange has ended, and keeps its place among the calls
    under way until then.
    """

    __slots__ = ("_then", "goes_on", "rounds")

    def __init__(self) -> None:
        self.rounds = 0
        self.goes_on = False
        self._then: Callable[[], Awaitable[None]] | None = None

    def when_over(self, then: Callable[[], Awaitable[None]]) -> None:
        """Have this done when the task that the call goes on in has ended."""
        self._then = then

    async def over(self) -> None:
        """The task has ended."""
        self.goes_on = False
        if self._then is not None:
            then, self._then = self._then, None
            await then()
