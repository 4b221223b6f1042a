"""Values of accounts: no secret in what they say of themselves."""

from datetime import UTC, datetime

from portkey_mcp.vault.connection import Client, Connection, Credential, Endpoint, Place, Tokens


def test_no_secret_is_in_a_representation() -> None:
    tokens = Tokens("planted-1", refresh="planted-2", id_token="planted-3", dpop_key="planted-4")
    client = Client("me", "client_secret_basic", "planted-5", "planted-6")
    credential = Credential("https://x", tokens, Endpoint("https://as", "https://as/token"), client, ("read",))
    entered = Credential("https://x", entered={"key": "planted-7"})
    now = datetime.now(UTC)
    for one in (credential, entered):
        assert "planted" not in repr(Connection(Place("demo", "files", "ada"), one, "good", 1, "ada", now))


def test_what_was_entered_has_no_issuer() -> None:
    assert Credential("https://x", entered={"key": "k"}).issuer == ""
    assert Credential("https://x", endpoint=Endpoint("https://as", "https://as/token")).issuer == "https://as"
