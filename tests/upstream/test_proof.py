"""The seam between links and whoever keeps credentials."""

from portkey_mcp.upstream import proof


def test_the_seam_knows_no_vault() -> None:
    assert "vault" not in vars(proof)
