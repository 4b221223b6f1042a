"""Tells the audit who came to an endpoint, and that a credential was refused there.

Costs a call nothing: who came before, from the same address, is known to the entrance and is not told again.
"""

from collections.abc import Mapping

from portkey_mcp.activity.acts import Act, Note
from portkey_mcp.model import Visit

CREDENTIALS = ("authorization", "x-portkey-api-key")
"""Headers that bring one. What stands in them is never looked at here."""


class Witness:
    """What the entrance tells, as acts."""

    def __init__(self, note: Note) -> None:
        self._note = note

    def met(self, visit: Visit) -> None:
        """Somebody was let in whom the entrance did not remember. Under `auth: none` there is nothing to tell."""
        who = visit.principal
        if who.kind != "local":
            workspace = visit.endpoint.workspace.slug
            self._note(
                Act("key_used", who, address=visit.address, workspace=workspace, subject=who.credential or who.id)
            )

    def refused(self, headers: Mapping[str, str], address: str, workspace: str, why: str) -> None:
        """Somebody was turned away. Without a credential that is how every sign-in begins, and no act."""
        if any(name in headers for name in CREDENTIALS):
            self._note(Act("key_used", address=address, workspace=workspace, outcome="refused", why=why))
