"""What waits in memory is in the database once it was written out, whatever of it fails."""

from pathlib import Path

import pytest

from portkey_mcp.activity.acts import Act
from portkey_mcp.activity.audit import Audit, Wanted
from portkey_mcp.addresses import Addresses
from portkey_mcp.egress import Egress
from portkey_mcp.errors import StoreDown
from portkey_mcp.identity.authenticate import Identity
from portkey_mcp.identity.sessions import BrowserSessions
from portkey_mcp.keepers import SEALED, Keepers
from portkey_mcp.model import Directory
from portkey_mcp.oauth.documents import ClientDocuments
from portkey_mcp.oauth.server import OAuthServer
from portkey_mcp.registry.registry import Registry
from portkey_mcp.sealing import KeyRing
from portkey_mcp.storage.database import Database
from portkey_mcp.storage.tables import Base
from portkey_mcp.trust import Trust
from portkey_mcp.vault.connection import Place
from tests.vault.vaults import a_vault

pytestmark = pytest.mark.anyio


async def test_what_cannot_fail_is_written_out_before_what_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database, keyring = await Database.open(tmp_path), KeyRing.generate()
    registry, identity, audit = Registry(database, keyring), Identity(database), Audit(database)
    addresses, documents = Addresses("http://gateway.example"), ClientDocuments(Egress())
    oauth = OAuthServer.of(database, identity.people, documents, addresses, Trust, Directory, lambda scope: "")
    vault = a_vault(database, keyring)
    keepers = Keepers.of(database, keyring, registry, identity, audit, oauth, vault)
    await keepers.tidy()
    await registry.add_workspace("team")
    assert list((await keepers.directory()).workspaces) == ["team"]

    async def fail(_: BrowserSessions) -> None:
        raise StoreDown("no")

    monkeypatch.setattr(BrowserSessions, "record_use", fail)
    audit.note(Act("person", actor="somebody"))
    with pytest.raises(StoreDown):
        await keepers.flush()
    assert len(await audit.recent(Wanted())) == 1
    await database.close()


async def test_everything_that_rests_sealed_is_known_to_whoever_changes_keys() -> None:
    columns = [column for table in Base.metadata.tables.values() for column in table.columns]
    assert {place.name for place in SEALED} == {one.table.name for one in columns if "sealed" in one.name}
    assert {one.name for one in columns if "sealed" in one.name} == {"sealed"}


async def test_an_account_that_ended_by_itself_is_in_the_audit(tmp_path: Path) -> None:
    database, keyring = await Database.open(tmp_path), KeyRing.generate()
    registry, identity, audit = Registry(database, keyring), Identity(database), Audit(database)
    oauth = OAuthServer.of(
        database, identity.people, ClientDocuments(Egress()), Addresses("http://gateway.example"), Trust, Directory, str
    )
    keepers = Keepers.of(database, keyring, registry, identity, audit, oauth, a_vault(database, keyring))
    keepers.account_ended(Place("team", "linear", "person:1"), "its access was withdrawn")
    await audit.flush()
    [known] = await audit.recent(Wanted())
    assert (known.act, known.workspace, known.subject) == ("connection_ended", "team", "linear")
    assert known.detail == {"why": "its access was withdrawn"}
    await database.close()
