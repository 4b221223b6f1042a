"""Results and notifications of one server, in a hub's names: only names, URIs and task ids change.

Pure. Whatever is not recognised stays as it is.
"""

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from portkey_mcp.gateway.naming import exposed, exposed_uri
from portkey_mcp.gateway.visible import LISTINGS
from portkey_mcp.wire import Json


@dataclass(frozen=True, slots=True)
class Relabel:
    """The labels of one server. `task` and `state` turn its task ids and request states into the hub's."""

    server: str
    task: Callable[[str], str]
    state: Callable[[str], str]

    def listed(self, method: str, thing: Any) -> Any:
        """One member of a list result."""
        listing = LISTINGS[method]
        if not isinstance(thing, dict) or not isinstance(thing.get(listing.key), str):
            return thing
        if listing.kind in ("resource", "template"):
            return self._meta({**thing, listing.key: exposed_uri(self.server, thing[listing.key])})
        return self._meta({**thing, listing.key: exposed(self.server, thing[listing.key])})

    def result(self, result: Json) -> Json:
        """The result of a call, a prompt, a read, or a task request; the same object when nothing in it changes."""
        changed: Json = {}
        for member, change in (("content", self._block), ("contents", self._uri), ("messages", self._message)):
            if isinstance(result.get(member), list):
                changed[member] = _each(change, result[member])
        if isinstance(result.get("taskId"), str):
            changed["taskId"] = self.task(result["taskId"])
        if isinstance(result.get("requestState"), str):
            changed["requestState"] = self.state(result["requestState"])
        if isinstance(result.get("result"), dict) and "taskId" in result:
            changed["result"] = self.result(result["result"])
        return _with(result, changed)

    def notification(self, message: Json) -> Json:
        """A notification that names a resource or a task."""
        params = message.get("params")
        if not isinstance(params, dict):
            return message
        if message.get("method") == "notifications/resources/updated":
            return {**message, "params": self._uri(params)}
        if isinstance(params.get("taskId"), str):
            return {**message, "params": self.result(params)}
        return message

    def _message(self, message: Any) -> Any:
        if not isinstance(message, dict) or "content" not in message:
            return message
        content = message["content"]
        blocks = _each(self._block, content) if isinstance(content, list) else self._block(content)
        return _with(message, {"content": blocks})

    def _block(self, block: Any) -> Any:
        if not isinstance(block, dict):
            return block
        if block.get("type") == "resource_link":
            return self._uri(block)
        if block.get("type") == "resource" and isinstance(block.get("resource"), dict):
            return {**block, "resource": self._uri(block["resource"])}
        return block

    def _uri(self, thing: Any) -> Any:
        if isinstance(thing, dict) and isinstance(thing.get("uri"), str):
            return {**thing, "uri": exposed_uri(self.server, thing["uri"])}
        return thing

    def _meta(self, tool: Json) -> Json:
        """A tool's link to its MCP App, `_meta.ui.resourceUri`, or in its older spelling."""
        meta = tool.get("_meta")
        if not isinstance(meta, dict):
            return tool
        changed: Json = {}
        ui = meta.get("ui")
        if isinstance(ui, dict) and isinstance(ui.get("resourceUri"), str):
            changed["ui"] = {**ui, "resourceUri": exposed_uri(self.server, ui["resourceUri"])}
        if isinstance(meta.get("ui/resourceUri"), str):
            changed["ui/resourceUri"] = exposed_uri(self.server, meta["ui/resourceUri"])
        return _with(tool, {"_meta": _with(meta, changed)})


def _each(change: Callable[[Any], Any], things: list[Any]) -> list[Any]:
    """The things, each changed; the same list when none is."""
    changed = [change(thing) for thing in things]
    return things if all(map(operator.is_, changed, things)) else changed


def _with(whole: Json, changed: Json) -> Json:
    """The object with these members; the same object when it has them already."""
    return whole if all(whole[member] is value for member, value in changed.items()) else {**whole, **changed}
