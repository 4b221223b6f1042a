"""The table of keys has no place for a key."""

from portkey_mcp.identity.tables import ApiKeyRow


def test_a_key_itself_is_never_stored() -> None:
    assert set(ApiKeyRow.__table__.columns.keys()) == {
        *("id", "workspace", "name", "digest", "role", "origin", "created", "expires", "last_used"),
    }
