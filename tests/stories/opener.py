"""A desktop for programs that open a browser by themselves: what they ask to be shown, the story reads."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio

from tests.stories.hearing import PATIENCE

OPENERS = ("xdg-open", "x-www-browser", "sensible-browser")
"""What programs call to open a browser on Linux; the npm package `open` brings its own, which obeys `BROWSER`."""


class Opener:
    """Reads the URLs that programs with `environment` asked to be shown."""

    def __init__(self, folder: Path, fd: int) -> None:
        self.environment = {
            "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
            "BROWSER": str(folder / OPENERS[0]),
        }
        self._fd = fd
        self._said = b""

    async def url(self, patience: float = PATIENCE) -> str:
        """The next URL a program asks to be shown; waits for it.

        Raises:
            TimeoutError: none did.
        """
        with anyio.fail_after(patience):
            while b"\n" not in self._said:
                await anyio.wait_readable(self._fd)
                self._said += os.read(self._fd, 65536)
        url, self._said = self._said.split(b"\n", 1)
        return url.decode()


@contextmanager
def opener(folder: Path) -> Iterator[Opener]:
    """Put openers of browsers into `folder`, made when missing, which hand every URL to this process."""
    folder.mkdir(parents=True, exist_ok=True)
    pipe = folder / "asked-for"
    os.mkfifo(pipe)
    for name in OPENERS:
        (folder / name).write_text(f"#!/bin/sh\nprintf '%s\\n' \"$1\" >'{pipe}'\n")
        (folder / name).chmod(0o755)
    # Open for writing too: no opener ever waits for a reader, and no end of file comes between two of them.
    fd = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
    try:
        yield Opener(folder, fd)
    finally:
        os.close(fd)
        pipe.unlink()
