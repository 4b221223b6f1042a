"""What is written of a credential comes back whole, as the frozen values it was."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portkey_mcp.vault.connection import Client, Credential, Endpoint, Tokens
from portkey_mcp.vault.written import read, written
from portkey_mcp.wire import dumps, loads

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
TEXTS = st.lists(TEXT, max_size=3).map(tuple)
TOKENS = st.builds(
    Tokens,
    access=TEXT,
    kind=st.sampled_from(["Bearer", "DPoP"]),
    expires=st.none() | st.datetimes(timezones=st.just(UTC)),
    refresh=TEXT,
    scopes=st.none() | TEXTS,
    id_token=TEXT,
    dpop_key=TEXT,
)
CREDENTIALS = st.builds(
    Credential,
    resource=TEXT,
    tokens=st.none() | TOKENS,
    endpoint=st.none() | st.builds(Endpoint, TEXT, TEXT, TEXT, TEXTS, TEXTS),
    client=st.none() | st.builds(Client, TEXT, TEXT, TEXT, TEXT, TEXT),
    scopes=TEXTS,
    entered=st.dictionaries(TEXT, TEXT, max_size=3),
)


@given(CREDENTIALS)
def test_a_credential_comes_back_as_it_was(credential: Credential) -> None:
    assert read(loads(dumps(written(credential))), credential.resource) == credential


@pytest.mark.parametrize("value", [None, [], {}, {"tokens": {"access": "planted"}}, "planted"])
def test_what_is_no_credential_is_refused_without_its_values(value: object) -> None:
    with pytest.raises(ValueError, match="no credential") as wrong:
        read(value, "https://x")
    assert "planted" not in str(wrong.value)


def test_a_member_that_a_later_version_wrote_is_refused() -> None:
    value = written(Credential("https://x", Tokens("a", expires=datetime(2026, 1, 1, tzinfo=UTC))))
    value["tokens"]["new"] = 1
    with pytest.raises(ValueError, match="no credential"):
        read(value, "https://x")
