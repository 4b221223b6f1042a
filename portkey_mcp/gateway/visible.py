"""What a visitor may see and use: one decision for lists, calls, references and notifications (design.md section 4).

Pure. A thing that is hidden looks exactly like one that does not exist.
"""

from dataclasses import dataclass
from typing import Final

from mcp_types import INVALID_PARAMS

from portkey_mcp.errors import InvalidRequest
from portkey_mcp.gateway.bridge.envelope import RESOURCE_NOT_FOUND
from portkey_mcp.gateway.bridge.way import as_object
from portkey_mcp.model import Era, Visit
from portkey_mcp.policy.decide import Deny, Rules, Thing
from portkey_mcp.policy.match import Kind, Pattern
from portkey_mcp.wire import Json, Raw


@dataclass(frozen=True, slots=True)
class Listing:
    """Where a list method's result holds its things: the member, and what names each."""

    member: str
    kind: Kind
    key: str


LISTINGS: Final = {
    "tools/list": Listing("tools", "tool", "name"),
    "prompts/list": Listing("prompts", "prompt", "name"),
    "resources/list": Listing("resources", "resource", "uri"),
    "resources/templates/list": Listing("resourceTemplates", "template", "uriTemplate"),
}

USES: Final[dict[str, tuple[Kind, str]]] = {
    "tools/call": ("tool", "name"),
    "prompts/get": ("prompt", "name"),
    "resources/read": ("resource", "uri"),
    "resources/subscribe": ("resource", "uri"),
    "resources/unsubscribe": ("resource", "uri"),
}
"""Method -> the kind of thing it uses, and the parameter that names it."""


@dataclass(frozen=True, slots=True)
class View:
    """One server through one visitor's eyes. `chosen` is a bundle's choice, None where everything is chosen."""

    visit: Visit
    server: str
    rules: Rules
    chosen: tuple[Pattern, ...] | None = None

    def shows(self, kind: Kind, name: str) -> bool:
        """Whether the visitor may see and use this thing."""
        if self.chosen is not None and not any(
            kind in pattern.kinds and pattern.server(self.server) and pattern.name(name) for pattern in self.chosen
        ):
            return False
        return not isinstance(self.rules.decide(self.visit, Thing(kind, self.server, name)), Deny)

    @property
    def whole(self) -> bool:
        """True when nothing of this server can be hidden from anybody: its results pass as they are."""
        return self.chosen is None and not self.rules.touches(self.server)

    def check(self, method: str, params: Json | None, era: Era) -> None:
        """Refuse a request that uses what this visitor does not see.

        Raises:
            InvalidRequest: -32602 as for something unknown (-32002 for a legacy client's resource).
        """
        used = used_thing(method, params)
        if used is None or self.shows(*used):
            return
        raise unknown(*used, era)

    def listed(self, method: str, result: Json) -> Json:
        """A list result without what is hidden. What may differ between visitors is marked private (C2)."""
        listing = LISTINGS.get(method)
        if listing is None or self.whole or not isinstance(result.get(listing.member), list):
            return result
        if isinstance(result, Raw):
            return result.once((self.rules, self._eyes, self.chosen), lambda whole: self._seen(listing, whole))
        return self._seen(listing, result)

    @property
    def _eyes(self) -> tuple[object, ...]:
        """All of a visitor that a decision can depend on."""
        who = self.visit.principal
        return who.id, who.groups, who.role_in(self.visit.endpoint.workspace.slug)

    def _seen(self, listing: Listing, result: Json) -> Json:
        things = [
            thing
            for thing in result[listing.member]
            if not isinstance(thing, dict) or self.shows(listing.kind, str(thing.get(listing.key)))
        ]
        seen = {**result, listing.member: things}
        return {**seen, "cacheScope": "private"} if "cacheScope" in seen else seen

    def hears(self, message: Json) -> bool:
        """Whether a notification may be passed on: updates of hidden resources are not."""
        if message.get("method") != "notifications/resources/updated":
            return True
        uri = as_object(message.get("params")).get("uri")
        return not isinstance(uri, str) or self.shows("resource", uri)


def used_thing(method: str, params: Json | None) -> tuple[Kind, str] | None:
    """The thing a request uses, None when it uses none.

    Raises:
        InvalidRequest: the parameter that must name it is missing or no string.
    """
    params = params or {}
    if method == "completion/complete":
        return _reference(as_object(params.get("ref")))
    if method not in USES:
        return None
    kind, key = USES[method]
    if not isinstance(params.get(key), str):
        raise InvalidRequest(INVALID_PARAMS, f"{method} needs params.{key}, a string")
    return kind, params[key]


def _reference(ref: Json) -> tuple[Kind, str] | None:
    """What a completion is about; None leaves an unknown reference to the upstream.

    A type that nobody knows decides nothing: an upstream may go by the members alone.
    """
    if ref.get("type") != "ref/prompt" and isinstance(ref.get("uri"), str):
        return "template", ref["uri"]
    if ref.get("type") != "ref/resource" and isinstance(ref.get("name"), str):
        return "prompt", ref["name"]
    return None


def unknown(kind: Kind, name: str, era: Era) -> InvalidRequest:
    """What a thing that does not exist gets."""
    if kind in ("tool", "prompt"):
        return InvalidRequest(INVALID_PARAMS, f"Unknown {kind}: {name}")
    code = RESOURCE_NOT_FOUND if era == "legacy" else INVALID_PARAMS
    return InvalidRequest(code, f"Resource not found: {name}", {"uri": name})
