"""Secrets at rest and tokens that only this gateway can read: AES-256-GCM under a ring of keys.

An envelope is `v1.<key id>.<base64url of nonce and ciphertext>`, safe in a header and in a URL. What it is bound to is
authenticated but not stored: moved to another row or used for another purpose, it does not open. Nonces are random
(96 bit), so a key should seal fewer than 2**32 times.

A ring that came from a key file follows it: a key that is put in front there seals in every process within a second,
and one that a ring has not heard of is looked for at once, so that nothing which another process sealed stays closed.
"""

import base64
import binascii
import logging
import os
import re
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from portkey_mcp.errors import Mistake, PortkeyError
from portkey_mcp.key_file import KEY_BYTES, KeyFile, Stamp

log = logging.getLogger(__name__)

VERSION: Final = "v1"
NONCE_BYTES: Final = 12
KEY_FILE: Final = "secret.key"
LOOK_EVERY: Final = 1.0
"""Seconds between two looks at the key file."""
KEY_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,32}")


class Unsealable(PortkeyError):
    """The envelope is damaged, foreign, sealed with a key that is not on the ring, or bound to something else."""


class KeyRing:
    """Keys by id; the first one seals, all of them open. `file` is where they came from, and is followed."""

    def __init__(self, keys: Mapping[str, bytes], file: KeyFile | None = None, stamp: Stamp | None = None) -> None:
        self._file = file
        self._stamp = stamp
        self._looked = time.monotonic()
        self._take(keys)

    def _take(self, keys: Mapping[str, bytes]) -> None:
        self._ciphers = {key_id: AESGCM(key) for key_id, key in keys.items()}
        self._current = next(iter(self._ciphers))

    @classmethod
    def parse(cls, text: str, source: str = "PORTKEY_MCP_SECRET_KEYS") -> Self:
        """Read `id:base64`, several separated by commas or line ends; each key is 32 bytes.

        Raises:
            Mistake: naming `source` and the entry, never the key.
        """
        return cls(_keys(text, source))

    @classmethod
    def of(cls, data: Path, secret_keys: str = "") -> Self:
        """The ring of `secret_keys` or, when empty, of the key file in `data`, which is made on first run.

        Raises:
            Mistake: the keys cannot be read.
        """
        if secret_keys:
            return cls.parse(secret_keys)
        file = key_file(data)
        file.make()
        if os.name == "posix" and file.path.stat().st_mode & 0o077:
            log.warning("%s can be read by other users of this machine; chmod 600 it", file.path)
        stamp = file.stamp()  # before it is read: at worst it is read once more
        return cls(_keys(file.text(), str(file.path)), file, stamp)

    @classmethod
    def generate(cls) -> Self:
        """A ring with one fresh key that lives in this process only."""
        return cls({"k1": AESGCM.generate_key(bit_length=KEY_BYTES * 8)})

    def seal(self, plaintext: bytes, bind: str) -> str:
        """Encrypt under the first key; it opens only with an equal `bind`."""
        self._look()
        nonce = secrets.token_bytes(NONCE_BYTES)
        sealed = nonce + self._ciphers[self._current].encrypt(nonce, plaintext, bind.encode())
        return f"{VERSION}.{self._current}.{base64.urlsafe_b64encode(sealed).rstrip(b'=').decode()}"

    def open(self, token: str, bind: str) -> bytes:
        """Decrypt what `seal` returned.

        Raises:
            Unsealable: it does not open; the reason says nothing about keys or contents.
        """
        version, _, rest = token.partition(".")
        key_id, _, body = rest.partition(".")
        self._look(now=key_id not in self._ciphers)
        cipher = self._ciphers.get(key_id)
        if version != VERSION or cipher is None:
            raise Unsealable("not sealed by this gateway, or with a key that is not on its ring")
        try:
            sealed = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
            return cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], bind.encode())
        except (InvalidTag, ValueError):
            raise Unsealable("damaged, or sealed for something else") from None

    def is_current(self, token: str) -> bool:
        """Whether it was sealed with the key that seals now; if not, rotation should seal it again."""
        return token.startswith(f"{VERSION}.{self._current}.")

    @property
    def key_ids(self) -> tuple[str, ...]:
        """The keys by their ids; the first one seals."""
        return tuple(self._ciphers)

    def follow(self) -> None:
        """Take over at once what the key file says by now."""
        self._look(now=True)

    def _look(self, *, now: bool = False) -> None:
        """Take over what the key file says by now. One that is damaged or gone changes nothing, and is told once."""
        if self._file is None or not (now or time.monotonic() - self._looked >= LOOK_EVERY):
            return
        self._looked = time.monotonic()
        stamp = self._file.stamp()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._take(_keys(self._file.text(), str(self._file.path)))
        except (OSError, Mistake) as error:
            log.error("the key file changed and cannot be read; the keys known before stay in use: %s", error)
        else:
            log.info("keys for secrets at rest: %s; the first one seals", ", ".join(self._ciphers))


def key_file(data: Path) -> KeyFile:
    """The key file of a data directory."""
    return KeyFile(data / KEY_FILE)


def key_of(token: str) -> str:
    """The id of the key that sealed it; empty for what is no envelope. Its beginning is enough."""
    version, _, rest = token.partition(".")
    key_id, dot, _ = rest.partition(".")
    return key_id if version == VERSION and dot else ""


def _keys(text: str, source: str) -> dict[str, bytes]:
    keys: dict[str, bytes] = {}
    for number, entry in enumerate(filter(None, re.split(r"[,\s]+", text)), 1):
        key_id, colon, encoded = entry.partition(":")
        if not colon or not KEY_ID.fullmatch(key_id):
            raise Mistake(f"{source}: key {number} is not `id:base64` with an id of letters, digits, - and _")
        if key_id in keys:
            raise Mistake(f"{source}: the key id {key_id!r} is there twice")
        keys[key_id] = _decode_key(encoded, f"{source}: key {key_id!r}")
    if not keys:
        raise Mistake(f"{source}: holds no key; expected `id:base64` with 32 bytes of base64")
    return keys


def _decode_key(encoded: str, where: str) -> bytes:
    try:
        text = encoded.rstrip("=").replace("-", "+").replace("_", "/")
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise Mistake(f"{where} is not base64") from None
    if len(key) != KEY_BYTES:
        raise Mistake(f"{where} has {len(key)} bytes; expected {KEY_BYTES}")
    return key
