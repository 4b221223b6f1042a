"""What the vault keeps sealed, and what each seal is bound to, for sealing it anew with another key."""

from typing import Final

from portkey_mcp.storage.resealing import Sealed
from portkey_mcp.vault import rows
from portkey_mcp.vault.sealed import bind
from portkey_mcp.vault.tables import ConnectFlowRow, ConnectionRow, SigningKeyRow, SignInTokenRow, UpstreamClientRow


def _client(row: UpstreamClientRow) -> str:
    return bind(UpstreamClientRow.__tablename__, row.workspace, row.server, row.issuer, "sealed")


def _flow(row: ConnectFlowRow) -> str:
    return bind(ConnectFlowRow.__tablename__, row.state, row.workspace, row.server, row.person, "sealed")


def _sign_in(row: SignInTokenRow) -> str:
    return bind(SignInTokenRow.__tablename__, row.person, row.provider, "sealed")


def _signing(row: SigningKeyRow) -> str:
    return bind(SigningKeyRow.__tablename__, row.kid, "sealed")


SEALED: Final = (
    Sealed(ConnectionRow, rows.binding),
    Sealed(UpstreamClientRow, _client),
    Sealed(ConnectFlowRow, _flow),
    Sealed(SignInTokenRow, _sign_in),
    Sealed(SigningKeyRow, _signing),
)
"""Every table of the vault that has a column `sealed`."""
