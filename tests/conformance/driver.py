"""The client that the suite's client scenarios start: `python -m tests.conformance.driver [--direct] SERVER_URL`.

It puts a gateway before the suite's server, then acts as a client of that gateway: what each scenario wants a client
to do is done here, and what the suite sees is what the gateway makes of it. `--direct` leaves the gateway out, which
shows what the driver itself is worth. Exits 1 when a step fails.
"""

import contextlib
import json
import os
import shlex
import sys
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
from mcp.client.client import Client
from mcp.client.context import ClientRequestContext
from mcp_types import ElicitRequestParams, ElicitResult

from tests.conformance import processes
from tests.conformance.modern_client import ModernClient
from tests.conformance.suite import MODERN

Json = dict[str, Any]

COMMAND = f"{shlex.quote(sys.executable)} -m tests.conformance.driver"
"""What the suite is told to start, from the repository's root."""


async def accept_defaults(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
    """Accept a form, leaving every field at its default."""
    properties = params.model_dump(by_alias=True)["requestedSchema"]["properties"]
    return ElicitResult(action="accept", content={name: field["default"] for name, field in properties.items()})


async def act_legacy(url: str, scenario: str) -> None:
    """What the scenarios of 2025-11-25 ask for: list, then call each tool with arguments that fit."""
    async with Client(url, mode="legacy", elicitation_callback=accept_defaults) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        for name in tools:
            if scenario == "json-schema-2020-12-preservation":
                if name == "json_schema_echo":
                    await client.call_tool(name, {"schema": tools["json_schema_2020_12_tool"].input_schema})
            else:
                await client.call_tool(name, {"a": 5, "b": 3} if name == "add_numbers" else {})


async def call_every_tool(client: ModernClient) -> None:
    for tool in await client.tools():
        await client.call(tool["name"], {"a": 5, "b": 3} if tool["name"] == "add_numbers" else {"region": "us-west1"})


async def only_list(client: ModernClient) -> None:
    await client.tools()


async def read_everything(client: ModernClient) -> None:
    await call_every_tool(client)
    for resource in (await client.request("resources/list"))["resources"]:
        await client.request("resources/read", {"uri": resource["uri"]})
    for prompt in (await client.request("prompts/list"))["prompts"]:
        await client.request("prompts/get", {"name": prompt["name"]})


async def call_as_told(client: ModernClient) -> None:
    """Make the calls that the suite hands over, nulls and odd characters included."""
    await client.tools()
    for call in json.loads(os.environ["MCP_CONFORMANCE_CONTEXT"])["toolCalls"]:
        await client.call(call["name"], call["arguments"])


async def answer_questions(client: ModernClient) -> None:
    """Two tools ask back; an unrelated one is called in the middle of the first one's questions."""
    await client.tools()
    asked = await client.call_once("test_mrtr_echo_state", {})
    await client.call("test_mrtr_unrelated", {})
    await client.answer("test_mrtr_echo_state", {}, asked)
    await client.call("test_mrtr_no_state", {})
    final = await client.call("test_mrtr_no_result_type", {})
    assert final["resultType"] == "complete"


async def echo_schema(client: ModernClient) -> None:
    tools = {tool["name"]: tool for tool in await client.tools()}
    await client.call("json_schema_echo", {"schema": tools["json_schema_2020_12_tool"]["inputSchema"]})


ACTS: dict[str, Callable[[ModernClient], Awaitable[None]]] = {
    "tools_call": call_every_tool,
    "request-metadata": only_list,
    "json-schema-ref-no-deref": only_list,
    "http-standard-headers": read_everything,
    "http-custom-headers": call_as_told,
    "http-invalid-tool-headers": call_every_tool,
    "sep-2322-client-request-state": answer_questions,
    "json-schema-2020-12-preservation": echo_schema,
}


async def act(url: str, scenario: str, revision: str) -> None:
    if revision != MODERN:
        await act_legacy(url, scenario)
        return
    async with ModernClient(url) as client:
        await ACTS[scenario](client)


def main() -> None:
    scenario = os.environ["MCP_CONFORMANCE_SCENARIO"]
    revision = os.environ["MCP_CONFORMANCE_PROTOCOL_VERSION"]
    with contextlib.ExitStack() as running:
        url = sys.argv[-1]
        if "--direct" not in sys.argv:
            url = running.enter_context(processes.gateway(url))
        try:
            anyio.run(act, url, scenario, revision)
        except Exception:
            traceback.print_exc()
            sys.exit(1)


if __name__ == "__main__":
    main()
