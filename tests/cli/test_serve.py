import json
import re
import socket
import subprocess
import sys
from pathlib import Path

import anyio
import httpx2
import pytest
from mcp import Client

from portkey_mcp.cli.serve import listen
from portkey_mcp.errors import PortkeyError
from portkey_mcp.identity.people import People
from portkey_mcp.storage.database import Database
from portkey_mcp.wire import Json
from tests.cli.gateway import gateway
from tests.cli.program import run

pytestmark = pytest.mark.anyio


@pytest.mark.outside("curl")
async def test_the_curl_line_of_the_demo_calls_a_tool_as_it_is_printed() -> None:
    async with gateway("demo", "--port", 0) as demo:
        line = next(line for line in demo.banner.splitlines() if line.strip().startswith("curl "))
        answer = await anyio.run_process(line)

    assert json.loads(answer.stdout)["result"]["content"][0]["text"] == "Hello from portkey-mcp"


async def test_the_demo_serves_the_sdk_client_in_both_eras() -> None:
    async with gateway("demo", "--port", 0) as demo:
        for mode in ("legacy", "2026-07-28"):
            async with Client(f"{demo.url}/demo/example/mcp", mode=mode) as client:
                result = await client.call_tool("add", {"a": 1, "b": 2})
                assert result.structured_content == {"sum": 3}


async def test_standing_streams_end_in_good_order_when_the_gateway_is_stopped() -> None:
    envelope = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    wanted = {"notifications": {"toolsListChanged": True}, "_meta": envelope}
    message = {"jsonrpc": "2.0", "id": "news", "method": "subscriptions/listen", "params": wanted}
    headers = {"Mcp-Protocol-Version": "2026-07-28", "Mcp-Method": "subscriptions/listen"}
    events: list[Json] = []
    async with (
        gateway("demo", "--port", 0) as demo,
        httpx2.AsyncClient(timeout=30) as client,
        client.stream("POST", f"{demo.url}/demo/mcp", json=message, headers=headers) as stream,
    ):
        async for line in stream.aiter_lines():
            if line.startswith("data:"):
                if not events:
                    demo.stop()
                events.append(json.loads(line[5:]))

    assert events[0]["method"] == "notifications/subscriptions/acknowledged"
    assert events[-1]["id"] == "news"
    assert events[-1]["result"]["resultType"] == "complete"


async def test_serve_says_where_endpoints_are_and_how_to_get_a_key(tmp_path: Path) -> None:
    async with gateway("serve", "--port", 0, "--data", tmp_path) as served:
        assert f"{served.url}/WORKSPACE/SERVER/mcp" in served.banner
        assert "keys create" in served.banner


async def test_as_long_as_nobody_is_known_each_start_prints_a_link_for_the_first_person(tmp_path: Path) -> None:
    links = []
    for _ in range(2):
        async with gateway("serve", "--port", 0, "--data", tmp_path) as served, httpx2.AsyncClient() as client:
            links += re.findall(rf"{served.url}/ui/join/(\S+)", served.banner)
            found = [(await client.get(f"{served.url}/ui/join/{token}")).status_code for token in links]
    assert found == [404, 200]
    database = await Database.open(tmp_path)
    await People(database).add("ada@example.com")
    await database.close()
    async with gateway("serve", "--port", 0, "--data", tmp_path) as served, httpx2.AsyncClient() as client:
        assert "/ui/join/" not in served.banner
        assert (await client.get(f"{served.url}/ui/join/{links[-1]}")).status_code == 404


async def test_where_people_come_by_a_provider_or_need_not_sign_in_there_is_no_link(tmp_path: Path) -> None:
    file = tmp_path / "portkey.yaml"
    provider = "{id: corp, issuer: 'https://id.example.com', client_id: x}"
    for gateways in (f"sign_in: {{providers: [{provider}]}}", "auth: none"):
        file.write_text(f"version: 1\ngateway: {{{gateways}}}\n")
        async with gateway("serve", "--port", 0, "--data", tmp_path, "--config", file) as served:
            assert "/ui/join/" not in served.banner


async def test_a_file_that_is_wrong_stops_the_start_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "portkey.yaml"
    file.write_text("version: 1\nworkspaces:\n  team:\n    servrs: {}\n")
    command = [sys.executable, "-m", "portkey_mcp", "serve", "--config", file, "--data", tmp_path, "--port", "0"]
    ended = await anyio.run_process([str(word) for word in command], check=False)

    assert ended.returncode == 2
    assert f"{file}:4:" in ended.stderr.decode()
    assert "Traceback" not in ended.stderr.decode()


def test_a_port_that_is_taken_is_said_in_words() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        ended = run("demo", "--port", port)

    assert ended.code == 1
    assert ended.err.startswith(f"cannot listen on 127.0.0.1 port {port}: another program has it")
    assert "--port" in ended.err


def test_an_address_of_another_machine_is_said_in_words() -> None:
    with pytest.raises(PortkeyError, match=r"cannot listen on 192\.0\.2\.1 port 0: "):
        listen("192.0.2.1", 0)


def test_a_port_may_be_left_to_the_system() -> None:
    with listen("127.0.0.1", 0) as listener:
        assert listener.getsockname()[1] > 0


def test_an_open_gateway_is_refused_on_an_address_that_others_reach(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "portkey_mcp", "demo", "--host", "0.0.0.0", "--port", "0"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    assert ended.returncode == 2
    assert "loopback" in ended.stderr
