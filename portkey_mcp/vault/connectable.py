"""Who may connect an account where, and whether the one that is connected still fits. Pure; fails closed."""

from portkey_mcp.addresses import canonical
from portkey_mcp.model import Directory, McpServer, Principal
from portkey_mcp.policy.access import may_use
from portkey_mcp.proof import CONNECTED, AccountAuth, OwnHeadersAuth, subject_of
from portkey_mcp.vault.connection import Connection, Place
from portkey_mcp.vault.entering import asked_for


def server_for(directory: Directory, who: Principal, workspace: str, name: str) -> McpServer | None:
    """A server at which somebody connects accounts, as it exists for a principal; None where it does not.

    One that takes no accounts, one that may not be used and one that there is not are the same to whoever asks.
    """
    found = directory.workspaces.get(workspace)
    server = None if found is None or who.role_in(workspace) is None else found.servers.get(name)
    if server is None or not server.enabled or not may_use(who, workspace, server):
        return None
    return server if isinstance(server.auth, CONNECTED) else None


def rules(who: Principal, workspace: str) -> bool:
    """Whether somebody is an owner or admin of the workspace."""
    return who.role_in(workspace) in ("owner", "admin")


def is_shared(server: McpServer) -> bool:
    """Whether all of the workspace use one account there."""
    return isinstance(server.auth, CONNECTED) and server.auth.sharing == "workspace"


def connect_problem(who: Principal, server: McpServer) -> str:
    """Why a principal may not connect an account at a server that exists for it, as a sentence; empty where it may."""
    if who.kind == "service":
        return "A service account has no browser to connect an account with; a person can connect their own."
    if is_shared(server) and not rules(who, server.workspace):
        return "All of the workspace share one account here, which an owner or admin connects. Please ask one of them."
    return ""


def place_for(server: McpServer, principal: str) -> Place:
    """Where the account is kept that a principal uses at a server which takes accounts."""
    subject = "" if server.auth is None else subject_of(server.auth, principal)
    return Place(server.workspace, server.name, subject)


def fits(connection: Connection | None, server: McpServer, url: str) -> bool:
    """Whether a connection is good for a server as it is now. `url` is the server's, resolved.

    What was given for another URL is never good: whoever moves a server does not move people's accounts (A28).
    """
    if connection is None or connection.state != "good" or connection.credential.resource != canonical(url):
        return False
    credential = connection.credential
    match server.auth:
        case AccountAuth():
            return credential.tokens is not None
        case OwnHeadersAuth():
            return all(name in credential.entered for name in asked_for(server.auth))
        case _:
            return False
