"""What the doctor has learned so far about one server, handed from step to step."""

from dataclasses import dataclass, field

from portkey_mcp.doctor.answer import Answer, text, texts
from portkey_mcp.doctor.budget import Spent
from portkey_mcp.doctor.door import Door
from portkey_mcp.doctor.fetch import Fetch
from portkey_mcp.doctor.finding import Finding
from portkey_mcp.doctor.issuer import lists
from portkey_mcp.doctor.target import Target
from portkey_mcp.wire import Json


@dataclass
class Case:
    """One examination. Every member beyond the first two is empty until the step that finds it out.

    `tools` is what a server that asks for no credential showed. `client_id` is one that the
    server should know; `client_secret` belongs to it and is never shown.
    """

    target: Target
    fetch: Fetch
    door: Door = "shut"
    pointer: str = ""
    scope: str = ""
    resource: Json = field(default_factory=dict)
    issuer: str = ""
    metadata: Json = field(default_factory=dict)
    client_id: str = ""
    client_secret: str = ""
    tools: list[Finding] = field(default_factory=list)
    spent: list[Spent] = field(default_factory=list)

    def spend(self, what: str, answer: Answer) -> None:
        """Note a request that Claude would have waited for, too."""
        self.spent.append(Spent(what, answer.seconds))

    @property
    def wanted_scope(self) -> str:
        """What Claude would ask for: the challenge's scope, else all the resource lists, with offline_access (K9)."""
        scopes = self.scope.split() or texts(self.resource, "scopes_supported") or []
        if lists(self.metadata, "scopes_supported", "offline_access") and "offline_access" not in scopes:
            scopes = [*scopes, "offline_access"]
        return " ".join(scopes)

    def endpoint(self, name: str) -> str:
        """An endpoint of the authorization server; empty where it has none."""
        return text(self.metadata, name)
