"""What nobody thought of: generated messages arrive through the gateway as they do directly, in both directions."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.stories.raw_client import canonical
from tests.stories.raw_upstream_house import Pairs, pairs
from tests.stories.raw_upstream_script import Json

pytestmark = pytest.mark.anyio

TEXT = st.text(st.characters(exclude_categories=()), max_size=12)
"""Any code points, lone surrogates among them."""

NUMBER = st.integers() | st.integers(-(2**200), 2**200) | st.floats(allow_nan=False, allow_infinity=False)
LEAF = st.none() | st.booleans() | NUMBER | TEXT
NAME = st.sampled_from(["", "_meta", "content", "isError", "jsonrpc", "id", "uri", "type", "x"]) | TEXT
VALUE = st.recursive(
    LEAF, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAME, inner, max_size=4), max_leaves=10
)
OBJECT = st.dictionaries(NAME, VALUE, max_size=5)

BESIDE = st.dictionaries(NAME.filter(lambda name: name not in ("jsonrpc", "id")), VALUE, max_size=3)
"""What stands beside `method` and `params`."""

TOKEN = st.none() | TEXT | st.integers(-(2**70), 2**70)
METHOD = st.from_regex(r"vendor/[a-zA-Z0-9_/.-]{0,12}", fullmatch=True)

PROGRESS = st.builds(
    lambda more: {"method": "notifications/progress", "params": {**more, "progressToken": "$token"}}, OBJECT
)
LOG = st.builds(lambda more: {"method": "notifications/message", "params": more}, OBJECT)
ODD = st.builds(lambda more, name, params: {**more, "method": f"vendor/{name}", "params": params}, BESIDE, TEXT, VALUE)
BARE = st.builds(lambda name: {"method": f"notifications/vendor/{name}"}, TEXT)
FIRST = st.lists(PROGRESS | LOG | ODD | BARE, max_size=5)

RESULT = st.builds(lambda outcome: {"result": outcome}, OBJECT)
ERROR = st.builds(lambda outcome: {"error": outcome}, OBJECT | st.fixed_dictionaries({"code": VALUE, "message": VALUE}))
OUTCOME = RESULT | ERROR

generated = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    database=None,
    phases=(Phase.generate, Phase.shrink),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)


@pytest.fixture(scope="module")
async def two(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pairs]:
    async with pairs(tmp_path_factory.mktemp("raw")) as made:
        yield made


def params_of(params: Json, meta: Json, token: str | int | None, say: Json) -> Json:
    """The params of a request that says how to be answered; progress needs a token."""
    wanted = {"progressToken": "t" if token is None else token} if token is not None or say["first"] else {}
    return {**params, "_meta": {**meta, **wanted}, "say": say}


def without_hop(message: Json) -> Json:
    """A request without what belongs to one hop: its id and its progress token."""
    params = message.get("params", {})
    meta = {key: value for key, value in params.get("_meta", {}).items() if key != "progressToken"}
    return {**message, "id": None, "params": {**params, "_meta": meta}}


async def check(two: Pairs, server: str, message: Json) -> None:
    """Send a request both ways and compare what came back and, over HTTP, what came out."""
    directly, through = await two.at[server].direct(message), await two.at[server].through(message)
    assert canonical(through) == canonical(directly)
    if server != "child":
        received = two.house.upstream(server).requests(message["method"])[-2:]
        assert canonical(without_hop(received[1])) == canonical(without_hop(received[0]))


@pytest.mark.parametrize("server", ["legacy", "modern", "child"])
@given(method=METHOD, params=OBJECT, meta=OBJECT, token=TOKEN, first=FIRST, outcome=OUTCOME)
@generated
async def test_a_request_of_a_vendor_is_answered_as_it_is_directly(
    two: Pairs, server: str, method: str, params: Json, meta: Json, token: str | int | None, first: Any, outcome: Json
) -> None:
    say = {"first": first, **kind_of(server, outcome)}
    await check(two, server, two.author[server].request(method, params_of(params, meta, token, say)))


@pytest.mark.parametrize("server", ["legacy", "modern", "child"])
@given(name=TEXT, arguments=OBJECT, more=OBJECT, meta=OBJECT, token=TOKEN, first=FIRST, outcome=OUTCOME)
@generated
async def test_a_tool_call_is_answered_as_it_is_directly(
    two: Pairs, server: str, name: str, arguments: Json, more: Json, meta: Json, token: Any, first: Any, outcome: Json
) -> None:
    # A modern client repeats the name in a header, and no header holds a lone surrogate.
    name = name.encode("utf-8", "replace").decode() if server == "modern" else name
    params = {**more, "name": name, "arguments": arguments}
    say = {"first": first, **kind_of(server, outcome)}
    await check(two, server, two.author[server].request("tools/call", params_of(params, meta, token, say)))


def kind_of(server: str, outcome: Json) -> Json:
    """A modern result must say what it is; one that does not is `complete` through the gateway."""
    if server != "modern" or "result" not in outcome:
        return outcome
    return {"result": {"resultType": "complete", **outcome["result"]}}
