"""A row opens as it was written, and nowhere else."""

import pytest

from portkey_mcp.vault import rows
from portkey_mcp.vault.tables import ConnectionRow
from tests.vault.conftest import ADA, BOB, SHARED, Keeping

pytestmark = pytest.mark.anyio


def row(keeping: Keeping, **changed: object) -> ConnectionRow:
    columns = {
        **rows.empty(ADA, keeping.clock.now),
        **rows.columns(keeping.keyring, ADA, keeping.credential("a-1"), 7),
        **changed,
    }
    return ConnectionRow(**columns)


async def test_a_row_opens_as_it_was_written(keeping: Keeping) -> None:
    connection, problem = rows.opened(keeping.keyring, row(keeping))
    assert not problem
    assert connection.credential == keeping.credential("a-1")
    assert (connection.place, connection.state, connection.generation) == (ADA, "good", 7)


async def test_nothing_secret_is_outside_the_seal(keeping: Keeping) -> None:
    columns = str({name: value for name, value in vars(row(keeping)).items() if name != "_sa_instance_state"})
    for secret in ("a-1", "r-1", "s3cret"):
        assert secret not in columns


@pytest.mark.parametrize(
    "changed",
    [
        {"workspace": "other"},
        {"server": "search"},
        {"subject": "bob"},
        {"subject": ""},
        {"issuer": "https://evil.example"},
        {"resource": "https://evil.example/mcp"},
        {"sealed": "v1.k1.AAAA"},
        {"sealed": "nonsense"},
    ],
    ids=lambda changed: "-".join(changed),
)
async def test_a25_a28_what_is_changed_by_hand_does_not_open_and_counts_as_ended(
    keeping: Keeping, changed: dict[str, str]
) -> None:
    connection, problem = rows.opened(keeping.keyring, row(keeping, **changed))
    assert problem
    assert (connection.state, connection.why) == ("ended", rows.UNREADABLE)
    assert connection.credential.tokens is None
    assert connection.credential.client is None


async def test_what_ended_stays_ended_with_its_reason(keeping: Keeping) -> None:
    connection, problem = rows.opened(keeping.keyring, row(keeping, state="ended", why="withdrawn"))
    assert not problem
    assert (connection.state, connection.why) == ("ended", "withdrawn")


async def test_each_place_has_a_binding_of_its_own(keeping: Keeping) -> None:
    bound = {rows.binding(row(keeping, **rows.key(place))) for place in (ADA, BOB, SHARED)}
    assert len(bound) == 3
    token = row(keeping)
    assert keeping.keyring.open(token.sealed, rows.binding(token))
