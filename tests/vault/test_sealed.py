"""What is sealed for one row and column opens nowhere else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portkey_mcp.sealing import KeyRing, Unsealable
from portkey_mcp.vault.sealed import bind, seal, unseal

PARTS = st.lists(st.text(max_size=8), min_size=1, max_size=5)


def test_a_value_comes_back_at_its_place_and_opens_at_no_other() -> None:
    keyring = KeyRing.generate()
    sealed = seal(keyring, {"access": "s3cret"}, "connections", "demo", "files", "ada", "sealed")
    assert "s3cret" not in sealed
    assert unseal(keyring, sealed, "connections", "demo", "files", "ada", "sealed") == {"access": "s3cret"}
    for other in (
        ("connections", "demo", "files", "bob", "sealed"),
        ("connections", "demo", "files", "ada", "other"),
        ("upstream_clients", "demo", "files", "ada", "sealed"),
        ("connections", "demo", "files", "ada"),
    ):
        with pytest.raises(Unsealable):
            unseal(keyring, sealed, *other)


@given(PARTS, PARTS)
def test_no_two_places_are_the_same(one: list[str], other: list[str]) -> None:
    assert (bind(*one) == bind(*other)) == (one == other)
