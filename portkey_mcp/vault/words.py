"""What is said to whoever called a server that wants an account. Pure.

It goes to a person or a model, and names nothing but the server, the page of ours, and what is missing.
"""

from portkey_mcp.errors import ConnectNeeded
from portkey_mcp.model import McpServer, Principal
from portkey_mcp.proof import subject_of
from portkey_mcp.vault.connectable import connect_problem


def needed(server: McpServer, who: Principal | None, page: str, why: str = "") -> ConnectNeeded:
    """An account is missing. `page` is where it is connected; `why` a sentence on what became of it, if anything."""
    auth, name = server.auth, server.title or server.name
    assert auth is not None
    whose = "an account of yours" if subject_of(auth, "somebody") else "an account that the workspace shares"
    begins = f"{name} cannot be used: it needs {whose}. {why}".rstrip()
    if who is None:
        return ConnectNeeded(server.name, begins)
    if not connect_problem(who, server):
        then = f"Open {page} in a browser and connect it, then try again."
        return ConnectNeeded(server.name, f"{begins} {then}", page)
    if who.kind == "service":
        then = "A service account cannot connect one: use a person's key, or let the workspace share one account."
    else:
        then = f"Ask an administrator of the workspace to open {page} and connect it."
    return ConnectNeeded(server.name, f"{begins} {then}")
