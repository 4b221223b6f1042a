"""What a server, a bundle and a host alias may be; each rule with its sentence."""

from typing import Any

import pytest

from portkey_mcp.model import Bundle, McpServer
from portkey_mcp.proof import IdentityAuth
from portkey_mcp.registry.checks import bundle_problems, host_problems, server_problems, texts


def http(**fields: Any) -> McpServer:
    return McpServer(**{"workspace": "demo", "name": "a", "transport": "http", "url": "https://x/mcp", **fields})


def stdio(**fields: Any) -> McpServer:
    return McpServer(**{"workspace": "demo", "name": "a", "transport": "stdio", "command": ("npx",), **fields})


@pytest.mark.parametrize(
    "server",
    [
        http(headers={"X-Key": "${env:KEY}"}, protocol="2025-11-25"),
        http(transport="sse"),
        http(forward={"x-mail": "X-Mail"}, auth=IdentityAuth({"X-User-Email": "email"})),
        stdio(env={"A": "b"}, cwd="/srv", process="shared", protocol="auto"),
    ],
)
def test_good_servers_have_no_problem(server: McpServer) -> None:
    assert list(server_problems(server)) == []


VERSIONS = "auto, 2024-11-05, 2025-03-26, 2025-06-18, 2025-11-25, 2026-07-28"


@pytest.mark.parametrize(
    ("server", "problem"),
    [
        (http(name="A"), ((), "'A' cannot be a server; expected at most 31 lower-case letters, digits, - and _")),
        (http(url=""), ((), "a server with transport http needs a url")),
        (http(command=("npx",)), (("command",), "a server with transport http has a url, no command")),
        (http(env={"A": "b"}), (("env",), "only a command has an environment")),
        (http(cwd="/srv"), (("cwd",), "only a command has a working directory")),
        (http(process="shared"), (("process",), "only a command has a process")),
        (http(protocol="2025"), (("protocol",), f"unknown protocol version '2025'; expected {VERSIONS}")),
        (http(url="ftp://x"), (("url",), "'ftp://x' is no http(s) URL")),
        (http(headers={"a b": "c"}), (("headers", "a b"), "'a b' is no name of an HTTP header")),
        (http(headers={"Accept": "c"}), (("headers", "Accept"), "the gateway sets the header Accept itself")),
        (http(headers={"X": "a\r\nb"}), (("headers", "X"), "a header's value is one line")),
        (
            http(forward={"x-mail": "x_user_email"}, auth=IdentityAuth({"X-User-Email": "email"})),
            (("forward_headers", "x-mail"), "in the header x_user_email the gateway itself says who calls"),
        ),
        (
            http(forward={"x-jwt": "X-Jwt"}, auth=IdentityAuth({}, "x-jwt", "files")),
            (("forward_headers", "x-jwt"), "in the header X-Jwt the gateway itself says who calls"),
        ),
        (stdio(command=()), ((), "has neither url nor command; expected one of them")),
        (stdio(url="https://x"), (("url",), "a server has a url or a command, not both")),
        (stdio(headers={"X": "y"}), (("headers",), "a command has no headers; hand it what it needs in env")),
        (stdio(env={"A=B": "c"}), (("env", "A=B"), "'A=B' is no name of an environment variable")),
        (
            stdio(command=("npx", "${env:A")),
            (("command", 1), "'${env:A' is not closed; expected `}`, or `$${` for a literal `${`"),
        ),
    ],
)
def test_each_rule_for_servers(server: McpServer, problem: tuple[object, str]) -> None:
    assert list(server_problems(server)) == [problem]


def test_every_text_with_references_is_looked_at() -> None:
    server = stdio(command=("a", "b"), env={"E": "e"}, cwd="/c", url="u", headers={"H": "h"})
    assert [text for _, text in texts(server)] == ["u", "a", "b", "e", "/c", "h"]


@pytest.mark.parametrize(
    ("bundle", "problem"),
    [
        (
            Bundle("demo", "B", "", ("a/b",)),
            ((), "'B' cannot be a bundle; expected at most 31 lower-case letters, digits, - and _"),
        ),
        (Bundle("demo", "b", "", ()), (("include",), 'a bundle includes something, like ["files/read_*"]')),
        (Bundle("demo", "b", "", ("a/b", "c")), (("include", 1), "'c' is no `server/name`, like files/read_*")),
    ],
)
def test_each_rule_for_bundles(bundle: Bundle, problem: tuple[object, str]) -> None:
    assert list(bundle_problems(bundle)) == [problem]


@pytest.mark.parametrize("path", ["demo", "demo/files"])
def test_a_host_stands_for_an_endpoint(path: str) -> None:
    assert list(host_problems("x.example.com", path)) == []


@pytest.mark.parametrize("path", ["", "/demo", "demo/", "a/b/c"])
def test_a_host_stands_for_nothing_else(path: str) -> None:
    expected = f"{path!r} is no endpoint; expected `workspace` or `workspace/server`"
    assert list(host_problems("x.example.com", path)) == [((), expected)]
