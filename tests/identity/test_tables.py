"""There is no place for a key, or for a password."""

from portkey_mcp.identity.tables import ApiKeyRow, BrowserSessionRow, GroupMemberRow, MembershipRow, PersonRow


def test_a_key_itself_is_never_stored() -> None:
    assert set(ApiKeyRow.__table__.columns.keys()) == {
        *("id", "workspace", "name", "digest", "role", "origin", "created", "expires", "last_used", "person"),
        *("scopes", "server"),
    }


def test_of_a_person_a_hash_of_the_password_is_stored_and_nothing_else_that_is_secret() -> None:
    assert set(PersonRow.__table__.columns.keys()) == {
        *("id", "email", "folded", "name", "password", "origin", "created", "disabled", "claimed"),
    }


def test_what_is_a_persons_in_a_workspace_ends_with_the_membership() -> None:
    for table in (ApiKeyRow, GroupMemberRow):
        ends_with = {key.column.table.name for key in table.__table__.foreign_keys if key.ondelete == "CASCADE"}
        assert MembershipRow.__tablename__ in ends_with


def test_a_cookies_value_is_never_stored_and_a_session_ends_with_the_person() -> None:
    assert set(BrowserSessionRow.__table__.columns.keys()) == {
        *("id", "person", "digest", "created", "last_seen", "agent", "address"),
    }
    assert [(key.column.table.name, key.ondelete) for key in BrowserSessionRow.__table__.foreign_keys] == [
        (PersonRow.__tablename__, "CASCADE")
    ]
