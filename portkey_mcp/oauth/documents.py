"""Clients that name themselves by a URL: their documents, fetched guardedly, kept, and pinned where fetching fails.

A client id comes from whoever opens `/authorize`, before anybody signed in. So strangers must not make the gateway ask
others for them: an id is asked for once at a time, good answers are kept, failures are remembered, and ids nobody asked
for before share a small allowance. What a stranger is told says nothing about the network the gateway stands in.

What is remembered is this process's own, and lost with it.
"""

import logging
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import anyio

from portkey_mcp import wire
from portkey_mcp.egress import Egress
from portkey_mcp.errors import ClientRefused, NotFetched
from portkey_mcp.oauth.caching import good_for
from portkey_mcp.oauth.client_document import ClientDocument, check_id, read
from portkey_mcp.trust import Terms

LARGEST: Final = 65_536
"""Bytes of a document; the draft (section 6.6) thinks of 5 KB."""
MOST_KEPT: Final = 1_000
"""Documents, and failures; of more, the longest unused are forgotten."""
AT_ONCE: Final = 8
"""Fetches under way at the same time."""
BURST: Final = 20
PER_SECOND: Final = 0.5
"""Fetches of ids that are not known yet: how many at once, and how many more in each second."""
FAILED_FOR: Final = 30.0
"""Seconds for which a failure is remembered where nothing stands in for the document."""
SPARED_FOR: Final = 300.0
"""The same where a stale or pinned copy does: then nobody waits for a host that does not answer."""
STALE_FOR: Final = 7 * 86_400.0
"""Seconds since it was fetched, for which a document is used when a new one cannot be had."""

Value = TypeVar("Value")

logger = logging.getLogger(__name__)


@dataclass
class _Missing(ClientRefused):
    """No document came. `withdrawn`: the host says that there is none."""

    withdrawn: bool = False


@dataclass(slots=True)
class _Kept:
    document: ClientDocument
    fetched: float
    fresh_until: float


@dataclass(slots=True)
class _Failure:
    error: ClientRefused
    until: float


def pinned_documents() -> Mapping[str, ClientDocument]:
    """The shipped copies by client id; `pinned/README.md` says where they come from."""
    found = [wire.loads(file.read_bytes()) for file in sorted((Path(__file__).parent / "pinned").glob("*.json"))]
    return {document["client_id"]: read(document["client_id"], document).as_pinned() for document in found}


class ClientDocuments:
    """Finds the document of a client. One for the process.

    `terms` are asked each time: whose documents are taken, and which native schemes redirects may have. `pinned` stand
    in where fetching fails. `clock` counts seconds.
    """

    def __init__(
        self,
        egress: Egress,
        *,
        terms: Callable[[], Terms] = Terms,
        pinned: Mapping[str, ClientDocument] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._egress = egress
        self._terms = terms
        self._native: frozenset[str] = frozenset()
        self._pinned = pinned_documents() if pinned is None else pinned
        self._clock = clock
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._failures: OrderedDict[str, _Failure] = OrderedDict()
        self._locks: dict[str, anyio.Lock] = {}
        self._places = anyio.Semaphore(AT_ONCE)
        self._allowance, self._counted = float(BURST), clock()

    async def find(self, client_id: str) -> ClientDocument:
        """The document of the client that has this URL as its id.

        Raises:
            ClientRefused: it may not come in, or its document cannot be had just now; `str()` is for the person.
        """
        host, terms = check_id(client_id), self._terms()
        domains = [domain.lower().strip(".") for domain in terms.document_domains]
        if domains and not any(host == domain or host.endswith(f".{domain}") for domain in domains):
            raise ClientRefused(f"Clients of {host} are not accepted here.")
        self._take_over(frozenset(scheme.lower() for scheme in terms.native_schemes))
        if found := self._remembered(client_id):
            return found
        async with self._alone(client_id):
            return self._remembered(client_id) or await self._renewed(client_id, host)

    def _take_over(self, native: frozenset[str]) -> None:
        """What was read while other schemes were allowed is to be read again."""
        if native != self._native:
            self._native = native
            self._kept.clear()
            self._failures.clear()

    def _remembered(self, client_id: str) -> ClientDocument | None:
        """What need not be fetched now. Raises ClientRefused where a failure is remembered and nothing stands in."""
        now = self._clock()
        kept = self._kept.get(client_id)
        if kept is not None and now < kept.fresh_until:
            self._kept.move_to_end(client_id)
            return kept.document
        failure = self._failures.get(client_id)
        if failure is None or failure.until <= now:
            return None
        return self._standing_in(client_id, failure.error)

    def _standing_in(self, client_id: str, error: ClientRefused) -> ClientDocument:
        """The copy to use since no document came. Raises that error where there is none."""
        kept = self._kept.get(client_id)
        if kept is not None and self._clock() < kept.fetched + STALE_FOR:
            return kept.document
        if isinstance(error, _Missing) and client_id in self._pinned:
            return self._pinned[client_id]
        raise ClientRefused(error.text, error.retry_after)

    async def _renewed(self, client_id: str, host: str) -> ClientDocument:
        if client_id not in self._kept and client_id not in self._pinned and not self._may_ask():
            raise ClientRefused("Too many unknown clients have come of late; try again in a minute.", 60.0)
        try:
            async with self._places:
                document, seconds = await self._fetched(client_id, host)
        except ClientRefused as error:
            return self._failed(client_id, error)
        now = self._clock()
        self._failures.pop(client_id, None)
        _keep(self._kept, client_id, _Kept(document, now, now + seconds))
        logger.info("client document %s: fetched, kept for %d s", client_id, seconds)
        return document

    def _failed(self, client_id: str, error: ClientRefused) -> ClientDocument:
        """Remember a failure, and say what stands in for the document. Raises the error where nothing does.

        A document that came and is no good ends the kept copy, and so does a host that says it has none: whoever has
        the URL says that its client is another one, or none. A pinned copy stands in only where none came.
        """
        if not isinstance(error, _Missing) or error.withdrawn:
            self._kept.pop(client_id, None)
        reason = error.__cause__ or error
        try:
            found = self._standing_in(client_id, error)
        except ClientRefused:
            logger.info("client document %s: refused (%s)", client_id, reason)
            _keep(self._failures, client_id, _Failure(error, self._clock() + FAILED_FOR))
            raise
        copy = "the pinned copy" if found.source == "pinned" else "the last good one"
        logger.warning("client document %s: %s is used, since fetching failed (%s)", client_id, copy, reason)
        _keep(self._failures, client_id, _Failure(error, self._clock() + SPARED_FOR))
        return found

    async def _fetched(self, client_id: str, host: str) -> tuple[ClientDocument, float]:
        """The document as it is now, and for how many seconds it is good."""
        try:
            answer = await self._egress.get(client_id, largest=LARGEST)
            if answer.status != 200:
                text = f"The client's document was not found: {host} answered {answer.status}."
                raise _Missing(text, FAILED_FOR, withdrawn=answer.status in (404, 410))
            found = answer.json()
        except NotFetched as error:
            why = "its host cannot be asked, or does not answer" if error.inside else str(error)
            raise _Missing(f"The client's document cannot be fetched: {why}.", FAILED_FOR) from error
        return read(client_id, found, self._native), good_for(answer.headers, time.time())

    def _may_ask(self) -> bool:
        """Take one from the allowance for ids that are not known yet."""
        now = self._clock()
        self._allowance = min(float(BURST), self._allowance + (now - self._counted) * PER_SECOND)
        self._counted = now
        if self._allowance < 1.0:
            return False
        self._allowance -= 1.0
        return True

    @asynccontextmanager
    async def _alone(self, client_id: str) -> AsyncIterator[None]:
        """One at a time for one id; those who waited find what the first one got."""
        lock = self._locks.setdefault(client_id, anyio.Lock())
        try:
            async with lock:
                yield
        finally:
            state = lock.statistics()
            if not state.locked and not state.tasks_waiting:
                self._locks.pop(client_id, None)


def _keep(shelf: OrderedDict[str, Value], client_id: str, value: Value) -> None:
    shelf[client_id] = value
    shelf.move_to_end(client_id)
    while len(shelf) > MOST_KEPT:
        shelf.popitem(last=False)
