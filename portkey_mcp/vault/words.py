"""What is said to whoever called a server that wants an account. Pure.

It goes to a person or a model, and names nothing but the server, the page of ours, and what is missing.
"""

from typing import Final

from portkey_mcp.errors import ConnectNeeded
from portkey_mcp.model import McpServer, Principal
from portkey_mcp.proof import Auth, subject_of

MANAGERS: Final = ("owner", "admin")
"""Roles that may connect an account for all of the workspace."""


def may_connect(server: McpServer, auth: Auth, who: Principal) -> bool:
    """Whether somebody may connect the account that they use at a server."""
    if subject_of(auth, who.id):
        return who.kind != "service"
    return who.kind != "service" and who.role_in(server.workspace) in MANAGERS


def needed(server: McpServer, who: Principal | None, page: str, why: str = "") -> ConnectNeeded:
    """An account is missing. `page` is where it is connected; `why` a sentence on what became of it, if anything."""
    auth, name = server.auth, server.title or server.name
    assert auth is not None
    whose = "an account of yours" if subject_of(auth, "somebody") else "an account that the workspace shares"
    begins = f"{name} cannot be used: it needs {whose}. {why}".rstrip()
    if who is None:
        return ConnectNeeded(server.name, begins)
    if may_connect(server, auth, who):
        then = f"Open {page} in a browser and connect it, then try again."
        return ConnectNeeded(server.name, f"{begins} {then}", page)
    if who.kind == "service":
        then = "A service account cannot connect one: use a person's key, or let the workspace share one account."
    else:
        then = f"Ask an administrator of the workspace to open {page} and connect it."
    return ConnectNeeded(server.name, f"{begins} {then}")
