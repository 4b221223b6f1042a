"""A peer that cannot be installed is left out with its reason; nothing is fetched here."""

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import peers
from benchmarks.peers import PEERS, install, open_peers, version
from benchmarks.targets import Upstreams

UPSTREAMS = Upstreams({"legacy": 1, "modern": 2}, 3)


def test_a_peer_is_installed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed: list[str] = []

    def fake(folder: Path, package: str) -> None:
        folder.mkdir()
        installed.append(package)

    monkeypatch.setitem(PEERS, "fastmcp", replace(PEERS["fastmcp"], install=fake))
    assert install("fastmcp", tmp_path) == install("fastmcp", tmp_path) == tmp_path / "fastmcp"
    assert installed == ["fastmcp"]


def test_a_peer_that_cannot_be_installed_is_left_out_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> Path:
        raise RuntimeError("there is no network")

    monkeypatch.setattr(peers, "install", fail)
    told: list[str] = []
    with ExitStack() as stack:
        assert open_peers(UPSTREAMS, False, stack, told.append) == []
    assert "peer fastmcp is left out: there is no network" in told


@pytest.mark.parametrize("name", PEERS)
def test_each_peer_gets_the_upstream_of_its_kind(name: str) -> None:
    command = " ".join(PEERS[name].command(Path("folder"), 8081, "http://127.0.0.1:1/mcp", ["python", "server"]))
    assert "8081" in command
    assert ("python server" in command) is PEERS[name].stdio
    assert ("http://127.0.0.1:1/mcp" in command) is not PEERS[name].stdio


def test_the_version_is_read_from_where_it_is_installed(tmp_path: Path) -> None:
    (tmp_path / "mcp-proxy/lib/python3.11/site-packages/mcp_proxy-0.13.0.dist-info").mkdir(parents=True)
    described = tmp_path / "supergateway/node_modules/supergateway/package.json"
    described.parent.mkdir(parents=True)
    described.write_text('{"version": "4.0.0"}')
    assert [version(name, tmp_path) for name in ("mcp-proxy", "supergateway", "fastmcp")] == ["0.13.0", "4.0.0", ""]
