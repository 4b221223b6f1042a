"""Which era an upstream is found to speak."""

import anyio
import pytest

from portkey_mcp.errors import UpstreamDown, UpstreamError
from portkey_mcp.upstream.probe import Verdict, discover_params, pinned, probe
from portkey_mcp.wire import Json

pytestmark = pytest.mark.anyio

MODERN: Json = {"supportedVersions": ["2026-07-28", "2099-01-01"], "x": None}


class Server:
    """Answers `server/discover` with each of these in turn."""

    def __init__(self, *answers: Json | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def discover(self, version: str) -> Json:
        self.asked.append(version)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def refusal(code: int, data: object = None, status: int = 400) -> UpstreamError:
    return UpstreamError({"code": code, "message": "no", "data": data}, status)


async def test_a_server_that_answers_is_modern() -> None:
    assert await probe("up", "auto", Server(MODERN).discover) == Verdict("modern", "2026-07-28", MODERN)


@pytest.mark.parametrize(
    "answer",
    [
        refusal(-32601),
        refusal(-32600, status=404),
        refusal(-32022, {"supported": ["2025-11-25", "2025-06-18"]}),
        refusal(-32022, "nonsense"),
        UpstreamDown("up", "HTTP 400", 400, sent=True),
        UpstreamDown("up", "HTTP 500", 500, sent=True),
        UpstreamDown("up", "it hung up", sent=True),
        {},
        {"supportedVersions": ["2025-11-25"]},
        {"supportedVersions": "nonsense"},
    ],
)
async def test_anything_else_is_legacy(answer: Json | Exception) -> None:
    assert await probe("up", "auto", Server(answer).discover) == Verdict("legacy")


async def test_a_server_that_never_answers_is_legacy() -> None:
    async def never(version: str) -> Json:
        await anyio.sleep_forever()
        raise AssertionError

    assert await probe("up", "auto", never, patience=0.01) == Verdict("legacy")


async def test_a_version_it_names_is_tried_once() -> None:
    server = Server(refusal(-32022, {"supported": ["2026-07-28"]}), MODERN)

    assert (await probe("up", "auto", server.discover)).era == "modern"
    assert server.asked == ["2026-07-28"] * 2


async def test_a_server_from_the_future_is_said_in_words() -> None:
    with pytest.raises(UpstreamDown, match="speaks only protocol 2099-01-01"):
        await probe("up", "auto", Server(refusal(-32022, {"supported": ["2099-01-01"]})).discover)


@pytest.mark.parametrize("error", [refusal(-32020), refusal(-32021), refusal(-32000, status=401)])
async def test_a_modern_refusal_is_not_taken_for_legacy(error: UpstreamError) -> None:
    with pytest.raises(UpstreamError):
        await probe("up", "auto", Server(error).discover)


@pytest.mark.parametrize("error", [UpstreamDown("up", "refused"), UpstreamDown("up", "HTTP 401", 401, sent=True)])
async def test_what_says_nothing_about_the_server_is_no_verdict(error: UpstreamDown) -> None:
    with pytest.raises(UpstreamDown):
        await probe("up", "auto", Server(error).discover)


async def test_a_pinned_server_is_believed() -> None:
    assert await probe("up", "2025-06-18", Server().discover) == Verdict("legacy", "2025-06-18")
    assert await probe("up", "2026-07-28", Server({}).discover) == Verdict("modern", "2026-07-28", {})
    assert (pinned("auto"), pinned("2024-11-05"), pinned("2030-01-01")) == (None, "legacy", "modern")


def test_the_gateway_introduces_itself_as_itself() -> None:
    assert discover_params()["_meta"]["io.modelcontextprotocol/clientInfo"]["name"] == "portkey-mcp"
