"""The vault, put together: who is told when an account changes, and what is forgotten."""

import anyio
import pytest

from portkey_mcp.vault.accounts import MEMBERS, SERVICES
from tests.vault.conftest import ADA, SHARED, Keeping
from tests.vault.vaults import a_vault

pytestmark = pytest.mark.anyio


async def test_links_of_an_account_end_when_it_is_connected_or_ends(keeping: Keeping) -> None:
    vault = a_vault(keeping.database, keeping.keyring)
    told: list[tuple[str, str]] = []

    async def then(server: str, account: str) -> None:
        told.append((server, account))

    async with anyio.create_task_group() as tasks:
        vault.accounts(tasks)
        vault.when_changed(tasks, then)
        kept = await vault.connections.keep(ADA, keeping.credential("a-1"), "ada")
        await vault.connections.end(ADA, kept.generation, "it was withdrawn")
        await vault.connections.keep(SHARED, keeping.credential("a-2"), "ada")
    assert told == [("demo/files", "ada")] * 2 + [
        ("demo/search", ""),
        ("demo/search", MEMBERS),
        ("demo/search", SERVICES),
    ]


async def test_what_another_process_wrote_is_read_anew(keeping: Keeping) -> None:
    vault = a_vault(keeping.database, keeping.keyring)
    vault.forget()  # before anything proves an account, too
    async with anyio.create_task_group() as tasks:
        accounts = vault.accounts(tasks)
        assert accounts is not None
        vault.forget()
    await vault.tidy(())
