"""The bundled example server, as a child process, spoken to by the SDK's own client."""

import sys
from collections.abc import AsyncIterator

import pytest
from mcp import Client, StdioServerParameters
from mcp.client import ClientRequestContext
from mcp_types import ElicitRequestParams, ElicitResult, PromptReference, ResourceTemplateReference, TextContent

pytestmark = pytest.mark.anyio


async def answer(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
    return ElicitResult(action="accept", content={"colour": "green"})


@pytest.fixture(params=["legacy", "2026-07-28"])
async def client(request: pytest.FixtureRequest) -> AsyncIterator[Client]:
    program = StdioServerParameters(command=sys.executable, args=["-m", "portkey_mcp.example"])
    async with Client(program, mode=request.param, elicitation_callback=answer) as client:
        yield client


async def text_of(client: Client, name: str, arguments: dict[str, object]) -> str:
    result = await client.call_tool(name, arguments)
    assert not result.is_error
    assert isinstance(result.content[0], TextContent)
    return result.content[0].text


async def test_it_lists_its_tools_with_annotations(client: Client) -> None:
    tools = (await client.list_tools()).tools

    assert [tool.name for tool in tools] == ["echo", "add", "countdown", "ask"]
    assert all(tool.annotations and tool.annotations.read_only_hint for tool in tools)


async def test_echo_says_the_same(client: Client) -> None:
    assert await text_of(client, "echo", {"text": "hëllo"}) == "hëllo"


async def test_add_answers_structured(client: Client) -> None:
    result = await client.call_tool("add", {"a": 2, "b": 3.5})

    assert result.structured_content == {"sum": 5.5}


async def test_countdown_reports_progress(client: Client) -> None:
    seen: list[tuple[float, float | None, str | None]] = []

    async def progress(done: float, total: float | None, message: str | None) -> None:
        seen.append((done, total, message))

    await client.call_tool("countdown", {"start": 2, "pause": 0}, progress_callback=progress)

    assert seen[0] == (0, 2, "2 …")


async def test_ask_asks_the_person(client: Client) -> None:
    assert await text_of(client, "ask", {}) == "You like green."


async def test_resources_and_the_template_can_be_read(client: Client) -> None:
    about = await client.read_resource("example://about")
    greeting = await client.read_resource("example://greetings/fr")

    assert "portkey-mcp" in about.contents[0].text
    assert greeting.contents[0].text == "Bonjour"


async def test_the_prompt_and_its_language_are_completed(client: Client) -> None:
    prompt = await client.get_prompt("introduce", {"name": "Ada", "language": "it"})
    for ref in (PromptReference(name="introduce"), ResourceTemplateReference(uri="example://greetings/{language}")):
        found = await client.complete(ref, {"name": "language", "value": "e"})
        assert found.completion.values == ["en", "es"]

    assert "Buongiorno" in prompt.messages[0].content.text
