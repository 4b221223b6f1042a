"""Compressed bodies, a piece at a time."""

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portkey_mcp.upstream.inflating import PIECE, BadEncoding, Inflate


def bare(data: bytes) -> bytes:
    packing = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packing.compress(data) + packing.flush()


FORMS = {
    "gzip": ("gzip", gzip.compress),
    "two members": ("x-gzip", lambda data: gzip.compress(data[:7]) + gzip.compress(data[7:])),
    "zlib": ("deflate", zlib.compress),
    "bare": ("deflate", bare),
}


@pytest.mark.parametrize("form", FORMS)
@given(data=st.binary(max_size=500), step=st.integers(1, 50))
def test_what_was_compressed_comes_out_however_it_was_cut(form: str, data: bytes, step: int) -> None:
    encoding, compress = FORMS[form]
    packed, inflate, found = compress(data), Inflate(encoding), b""
    for start in range(0, len(packed), step):
        inflate.feed(packed[start : start + step])
        while piece := inflate.piece():
            found += piece
    inflate.finish()

    assert found == data


def test_a_bomb_goes_off_in_small_pieces() -> None:
    inflate = Inflate("gzip")
    inflate.feed(gzip.compress(bytes(20 * PIECE)))

    assert [len(inflate.piece()) for _ in range(3)] == [PIECE] * 3


@pytest.mark.parametrize("encoding", ["br", "gzip, gzip", "zstd"])
def test_an_encoding_nobody_asked_for_is_named(encoding: str) -> None:
    with pytest.raises(BadEncoding, match=encoding):
        Inflate(encoding)


def test_what_is_not_compressed_is_said_in_words() -> None:
    inflate = Inflate("gzip")
    inflate.feed(b"{}")
    with pytest.raises(BadEncoding, match="not compressed"):
        inflate.piece()


def test_a_missing_end_is_noticed() -> None:
    inflate = Inflate("deflate")
    inflate.feed(zlib.compress(b"x" * 100)[:-2])
    inflate.piece()
    with pytest.raises(BadEncoding, match="before its end"):
        inflate.finish()
