"""The table of approvals has no place for arguments but a sealed one."""

from portkey_mcp.approval.tables import ApprovalRow


def test_arguments_are_kept_nowhere_but_sealed() -> None:
    assert set(ApprovalRow.__table__.columns.keys()) == {
        *("id", "workspace", "principal", "server", "kind", "name", "digest", "sealed", "state", "via"),
        *("created", "expires", "decided_by", "decided_at"),
    }
