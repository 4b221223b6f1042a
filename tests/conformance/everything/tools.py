"""The tools that answer by themselves: content of every kind, errors, logs, progress, schemas, list changes."""

from typing import Any

import anyio.lowlevel

from tests.conformance.everything.call import Call, Json, Tool, ToolError, tool
from tests.conformance.everything.changes import Changes
from tests.conformance.everything.content import AUDIO, IMAGE, embedded, result, text

SCHEMA_2020_12: Json = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}

HEADER_SCHEMA: Json = {
    "type": "object",
    "properties": {"region": {"type": "string", "x-mcp-header": "Region"}, "query": {"type": "string"}},
    "required": ["region"],
}


async def simple_text(call: Call) -> Json:
    return result(text("This is a simple text response for testing."))


async def image_content(call: Call) -> Json:
    return result(IMAGE)


async def audio_content(call: Call) -> Json:
    return result(AUDIO)


async def embedded_resource(call: Call) -> Json:
    return result(embedded("test://embedded-resource", "This is an embedded resource content."))


async def multiple_content_types(call: Call) -> Json:
    mixed = embedded("test://mixed-content-resource", '{"test":"data","value":123}', "application/json")
    return result(text("Multiple content types test:"), IMAGE, mixed)


async def with_logging(call: Call) -> Json:
    for message in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        await call.log(message)
        await anyio.lowlevel.checkpoint()
    return result(text("Logged three messages."))


async def error_handling(call: Call) -> Json:
    raise ToolError("This tool intentionally returns an error for testing")


async def with_progress(call: Call) -> Json:
    for progress in (0, 50, 100):
        await call.progress(progress, 100)
        await anyio.lowlevel.checkpoint()
    return result(text("Reported progress three times."))


async def missing_capability(call: Call) -> Json:
    call.require("sampling")
    return result(text("The client declares sampling."))


async def echo_arguments(call: Call) -> Json:
    return result(text(repr(call.arguments)))


async def reconnection(call: Call) -> Json:
    """Close the call's stream before the answer, so that the client has to come back for it (SEP-1699)."""
    if call.ctx.close_sse_stream is not None:
        await call.ctx.close_sse_stream()
    return result(text("Reconnected."))


def plain_tools(changes: Changes) -> list[Tool]:
    """The tools; the last two announce a change of the lists to everybody who listens."""

    async def trigger(method: str) -> Json:
        await changes.publish(method, {})
        return result(text(f"Sent {method}."))

    async def trigger_tools(call: Call) -> Json:
        return await trigger("notifications/tools/list_changed")

    async def trigger_prompts(call: Call) -> Json:
        return await trigger("notifications/prompts/list_changed")

    anything: dict[str, Any] = {"type": "object"}
    return [
        tool("test_simple_text", "Returns text", simple_text),
        tool("test_image_content", "Returns an image", image_content),
        tool("test_audio_content", "Returns audio", audio_content),
        tool("test_embedded_resource", "Returns an embedded resource", embedded_resource),
        tool("test_multiple_content_types", "Returns text, an image and a resource", multiple_content_types),
        tool("test_tool_with_logging", "Logs three times", with_logging),
        tool("test_logging_tool", "Logs three times", with_logging),
        tool("test_error_handling", "Always fails", error_handling),
        tool("test_tool_with_progress", "Reports progress three times", with_progress),
        tool("test_missing_capability", "Needs a client that samples", missing_capability),
        tool("test_reconnection", "Closes its stream before it answers", reconnection),
        tool("test_custom_header", "Mirrors an argument into a header", echo_arguments, HEADER_SCHEMA),
        tool("json_schema_2020_12_tool", "Has a schema with the whole vocabulary", echo_arguments, SCHEMA_2020_12),
        tool("test_echo", "Returns its arguments", echo_arguments, anything),
        tool("test_trigger_tool_change", "Announces a change of tools", trigger_tools),
        tool("test_trigger_prompt_change", "Announces a change of prompts", trigger_prompts),
    ]
