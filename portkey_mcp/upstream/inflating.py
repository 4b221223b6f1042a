"""Bodies that an upstream compresses although it was asked not to: gzip and deflate, a piece at a time. Pure."""

import zlib
from typing import Final

PIECE: Final = 1024 * 1024
"""Bytes one piece may have, so that whoever counts them stops a bomb before it has gone off."""

_GZIP: Final = 16 + zlib.MAX_WBITS


class BadEncoding(ValueError):
    """The body is not compressed as its head says, or in a way that nobody asked for."""


class Inflate:
    """Feed it what came, take pieces until there are none, and say when all has come."""

    def __init__(self, encoding: str) -> None:
        """Raises BadEncoding for any `Content-Encoding` but gzip and deflate."""
        if encoding not in ("gzip", "x-gzip", "deflate"):
            raise BadEncoding(f"its Content-Encoding is {encoding[:40]!r}, which was not asked for")
        self._is_gzip = encoding != "deflate"
        self._inner: zlib._Decompress | None = None
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """More of the body."""
        self._rest += data

    def piece(self) -> bytes:
        """The next bytes as they were before; empty where more must be fed first. Raises BadEncoding."""
        while self._rest:
            inner = self._inner
            if inner is None:
                inner = self._inner = zlib.decompressobj(self._window())
            try:
                found = inner.decompress(self._rest, PIECE)
            except zlib.error as error:
                raise BadEncoding(f"its body is not compressed as it says: {error}") from None
            self._rest = inner.unconsumed_tail
            if inner.eof:
                # gzip allows several members, one after the other (RFC 1952 section 2.2).
                self._rest = inner.unused_data
                self._inner = None
            if found:
                return found
        return b""

    def finish(self) -> None:
        """All has come. Raises BadEncoding where the end is missing."""
        if self._inner is not None:
            raise BadEncoding("its compressed body stops before its end")

    def _window(self) -> int:
        """`deflate` means zlib's format (RFC 9110 section 8.4.1.2), and some servers send it without its header."""
        if self._is_gzip:
            return _GZIP
        return zlib.MAX_WBITS if self._rest[0] & 0x0F == 8 else -zlib.MAX_WBITS
