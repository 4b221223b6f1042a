"""A tool as policy shows it, and the arguments as policy fills them in. Pure; what does not change is the same object.

An argument that the gateway sets, or that is hidden, is gone from the schema: a caller neither sees it nor may send it.
"""

from collections.abc import Collection, Mapping
from typing import Any, Final

from portkey_mcp.errors import Refused
from portkey_mcp.policy.guards.hidden import clean_value
from portkey_mcp.policy.parts import Argument
from portkey_mcp.policy.terms import Terms
from portkey_mcp.wire import Json

_BRANCHES: Final = ("allOf", "anyOf", "oneOf")


def shown(terms: Terms, tool: Json) -> Json:
    """The definition of a tool as its caller sees it: renamed, described anew, without arguments that are set for it.

    `hidden_text: remove` cleans all of it but the name, by which the server knows it; names of arguments, too. Where it
    says `refuse`, the tool is not shown at all, which the caller sees to.
    """
    if terms.hidden_text == "remove":
        cleaned = clean_value(tool)
        tool = cleaned if cleaned is tool or "name" not in tool else {**cleaned, "name": tool["name"]}
    members: Json = {}
    if terms.rename is not None:
        members["name"] = terms.rename
    if terms.describe is not None:
        members["description"] = terms.describe
    schema = tool.get("inputSchema")
    if terms.arguments and isinstance(schema, dict):
        members["inputSchema"] = _without(schema, terms.arguments)
    if all(name in tool and tool[name] == value for name, value in members.items()):
        return tool
    return {**tool, **members}


def filled(terms: Terms, params: Json) -> Json:
    """The params of a tools/call with the arguments that policy sets.

    Raises:
        Refused: the caller sends one that is set or hidden, even the right one: else what is set could be guessed; or
            no object at all.
    """
    if not terms.arguments:
        return params
    given = params.get("arguments")
    given = {} if given is None else given
    if not isinstance(given, dict):
        raise Refused("arguments", "The arguments of this tool must be an object. The server was not called.")
    values = {name: one.value for name, one in terms.arguments.items() if not one.hidden}
    for name in terms.arguments:
        if name in given:
            raise Refused(
                "arguments",
                f"The argument {name!r} is set by the gateway; leave it out and call again. The server was not called.",
                {"argument": name},
            )
    return {**params, "arguments": {**given, **values}} if values else params


def _without(schema: Json, arguments: Mapping[str, Argument]) -> Json:
    """A schema of arguments without some of them; branches on its first level, too.

    A branch of `anyOf` or `oneOf` that asks for a hidden argument cannot come true any more, and goes.
    """
    made = _without_names(schema, arguments)
    hidden = {name for name, one in arguments.items() if one.hidden}
    for keyword in _BRANCHES:
        branches = schema.get(keyword)
        if not isinstance(branches, list):
            continue
        left = [
            _without_names(branch, arguments) if isinstance(branch, dict) else branch
            for branch in branches
            if keyword == "allOf" or not _requires(branch, hidden)
        ]
        made = {**made, keyword: left}
        if not left:
            del made[keyword]
    return made


def _requires(branch: Any, names: Collection[str]) -> bool:
    required = branch.get("required") if isinstance(branch, dict) else None
    return isinstance(required, list) and any(isinstance(name, str) and name in names for name in required)


def _without_names(schema: Json, names: Collection[str]) -> Json:
    made = dict(schema)
    properties, required = schema.get("properties"), schema.get("required")
    if isinstance(properties, dict):
        made["properties"] = {name: value for name, value in properties.items() if name not in names}
    if isinstance(required, list):
        made["required"] = _others(required, names)
        if not made["required"]:
            del made["required"]
    depending = schema.get("dependentRequired")
    if isinstance(depending, dict):
        made["dependentRequired"] = {
            name: _others(wanted, names) if isinstance(wanted, list) else wanted
            for name, wanted in depending.items()
            if name not in names
        }
    return made


def _others(listed: list[Any], names: Collection[str]) -> list[Any]:
    return [one for one in listed if not (isinstance(one, str) and one in names)]
