"""What a visitor may see and use: one decision for lists, calls, references and notifications (design.md section 4).

Pure. A thing that is hidden looks exactly like one that does not exist, and a tool that policy renames has its own name
no more.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from mcp_types import INVALID_PARAMS

from portkey_mcp.errors import InvalidRequest
from portkey_mcp.gateway.bridge.envelope import RESOURCE_NOT_FOUND
from portkey_mcp.gateway.bridge.way import as_object
from portkey_mcp.gateway.offers import digest_in
from portkey_mcp.model import Era, McpServer, Visit
from portkey_mcp.policy.decide import Allow, Rules, Thing
from portkey_mcp.policy.document import ServerPolicy
from portkey_mcp.policy.guards.hidden import clean_value, find_value
from portkey_mcp.policy.match import Kind, Pattern
from portkey_mcp.policy.shaping import shown
from portkey_mcp.policy.terms import FREE, Terms
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


class Pins(Protocol):
    """Which definitions of tools a person has let pass; `registry.definitions.Definitions` is it."""

    @property
    def version(self) -> int:
        """Another number whenever an answer of `admits` may be another."""
        ...

    def admits(self, server_key: str, held: ServerPolicy, name: str, digest: str) -> bool:
        """Whether this definition of a tool may be seen and used."""
        ...

    def restricts(self, server_key: str) -> bool:
        """Whether some definition of this server was refused, whatever the policy says."""
        ...

    def seen(self, server: McpServer, held: ServerPolicy, tools: Mapping[str, tuple[str, Json]]) -> bool:
        """Take note of the definitions that a server offers: of each tool the digest, and what was sent.

        Says whether one of them was never seen before.
        """
        ...


class NoPins:
    """Nothing was ever decided; and so, where policy asks for a decision, nothing passes."""

    version = 0

    def admits(self, server_key: str, held: ServerPolicy, name: str, digest: str) -> bool:
        """See `Pins`."""
        return not held.pin and held.new_tools == "allow"

    def restricts(self, server_key: str) -> bool:
        """See `Pins`."""
        return False

    def seen(self, server: McpServer, held: ServerPolicy, tools: Mapping[str, tuple[str, Json]]) -> bool:
        """See `Pins`; nothing is kept."""
        return False


NO_PINS: Final = NoPins()

HIDDEN: Final = object()
"""What is to be seen of a thing that is hidden."""


@dataclass(frozen=True, slots=True)
class Use:
    """What a request uses, under its server's own name, and on what terms. `called` is what the client called it."""

    thing: Thing
    terms: Terms
    called: str


@dataclass(frozen=True, slots=True)
class View:
    """One server through one visitor's eyes. `chosen` is a bundle's choice, None where everything is chosen."""

    visit: Visit
    server: str
    rules: Rules
    chosen: tuple[Pattern, ...] | None = None
    pins: Pins = NO_PINS

    def terms(self, kind: Kind, name: str) -> Terms | None:
        """On what terms the visitor may use the thing with this own name; None: not at all."""
        if self.chosen is not None and not any(
            kind in pattern.kinds and pattern.server(self.server) and pattern.name(name) for pattern in self.chosen
        ):
            return None
        decision = self.rules.decide(self.visit, Thing(kind, self.server, name))
        if not isinstance(decision, Allow):
            return None
        # A name that a renamed tool was given leads to that one only.
        given = decision.terms.rename or name
        return decision.terms if kind != "tool" or self.own_name(given) == name else None

    def shows(self, kind: Kind, name: str) -> bool:
        """Whether the visitor may see and use the thing with this own name, as far as its name tells."""
        return self.terms(kind, name) is not None

    def offers(self, tool: Json, terms: Terms) -> bool:
        """Whether the visitor may see and use a tool that is defined like this. What is not said is no."""
        if terms.read_only and as_object(tool.get("annotations")).get("readOnlyHint") is not True:
            return False
        if terms.hidden_text == "refuse" and find_value(tool):
            return False
        held = self.rules.server(self.server)
        return self.pins.admits(self._key, held, str(tool.get("name")), digest_in(tool))

    def own_name(self, name: str) -> str:
        """The server's own name of a tool that this visitor calls `name`."""
        return self.rules.renamed(self.visit, self.server).get(name, name)

    @property
    def general(self) -> Terms:
        """The terms of what the server says outside of any use."""
        return self.rules.general(self.visit, self.server)

    @property
    def _key(self) -> str:
        return f"{self.visit.endpoint.workspace.slug}/{self.server}"

    @property
    def guarded(self) -> bool:
        """Whether some tool of this server may be hidden or changed: then those it does not list do not exist."""
        return self.rules.touches(self.server) or self.pins.restricts(self._key)

    @property
    def whole(self) -> bool:
        """True when nothing of this server can be hidden from anybody: its results pass as they are."""
        return self.chosen is None and not self.guarded

    def use(self, method: str, params: Json | None, era: Era, called: str | None = None) -> Use | None:
        """What a request uses; None when it uses nothing. `called` is its name as the client knows it.

        Raises:
            InvalidRequest: -32602 as for something unknown (-32002 for a legacy client's resource): hidden.
        """
        found = None
        for kind, name in used_things(method, params):
            own = self.own_name(name) if kind == "tool" else name
            terms = self.terms(kind, own)
            if terms is None or (kind == "tool" and (terms.rename or own) != name):
                raise unknown(kind, called or name, era)
            found = Use(Thing(kind, self.server, own), terms, called or name)
        return found

    def listed(self, method: str, result: Json) -> Json:
        """A list result without what is hidden. What may differ between visitors is marked private (C2)."""
        listing = LISTINGS.get(method)
        if listing is None or self.whole or not isinstance(result.get(listing.member), list):
            return result
        if isinstance(result, Raw):
            return result.once(self.eyes, lambda whole: self._seen(listing, whole))
        return self._seen(listing, result)

    @property
    def eyes(self) -> tuple[Any, ...]:
        """All that what is seen can depend on, beside the thing itself."""
        return self.rules, self.rules.eyes(self.visit), self.chosen, self.pins.version

    def dressed(self, kind: Kind, key: str, thing: Any) -> Any:
        """One member of a list as the visitor sees it, in the server's own names but for renamed tools; or HIDDEN."""
        if not isinstance(thing, dict):
            return thing
        terms = self.terms(kind, str(thing.get(key)))
        if terms is None:
            return HIDDEN
        if kind != "tool":
            # Its definition is not known when it is used, so it cannot be hidden for what it says; it is cleaned.
            return thing if terms.hidden_text == "keep" else clean_value(thing)
        if not self.offers(thing, terms):
            return HIDDEN
        return thing if terms is FREE else shown(terms, thing)

    def _seen(self, listing: Listing, result: Json) -> Json:
        dressed = (self.dressed(listing.kind, listing.key, thing) for thing in result[listing.member])
        seen = {**result, listing.member: [thing for thing in dressed if thing is not HIDDEN]}
        return {**seen, "cacheScope": "private"} if "cacheScope" in seen else seen

    def hears(self, message: Json) -> bool:
        """Whether a notification may be passed on: updates of hidden resources are not."""
        if message.get("method") != "notifications/resources/updated":
            return True
        uri = as_object(message.get("params")).get("uri")
        return not isinstance(uri, str) or self.shows("resource", uri)

    def linked(self, result: Json) -> Json:
        """A result without links to resources that are hidden, and without those resources themselves."""
        if self.chosen is None and not self.rules.hides("resource", self.server):
            return result
        changed: Json = {}
        for member, keeps in (("content", self._may_link), ("contents", self._may_read), ("messages", self._may_say)):
            items = result.get(member)
            if isinstance(items, list) and (kept := [item for item in items if keeps(item)]) != items:
                changed[member] = kept
        return {**result, **changed} if changed else result

    def _may_read(self, thing: Any) -> bool:
        uri = thing.get("uri") if isinstance(thing, dict) else None
        return not isinstance(uri, str) or self.shows("resource", uri)

    def _may_link(self, block: Any) -> bool:
        if isinstance(block, dict) and block.get("type") == "resource_link":
            return self._may_read(block)
        return self._may_read(block.get("resource")) if isinstance(block, dict) else True

    def _may_say(self, message: Any) -> bool:
        content = message.get("content") if isinstance(message, dict) else None
        return all(map(self._may_link, content)) if isinstance(content, list) else self._may_link(content)


def used_things(method: str, params: Json | None) -> list[tuple[Kind, str]]:
    """The things a request uses: one, or none; more only where a reference names several, and then each counts.

    Raises:
        InvalidRequest: the parameter that must name it is missing or no string.
    """
    params = params or {}
    if method == "completion/complete":
        return _references(as_object(params.get("ref")))
    if method not in USES:
        return []
    kind, key = USES[method]
    if not isinstance(params.get(key), str):
        raise InvalidRequest(INVALID_PARAMS, f"{method} needs params.{key}, a string")
    return [(kind, params[key])]


def _references(ref: Json) -> list[tuple[Kind, str]]:
    """What a completion is about, by its members: an upstream may go by them, whatever the type says.

    None leaves an unknown reference to the upstream.
    """
    found: list[tuple[Kind, str]] = []
    if ref.get("type") != "ref/prompt" and isinstance(ref.get("uri"), str):
        found.append(("template", ref["uri"]))
    if ref.get("type") != "ref/resource" and isinstance(ref.get("name"), str):
        found.append(("prompt", ref["name"]))
    return found


def unknown(kind: Kind, name: str, era: Era) -> InvalidRequest:
    """What a thing that does not exist gets."""
    if kind in ("tool", "prompt"):
        return InvalidRequest(INVALID_PARAMS, f"Unknown {kind}: {name}")
    code = RESOURCE_NOT_FOUND if era == "legacy" else INVALID_PARAMS
    return InvalidRequest(code, f"Resource not found: {name}", {"uri": name})
