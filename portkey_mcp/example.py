"""A small MCP server that shows every common feature; `portkey-mcp demo` puts it behind the gateway.

Run as `python -m portkey_mcp.example`: it speaks MCP over stdin and stdout, in both protocol eras, needs no network
and keeps nothing. It knows nothing of the gateway.
"""

from typing import Annotated

import anyio
from mcp.server.mcpserver import AcceptedElicitation, Context, Elicit, ElicitationResult, MCPServer, Resolve
from mcp_types import (
    Completion,
    CompletionArgument,
    CompletionContext,
    PromptReference,
    ResourceTemplateReference,
    ToolAnnotations,
)
from pydantic import BaseModel, Field

from portkey_mcp import __version__

LANGUAGES = {"de": "Guten Tag", "en": "Good day", "es": "Buenos días", "fr": "Bonjour", "it": "Buongiorno"}
READ_ONLY = ToolAnnotations(read_only_hint=True, open_world_hint=False)

server = MCPServer(
    "example",
    title="Example server",
    version=__version__,
    instructions="A small server to try the gateway with. Every tool is harmless.",
    log_level="WARNING",
)


class Sum(BaseModel):
    """What `add` answers."""

    sum: float


class Favourite(BaseModel):
    """What `ask` asks for."""

    colour: str = Field(title="Colour", description="Your favourite colour")


@server.tool(title="Echo", annotations=READ_ONLY)
def echo(text: str) -> str:
    """Say the same text again."""
    return text


@server.tool(title="Add", annotations=READ_ONLY)
def add(a: float, b: float) -> Sum:
    """Add two numbers; the answer is structured."""
    return Sum(sum=a + b)


@server.tool(title="Count down", annotations=READ_ONLY)
async def countdown(
    ctx: Context,
    start: Annotated[int, Field(ge=1, le=20)] = 3,
    pause: Annotated[float, Field(ge=0, le=5, description="Seconds between two numbers")] = 0.2,
) -> str:
    """Count down to zero and report progress on the way."""
    for step in range(start):
        await ctx.report_progress(step, start, f"{start - step} …")
        await anyio.sleep(pause)
    await ctx.report_progress(start, start, "lift-off")
    return "Lift-off!"


async def _favourite() -> Elicit[Favourite]:
    return Elicit("What is your favourite colour?", Favourite)


@server.tool(title="Ask", annotations=READ_ONLY)
async def ask(answer: Annotated[ElicitationResult[Favourite], Resolve(_favourite)]) -> str:
    """Ask the person at the client for a favourite colour (needs a client with elicitation)."""
    if isinstance(answer, AcceptedElicitation):
        return f"You like {answer.data.colour}."
    return "You would rather not say."


@server.resource("example://about", title="About this server", mime_type="text/plain")
def about() -> str:
    """What this server is."""
    return "The example server that comes with portkey-mcp."


@server.resource("example://greetings/{language}", title="A greeting", mime_type="text/plain")
def greeting(language: str) -> str:
    """A greeting in one language; completion lists the languages."""
    return LANGUAGES.get(language, LANGUAGES["en"])


@server.prompt(title="Introduce me")
def introduce(name: str, language: str = "en") -> str:
    """Ask the model to introduce somebody in a language."""
    return f"{LANGUAGES.get(language, LANGUAGES['en'])}! Please introduce {name} in the language {language!r}."


@server.completion()  # type: ignore[no-untyped-call,untyped-decorator]  # the SDK leaves it untyped
async def complete(
    ref: PromptReference | ResourceTemplateReference, argument: CompletionArgument, context: CompletionContext | None
) -> Completion | None:
    """Languages, for the prompt's and the template's `language`."""
    if argument.name != "language":
        return None
    return Completion(values=[code for code in LANGUAGES if code.startswith(argument.value)])


if __name__ == "__main__":
    server.run("stdio")
