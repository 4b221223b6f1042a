"""Keeps the registry equal to a `portkey.yaml`: applied whole or not at all, on start and whenever it changes.

Directories are watched, not files: an editor or a Kubernetes ConfigMap swaps files and links, and a watch on the file
itself would follow the old one. What counts is whether the contents changed.
"""

import hashlib
import logging
from collections.abc import Collection, Iterable
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import Final, Protocol

import anyio
import anyio.to_thread
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession
from watchfiles import awatch

from portkey_mcp.errors import Mistake
from portkey_mcp.model import DeclaredKey, DeclaredMember
from portkey_mcp.registry.declared import Declared
from portkey_mcp.registry.document import load
from portkey_mcp.registry.registry import Registry
from portkey_mcp.trust import Trust

log = logging.getLogger(__name__)

DEBOUNCE_MS: Final = 200
"""How long changes are gathered; one save of an editor is several events."""

LOOK_AGAIN_MS: Final = 2000
"""How often the contents are compared although no event came: network file systems send none."""


class Keepers(Protocol):
    """Who owns API keys and members."""

    async def provision(
        self, session: AsyncSession, keys: Iterable[DeclaredKey], members: Iterable[DeclaredMember]
    ) -> Collection[str]:
        """Take over what is declared, in this transaction; returns the workspaces that hold some made by hand."""
        ...

    async def refresh(self) -> None:
        """Read them anew."""
        ...


class Provisioning:
    """Applies files. `last_error` is what was wrong with the last one, in full; empty once one was applied again."""

    def __init__(self, registry: Registry, keepers: Keepers) -> None:
        self._registry = registry
        self._keepers = keepers
        self._files: tuple[Path, ...] = ()
        self._applied = ""
        self.last_error = ""
        self.trust = Trust()
        """Whom the file that was applied last says to trust, secrets resolved."""

    async def apply(self, path: Path) -> Declared:
        """Make the registry equal to the file, or leave it as it is.

        Raises:
            Mistakes: the file is wrong.
            Mistake: it contradicts what was made by hand, or a reference of an API key leads nowhere.
        """
        known, named = self._files or (path,), list[Path]()
        before = await anyio.to_thread.run_sync(digest, known)
        try:
            declared = await anyio.to_thread.run_sync(load, path, named)
            trust = await self._registry.resolved_trust(declared.trust)
            identities = partial(self._keepers.provision, members=declared.members)
            await self._registry.provision(declared, identities)
            await self._keepers.refresh()
            self.trust = trust
            self.last_error = ""
        except (Mistake, SQLAlchemyError) as error:
            self.last_error = str(error)
            raise
        finally:
            # Of files known before, the digest from before they were read: what changed meanwhile is read once more.
            self._files = tuple(named) or (path,)
            self._applied = before if self._files == known else await anyio.to_thread.run_sync(digest, self._files)
        return declared

    async def watch(self, path: Path) -> None:
        """Apply the file whenever it, or a policy file that it names, changes; until cancelled.

        A file that is wrong is logged and changes nothing. It is compared with what `apply` saw last, so that no change
        between the two is lost.
        """
        while True:
            files = self._files or (path,)
            await changed(files, self._applied)
            try:
                await self.apply(path)
            except (Mistake, SQLAlchemyError) as error:
                log.error("%s was not applied:\n%s", path, error)
            else:
                log.info("%s was applied", path)


async def changed(files: Collection[Path], seen: str) -> None:
    """Wait until the contents of these files have another digest than `seen`."""
    if await anyio.to_thread.run_sync(digest, files) != seen:
        return
    directories = {path.absolute().parent for path in files}
    stop = anyio.Event()
    events = awatch(
        *(directory for directory in directories if directory.is_dir()),
        watch_filter=None,
        debounce=DEBOUNCE_MS,
        stop_event=stop,
        rust_timeout=LOOK_AGAIN_MS,
        yield_on_timeout=True,
        recursive=False,
    )
    async with anyio.create_task_group() as tasks, aclosing(events):
        tasks.start_soon(_set_when_cancelled, stop)
        async for _ in events:
            if await anyio.to_thread.run_sync(digest, files) != seen:
                break
        tasks.cancel_scope.cancel()


async def _set_when_cancelled(stop: anyio.Event) -> None:
    """The watching thread looks at `stop` only; cancellation alone would wait for it to time out."""
    try:
        await anyio.sleep_forever()
    finally:
        stop.set()


def digest(files: Iterable[Path]) -> str:
    """A digest of the contents of files; one that cannot be read counts as a content of its own."""
    whole = hashlib.sha256()
    for path in files:
        try:
            part = hashlib.sha256(path.read_bytes()).digest()
        except OSError:
            part = b"unreadable"
        whole.update(part)
    return whole.hexdigest()
