"""The gateway's own keys: made once for all processes, published, rotated without a token that nobody can check."""

import multiprocessing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet
from sqlalchemy import select, update

from portkey_mcp.errors import StoreDown
from portkey_mcp.sealing import KeyRing
from portkey_mcp.storage.database import Database
from portkey_mcp.vault.sealed import seal
from portkey_mcp.vault.signing import HEAD_START, HELD, KEPT, SigningKeys
from portkey_mcp.vault.tables import SigningKeyRow
from tests.storage.conftest import database

pytestmark = pytest.mark.anyio

__all__ = ["database"]

RING = "k1:" + "A" * 43


class Clock:
    """A moment that a test moves on."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 11, 24, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.moment


def _kids(published: dict[str, list[dict[str, str]]]) -> list[str]:
    return [key["kid"] for key in published["keys"]]


async def test_nothing_is_published_before_something_is_signed(database: Database) -> None:
    keys = SigningKeys(database, KeyRing.generate())
    assert await keys.published() == {"keys": []}
    made = await keys.current()
    assert _kids(await keys.published()) == [made.kid]


async def test_what_one_signs_others_check_with_what_is_published(database: Database) -> None:
    keyring = KeyRing.generate()
    token = (await SigningKeys(database, keyring).current()).sign({"sub": "ada"})
    published = await SigningKeys(database, keyring).published()
    assert all("d" not in key and key["use"] == "sig" and key["alg"] == "ES256" for key in published["keys"])
    found = jwt.decode(token, KeySet.import_key_set(published), algorithms=["ES256"])
    assert found.claims == {"sub": "ada"}
    assert found.header["typ"] == "JWT"


async def test_a_further_key_is_published_before_it_signs_and_an_old_one_for_a_while_after(database: Database) -> None:
    clock, keyring = Clock(), KeyRing.generate()
    keys, others = SigningKeys(database, keyring, clock), SigningKeys(database, keyring, clock)
    first = (await keys.current()).kid
    assert (await others.current()).kid == first
    clock.moment += timedelta(days=30)
    second = await keys.rotate()
    clock.moment += HELD
    for each in (keys, others):
        assert (await each.current()).kid == first
        assert _kids(await each.published()) == [first, second]
    clock.moment += HEAD_START
    for each in (keys, others):
        assert (await each.current()).kid == second
        assert _kids(await each.published()) == [first, second]
    third = await keys.rotate()
    assert _kids(await keys.published()) == [first, second, third]  # the first one gave way only now
    clock.moment += HEAD_START + KEPT
    fourth = await keys.rotate()
    assert _kids(await keys.published()) == [third, fourth]
    assert (await keys.current()).kid == third


async def test_who_can_write_to_the_database_publishes_no_key_of_their_own(database: Database) -> None:
    keyring = KeyRing.generate()
    keys = SigningKeys(database, keyring)
    mine = await keys.current()
    forged = ECKey.generate_key("P-256")
    async with database.write() as session:
        await session.execute(update(SigningKeyRow).values(public=forged.as_dict(private=False)))
        row = (await session.scalars(select(SigningKeyRow))).one()
        for kid, sealed in (
            ("copied", row.sealed),
            ("foreign", seal(KeyRing.generate(), forged.as_dict(private=True), "signing_keys", "foreign", "sealed")),
        ):
            session.add(SigningKeyRow(kid=kid, public={}, sealed=sealed, created=row.created))
    again = SigningKeys(database, keyring)
    assert _kids(await again.published()) == [mine.kid]
    assert (await again.published())["keys"][0]["x"] == mine.public()["x"]


async def test_the_private_half_is_in_no_representation_and_nowhere_on_disk(database: Database) -> None:
    key = await SigningKeys(database, KeyRing.generate()).current()
    private = key.key.as_dict(private=True)["d"]
    assert private not in repr(key)
    await database.close()
    for file in database.path.parent.iterdir():
        assert str(private).encode() not in file.read_bytes()


async def test_without_a_store_nobody_signs_and_nothing_is_published(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = SigningKeys(database, KeyRing.generate())
    async with database.write() as session:
        await session.run_sync(lambda s: SigningKeyRow.__table__.drop(s.connection()))  # type: ignore[attr-defined]
    for asked in (keys.current, keys.published, keys.rotate):
        with pytest.raises(StoreDown):
            await asked()


def _current_elsewhere(data: str) -> str:
    """In a process of its own: which key signs."""

    async def find() -> str:
        database = await Database.open(Path(data))
        try:
            return (await SigningKeys(database, KeyRing.parse(RING)).current()).kid
        finally:
            await database.close()

    return anyio.run(find)


def test_processes_that_need_the_first_key_at_once_have_the_same_one(tmp_path: Path) -> None:
    anyio.run(_migrated, tmp_path)
    with multiprocessing.get_context("spawn").Pool(3) as processes:
        found = processes.map(_current_elsewhere, [str(tmp_path)] * 6, chunksize=1)
    assert len(set(found)) == 1


async def _migrated(data: Path) -> None:
    await (await Database.open(data)).close()
