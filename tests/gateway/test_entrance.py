from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.types import Receive, Scope, Send

from portkey_mcp.activity.acts import Act
from portkey_mcp.errors import Unauthenticated
from portkey_mcp.gateway.admission import Admission
from portkey_mcp.gateway.changes import Changes
from portkey_mcp.gateway.entrance import Entrance, host_of
from portkey_mcp.gateway.exchange import Exchange
from portkey_mcp.gateway.reply import send_json
from portkey_mcp.gateway.witness import Witness
from portkey_mcp.model import Access, Bundle, Directory, Principal, Workspace
from portkey_mcp.wire import Json
from tests.gateway.asgi import Browser, legacy, modern
from tests.gateway.house import house
from tests.gateway.memory_link import MemoryLink

pytestmark = pytest.mark.anyio

KEYS = {
    "ada": Principal("ada", "Ada", "person", {"team": "member"}),
    "eve": Principal("eve", "Eve", "person", {"team": "member", "elsewhere": "owner"}),
    "mallory": Principal("mallory", "Mallory", "person", {"elsewhere": "owner"}),
}
LIST = legacy("tools/list")


async def by_key(headers: Mapping[str, str]) -> Principal:
    key = headers.get("x-portkey-api-key")
    if key not in KEYS:
        raise Unauthenticated("Send an API key")
    return KEYS[key]


async def rest(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        await send_json(send, 404, {"rest": scope["path"]})


@asynccontextmanager
async def entrance() -> AsyncIterator[Browser]:
    files = MemoryLink("files")
    files.on("tools/list", {"tools": [{"name": "read"}]})
    async with house(files, bundles=[Bundle("team", "reading", "Reading", ("files/*",))]) as place:
        empty = Workspace("elsewhere", "Elsewhere", {}, {})
        directory = Directory(
            {"team": place.workspace, "elsewhere": empty},
            {"files.example.com": "Team/Files", "team.example.com": "team"},
        )
        exchange = Exchange(place.corridor, place.sessions, Changes(), place.tasks, max_body=1000)
        app = Entrance(exchange, Admission(by_key), lambda: directory, {"Gateway.Example.com"}, rest)
        yield Browser(app, x_portkey_api_key="ada")


@pytest.mark.parametrize(
    ("path", "tool"),
    [
        ("/team/files/mcp", "read"),
        ("/team/files/mcp/", "read"),
        ("/Team/FILES/Mcp", "read"),
        ("//team//files/mcp", "read"),
        ("/team/mcp", "files__read"),
        ("/team/reading/mcp", "files__read"),
        ("/mcp", "files__read"),
    ],
)
async def test_every_endpoint_is_served_in_place_however_it_is_written(path: str, tool: str) -> None:
    async with entrance() as browser:
        answered = await browser.post(path, LIST)

    assert answered.status == 200
    assert answered.json["result"]["tools"] == [{"name": tool}]


@pytest.mark.parametrize(
    ("host", "tool"),
    [("files.example.com", "read"), ("FILES.example.com:443", "read"), ("team.example.com", "files__read")],
)
async def test_a_host_alias_stands_for_its_endpoint(host: str, tool: str) -> None:
    async with entrance() as browser:
        assert (await browser.post("/mcp", LIST, host=host)).json["result"]["tools"] == [{"name": tool}]
        assert (await browser.post("/team/mcp", LIST, host=host)).json["result"]["tools"] == [{"name": "files__read"}]


async def test_the_root_hub_is_the_workspace_of_who_has_only_one() -> None:
    async with entrance() as browser:
        assert (await browser.post("/mcp", LIST, x_portkey_api_key="mallory")).json["result"]["tools"] == []
        assert (await browser.post("/mcp", LIST, x_portkey_api_key="eve")).status == 404


@pytest.mark.parametrize("path", ["/nobody/mcp", "/team/nobody/mcp", "/elsewhere/mcp", "/elsewhere/files/mcp"])
async def test_what_does_not_exist_and_what_is_others_look_alike(path: str) -> None:
    async with entrance() as browser:
        answered = await browser.post(path, LIST)
        other = await browser.post("/made-up/mcp", LIST)

    assert answered.status == 404
    assert answered.body == other.body
    assert answered.json["jsonrpc"] == "2.0"


@pytest.mark.parametrize(
    "path", ["/", "", "/team", "/team/files", "/a/b/c/mcp", "/.well-known/x", "/mcp/team", "/healthz"]
)
async def test_everything_else_is_for_the_rest_of_the_gateway(path: str) -> None:
    async with entrance() as browser:
        assert (await browser.request(path, method="GET", x_portkey_api_key="")).json == {"rest": path}


async def test_who_is_not_known_is_asked_who_they_are_before_anything_else() -> None:
    async with entrance() as browser:
        for path in ("/team/files/mcp", "/nobody/mcp"):
            answered = await browser.post(path, LIST, x_portkey_api_key="wrong")
            assert answered.status == 401
            assert answered.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8080", 200),
        ("127.0.0.1", 200),
        ("[::1]:8080", 200),
        ("gateway.example.com", 200),
        ("evil.example.com", 421),
        ("localhost.evil.example.com", 421),
        ("", 421),
        ("[", 421),
        ("\xe9", 421),
    ],
)
async def test_only_our_own_names_are_answered_to(host: str, status: int) -> None:
    async with entrance() as browser:
        assert (await browser.post("/team/files/mcp", LIST, host=host)).status == status


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://localhost:3000", 200),
        ("https://gateway.example.com", 200),
        ("https://files.example.com", 200),
        ("https://evil.example.com", 403),
        ("null", 403),
        ("", 403),
        ("http://[", 403),
        ("https://evil.example.com/localhost", 403),
        ("https://localhost@evil.example.com", 403),
    ],
)
async def test_only_our_own_origins_come_near(origin: str, status: int) -> None:
    async with entrance() as browser:
        assert (await browser.post("/team/files/mcp", LIST, origin=origin)).status == status


async def test_probes_are_answered_whatever_host_they_ask_for() -> None:
    async with entrance() as browser:
        for path in ("/healthz", "/readyz"):
            assert (await browser.request(path, method="GET", host="10.0.0.7:8080")).json == {"rest": path}


async def test_a_quick_look_by_head_is_answered_and_other_methods_are_named() -> None:
    async with entrance() as browser:
        assert (await browser.request("/team/files/mcp", method="HEAD")).status == 200
        for method in ("PUT", "OPTIONS", "PATCH"):
            answered = await browser.request("/team/files/mcp", method=method)
            assert (answered.status, answered.headers["allow"]) == (405, "POST, GET, DELETE, HEAD")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, -32700),
        (b"", 400, -32700),
        (b'{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}', 400, -32700),
        (b"[]", 400, -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":7}', 400, -32600),
        (b"x" * 1001, 413, -32600),
    ],
)
async def test_bad_input_gets_the_right_error_and_nothing_else_notices(body: bytes, status: int, code: int) -> None:
    async with entrance() as browser:
        answered = await browser.request("/team/files/mcp", body)
        after = await browser.post("/team/files/mcp", LIST)

    assert (answered.status, answered.json["error"]["code"]) == (status, code)
    assert after.status == 200


async def test_a_modern_refusal_has_its_status_and_its_requests_id() -> None:
    message, headers = modern("tools/list", ident="7")
    async with entrance() as browser:
        mismatch = await browser.post("/team/files/mcp", message, **{**headers, "mcp_method": "tools/call"})
        message, headers = modern("logging/setLevel")
        unknown = await browser.post("/team/files/mcp", message, **headers)

    assert (mismatch.status, mismatch.json["id"], mismatch.json["error"]["code"]) == (400, "7", -32020)
    assert (unknown.status, unknown.json["error"]["code"]) == (404, -32601)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.text(st.characters(max_codepoint=255), max_size=20),
    st.dictionaries(
        st.sampled_from(["host", "origin", "accept", "content-length", "mcp-session-id", "mcp-protocol-version"]),
        st.text(st.characters(max_codepoint=255), max_size=12),
    ),
    st.binary(max_size=20),
    st.sampled_from(["POST", "GET", "DELETE", "HEAD"]),
)
async def test_no_request_is_left_without_an_answer(path: str, headers: Json, body: bytes, method: str) -> None:
    async with entrance() as browser:
        for at in (f"/{path}", "/team/files/mcp"):
            async with browser.open(at, body, method, **headers) as answered:
                await answered.until(lambda answered=answered: answered.messages)
            assert answered.status < 500


def test_a_host_is_found_in_any_authority() -> None:
    assert host_of("LOCALHOST:8080") == "localhost"
    assert host_of("[::1]:8080") == "::1"
    assert host_of("user@evil.example.com") == "evil.example.com"
    assert host_of("[") == ""


async def test_what_is_no_http_goes_to_the_rest() -> None:
    seen: list[str] = []

    async def remembers(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    async with house(MemoryLink()) as place:
        exchange = Exchange(place.corridor, place.sessions, Changes(), place.tasks, max_body=1)
        app = Entrance(exchange, Admission(by_key), Directory, (), remembers)
        await app({"type": "lifespan"}, None, None)  # type: ignore[arg-type]

    assert seen == ["lifespan"]


async def test_what_strangers_send_is_remembered_only_where_it_is_short() -> None:
    async with entrance() as browser:
        for number in range(20):
            long = "x" * 10_000 + str(number)
            assert (await browser.post("/team/files/mcp", LIST, host=long)).status == 421
            assert (await browser.post("/team/files/mcp", LIST, origin=f"https://{long}")).status == 403
            assert (await browser.post(f"/team/{long}/mcp", LIST)).status == 404
        app = browser.app
        assert isinstance(app, Entrance)
        assert app._known_hosts.cache_info().currsize + app._spots.cache_info().currsize < 10


async def test_what_was_read_of_a_path_or_a_host_is_forgotten_with_the_directory() -> None:
    async with house(MemoryLink("files")) as place:
        known = [Directory({"team": place.workspace}, {"files.example.com": "team/files"}), Directory()]
        exchange = Exchange(place.corridor, place.sessions, Changes(), place.tasks, max_body=1000)
        browser = Browser(Entrance(exchange, Admission(by_key), lambda: known[0], (), rest), x_portkey_api_key="ada")
        before = await browser.request("/mcp", method="HEAD", host="files.example.com")
        del known[0]

        assert before.status == 200
        assert (await browser.request("/mcp", method="HEAD", host="files.example.com")).status == 421
        assert (await browser.request("/team/files/mcp", method="HEAD")).status == 404


@asynccontextmanager
async def guarded_entrance(access: Access) -> AsyncIterator[tuple[Browser, list[Directory]]]:
    """Two servers, `files` for those of `access` alone; the directory that is served is the last of the list."""
    links = [MemoryLink(name) for name in ("files", "mail")]
    for link in links:
        link.on("tools/list", {"tools": [{"name": "read"}]})
    async with house(*links, bundles=[Bundle("team", "reading", "Reading", ("files/*",))]) as place:
        servers = {**place.workspace.servers, "files": replace(place.workspace.servers["files"], access=access)}
        served = [Directory({"team": replace(place.workspace, servers=servers)}, {"files.example.com": "team/files"})]
        exchange = Exchange(place.corridor, place.sessions, Changes(), place.tasks, max_body=1000)
        app = Entrance(exchange, Admission(by_key), lambda: served[-1], (), rest)
        yield Browser(app, x_portkey_api_key="ada"), served


async def test_a_server_that_somebody_may_not_use_does_not_exist_for_them_under_any_alias() -> None:
    async with guarded_entrance(Access(("eve",))) as (browser, _):
        missing = await browser.post("/team/made-up/mcp", LIST)
        for path, host in (("/team/files/mcp", "localhost"), ("/mcp", "files.example.com")):
            hidden = await browser.post(path, LIST, host=host)
            assert (hidden.status, hidden.body) == (404, missing.body)
            assert (await browser.post(path, LIST, host=host, x_portkey_api_key="eve")).status == 200
        for path, seen in (("/team/mcp", ["mail__read"]), ("/mcp", ["mail__read"]), ("/team/reading/mcp", [])):
            assert [tool["name"] for tool in (await browser.post(path, LIST)).json["result"]["tools"]] == seen
        both = (await browser.post("/team/mcp", LIST, x_portkey_api_key="eve")).json["result"]["tools"]
        assert [tool["name"] for tool in both] == ["files__read", "mail__read"]
        call = {**LIST, "method": "tools/call", "params": {"name": "files__read", "arguments": {}}}
        made_up = {**LIST, "method": "tools/call", "params": {"name": "nobody__read", "arguments": {}}}
        hidden, missing = [(await browser.post("/team/mcp", message)).json for message in (call, made_up)]
        assert hidden["error"]["message"].replace("files", "nobody") == missing["error"]["message"]


async def test_what_somebody_sees_of_a_workspace_is_one_object_until_the_directory_changes() -> None:
    async with guarded_entrance(Access(("eve",))) as (browser, served):
        app = browser.app
        assert isinstance(app, Entrance)
        first, again = [app._visit(("team",), KEYS["ada"], address) for address in ("10.0.0.1", "10.0.0.2")]
        assert first.endpoint.workspace is again.endpoint.workspace
        assert app._visit(("team",), KEYS["eve"], "").endpoint.workspace is served[0].workspaces["team"]
        open_to_all = {name: replace(one, access=None) for name, one in served[0].workspaces["team"].servers.items()}
        served.append(Directory({"team": replace(served[0].workspaces["team"], servers=open_to_all)}))
        assert app._visit(("team",), KEYS["ada"], "").endpoint.workspace is served[1].workspaces["team"]


async def test_the_witness_hears_once_who_came_and_each_time_whose_credential_was_refused() -> None:
    acts: list[Act] = []
    async with house(MemoryLink("files")) as place:
        directory = Directory({"team": place.workspace})
        exchange = Exchange(place.corridor, place.sessions, Changes(), place.tasks, max_body=1000)
        app = Entrance(exchange, Admission(by_key), lambda: directory, (), rest, witness=Witness(acts.append))
        ada, stranger = Browser(app, x_portkey_api_key="ada"), Browser(app, x_portkey_api_key="hunter2")
        for _ in range(3):
            assert (await ada.request("/team/mcp", method="HEAD")).status == 200
        assert [(act.act, act.outcome, act.who, act.workspace) for act in acts] == [
            ("key_used", "done", KEYS["ada"], "team")
        ]
        acts.clear()
        assert (await Browser(app).request("/team/mcp", method="HEAD")).status == 401
        for path in ("/team/mcp", "/hidden/mcp", "/mcp"):
            assert (await stranger.request(path, method="HEAD")).status == 401
    assert [(act.outcome, act.who, act.workspace) for act in acts] == [
        ("refused", None, workspace) for workspace in ("team", "", "")
    ]
    assert "hunter2" not in repr(acts)
