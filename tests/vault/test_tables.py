"""Tables of the vault: their names are those that the migration makes (`tests/storage/test_migrate.py` compares)."""

from portkey_mcp.vault import tables


def test_what_belongs_to_a_server_goes_with_it() -> None:
    for table in (tables.ConnectionRow, tables.UpstreamClientRow, tables.ConnectFlowRow):
        keys = {key.target_fullname: key.ondelete for key in table.__table__.foreign_keys}
        assert keys == {"servers.workspace": "CASCADE", "servers.name": "CASCADE"}
