"""The fixture's prompts, and completion for their arguments."""

from collections.abc import Awaitable, Callable

from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS

from tests.conformance.everything.asking import elicitation
from tests.conformance.everything.call import Call, Json
from tests.conformance.everything.content import IMAGE, embedded, text


def messages(*blocks: Json) -> Json:
    """A `prompts/get` result in which the user says everything."""
    return {"messages": [{"role": "user", "content": block} for block in blocks]}


async def simple(call: Call) -> Json:
    return messages(text("This is a simple prompt for testing."))


async def with_arguments(call: Call) -> Json:
    said = call.arguments
    return messages(text(f"Prompt with arguments: arg1='{said.get('arg1')}', arg2='{said.get('arg2')}'"))


async def with_embedded_resource(call: Call) -> Json:
    resource = embedded(call.arguments.get("resourceUri", ""), "Embedded resource content for testing.")
    return messages(resource, text("Please process the embedded resource above."))


async def with_image(call: Call) -> Json:
    return messages(IMAGE, text("Please analyze the image above."))


async def asking(call: Call) -> Json:
    question = elicitation("What context should the prompt use?", {"context": {"type": "string"}})
    answer = (await call.ask({"user_context": question}))["user_context"]
    return messages(text(f"Context: {answer.get('content')}"))


PROMPTS: dict[str, tuple[Callable[[Call], Awaitable[Json]], list[str]]] = {
    "test_simple_prompt": (simple, []),
    "test_prompt_with_arguments": (with_arguments, ["arg1", "arg2"]),
    "test_prompt_with_embedded_resource": (with_embedded_resource, ["resourceUri"]),
    "test_prompt_with_image": (with_image, []),
    "test_input_required_result_prompt": (asking, []),
}
"""Name to what runs and the names of its arguments, all required."""


def prompt_list() -> list[Json]:
    return [
        {
            "name": name,
            "description": f"The prompt {name}",
            "arguments": [{"name": argument, "required": True} for argument in arguments],
        }
        for name, (_, arguments) in PROMPTS.items()
    ]


async def get_prompt(call: Call) -> Json:
    """Raises MCPError -32602 for a prompt that does not exist."""
    name = call.params["name"]
    if name not in PROMPTS:
        raise MCPError(INVALID_PARAMS, f"Unknown prompt: {name}")
    return await PROMPTS[name][0](call)


async def complete(call: Call) -> Json:
    typed = call.params["argument"]["value"]
    values = [word for word in ("paris", "park", "party", "test") if word.startswith(typed)]
    return {"completion": {"values": values, "total": len(values), "hasMore": False}}
