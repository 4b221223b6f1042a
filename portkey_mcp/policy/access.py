"""Who may use a server: whoever is named, or in one of the groups that are; everybody where nobody is. Pure.

Membership comes first, and a role opens nothing here: owners and admins are not exempt, though they can change who is
named. A server that somebody may not use does not exist for them.
"""

from dataclasses import replace

from portkey_mcp.model import Access, McpServer, Principal, Workspace, folded_email, label_problem


def access_of(people: tuple[str, ...], groups: tuple[str, ...]) -> Access | None:
    """Access for these people (by e-mail address or id) and groups; None, everybody, where nobody is named."""
    return Access(tuple(map(folded_email, people)), groups) if people or groups else None


def access_problem(access: Access | None) -> str:
    """What is wrong with who may use a server, as a sentence; empty where nothing is."""
    if access is None:
        return ""
    if not access.people and not access.groups:
        return "access names nobody, so nobody could use the server; leave it out for everybody, or name somebody"
    problems = [
        *(label_problem(name, "e-mail address or id of somebody") for name in access.people if ":" not in name),
        *(label_problem(name, "name of a group") for name in access.groups),
    ]
    return next(filter(None, problems), "")


def may_use(principal: Principal, workspace: str, server: McpServer) -> bool:
    """Whether a member of the workspace may use one of its servers. Whether they are a member, others know.

    A person is named by e-mail address or id, a service account by the id of its key (`key:…`). Of a person's own key
    the person counts.
    """
    access = server.access
    if access is None:
        return True
    return (
        principal.id in access.people
        or (principal.email != "" and principal.email in access.people)
        or any(group in access.groups for group in principal.groups_in(workspace))
    )


def hidden_from(principal: Principal, workspace: Workspace) -> frozenset[str]:
    """The names of the servers of a workspace that somebody may not use."""
    slug = workspace.slug
    return frozenset(name for name, server in workspace.servers.items() if not may_use(principal, slug, server))


def without(workspace: Workspace, hidden: frozenset[str]) -> Workspace:
    """A workspace as it is for somebody from whom these servers are hidden; the same object where none is."""
    if not hidden:
        return workspace
    return replace(
        workspace, servers={name: server for name, server in workspace.servers.items() if name not in hidden}
    )
