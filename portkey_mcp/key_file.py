"""The file with the keys for secrets at rest: `id:base64`, one a line, the first one seals. Only its owner reads it.

It is always replaced whole, and on disk before anybody seals with what is new in it.
"""

import base64
import logging
import os
import re
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from portkey_mcp.errors import Conflict

log = logging.getLogger(__name__)

KEY_BYTES: Final = 32
NUMBERED: Final = re.compile(r"k(\d{1,9})")
"""How keys are called that the gateway makes; people may call theirs otherwise."""

Stamp = tuple[int, int, int]
"""What changes with a file: its number, size and time."""


class KeyFile:
    """One key file. What its text means is for `KeyRing` to say."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def stamp(self) -> Stamp | None:
        """Another one means another content; None where there is no file."""
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns

    def text(self) -> str:
        """What it says.

        Raises:
            OSError: it cannot be read.
        """
        return self.path.read_text(encoding="ascii", errors="replace")

    def make(self) -> None:
        """Write a fresh key, unless there is a file; of several processes that try at once, one wins whole."""
        if self.path.exists():
            return
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = self._draft(f"k1:{_fresh()}\n")
        try:
            os.link(draft, self.path)
            log.warning(
                "made a new key for secrets at rest: %s; without it they cannot be read, so keep a copy", self.path
            )
        except FileExistsError:
            pass
        finally:
            draft.unlink()

    def add(self) -> str:
        """Put a fresh key in front, so that it seals from now on, and return its id. The others go on opening.

        Raises:
            OSError: it cannot be written; nothing changed.
        """
        entries = self._entries()
        numbers = [int(found[1]) for one in entries if (found := NUMBERED.fullmatch(_id(one)))]
        fresh = f"k{max(numbers, default=0) + 1}"
        self._replace([f"{fresh}:{_fresh()}", *entries])
        return fresh

    def drop(self, key_ids: set[str]) -> None:
        """Take keys out: what they sealed can never be read again.

        Raises:
            OSError: it cannot be written; nothing changed.
        """
        self._replace([one for one in self._entries() if _id(one) not in key_ids])

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody else changes keys meanwhile. The lock, SQLite's, ends with the process that holds it.

        Raises:
            Conflict: somebody does.
        """
        with closing(sqlite3.connect(self.path.with_suffix(".lock"), timeout=0, isolation_level=None)) as lock:
            try:
                lock.execute("BEGIN EXCLUSIVE")
            except sqlite3.OperationalError:
                raise Conflict("keys are being changed by another command just now; wait until it is done") from None
            yield

    def _entries(self) -> list[str]:
        return [entry for entry in re.split(r"[,\s]+", self.text()) if entry]

    def _replace(self, entries: list[str]) -> None:
        draft = self._draft("".join(f"{entry}\n" for entry in entries))
        try:
            draft.replace(self.path)
        except OSError:
            draft.unlink()
            raise
        if os.name == "posix":
            folder = os.open(self.path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def _draft(self, text: str) -> Path:
        draft = self.path.with_name(f".{self.path.name}.{secrets.token_hex(8)}")
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        return draft


def _id(entry: str) -> str:
    return entry.partition(":")[0]


def _fresh() -> str:
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()
