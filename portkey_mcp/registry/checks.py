"""Whether a server, a bundle or a host alias can be what it says. Pure; the same rules for files, CLI and imports."""

import re
from collections.abc import Iterator

from mcp_types.version import SUPPORTED_PROTOCOL_VERSIONS

from portkey_mcp.model import Bundle, McpServer
from portkey_mcp.policy.access import access_problem
from portkey_mcp.proof import IdentityAuth
from portkey_mcp.registry import references
from portkey_mcp.registry.names import (
    HEADER_NAME,
    OWN_HEADERS,
    PROTECTED_HEADERS,
    Problem,
    host_problem,
    name_problem,
    url_problem,
)
from portkey_mcp.registry.proving import auth_texts


def server_problems(server: McpServer) -> Iterator[Problem]:
    """Everything that is wrong with a server."""
    if problem := name_problem(server.name):
        yield (), problem
    yield from _stdio_problems(server) if server.transport == "stdio" else _http_problems(server)
    if server.protocol != "auto" and server.protocol not in SUPPORTED_PROTOCOL_VERSIONS:
        known = ", ".join(SUPPORTED_PROTOCOL_VERSIONS)
        yield ("protocol",), f"unknown protocol version {server.protocol!r}; expected auto, {known}"
    if problem := access_problem(server.access):
        yield ("access",), problem
    for field, text in texts(server):
        if problem := references.problem(text):
            yield field, problem
    for field, text in auth_texts(server.auth):
        if problem := references.problem(text, person=field[1] == "headers"):
            yield field, problem


def _stdio_problems(server: McpServer) -> Iterator[Problem]:
    if not server.command or not server.command[0]:
        yield (), "has neither url nor command; expected one of them"
    if server.url:
        yield ("url",), "a server has a url or a command, not both"
    if server.headers:
        yield ("headers",), "a command has no headers; hand it what it needs in env"
    if server.auth is not None:
        yield ("auth",), f"auth type {server.auth.type} needs a url; hand a command what it needs in env"
    if server.forward:
        yield ("forward_headers",), "a command has no headers"
    for name in server.env:
        if not name or "=" in name or "\0" in name:
            yield ("env", name), f"{name!r} is no name of an environment variable"


def _http_problems(server: McpServer) -> Iterator[Problem]:
    if server.command:
        yield ("command",), f"a server with transport {server.transport} has a url, no command"
    if server.env:
        yield ("env",), "only a command has an environment"
    if server.cwd:
        yield ("cwd",), "only a command has a working directory"
    if server.process != "principal":
        yield ("process",), "only a command has a process"
    if not server.url:
        yield (), f"a server with transport {server.transport} needs a url"
    elif problem := url_problem(server.url):
        yield ("url",), problem
    for name, value in server.headers.items():
        if not HEADER_NAME.fullmatch(name):
            yield ("headers", name), f"{name!r} is no name of an HTTP header"
        elif name.lower() in OWN_HEADERS:
            yield ("headers", name), f"the gateway sets the header {name} itself"
        if re.search(r"[\r\n\0]", value):
            yield ("headers", name), "a header's value is one line"
    yield from _forward_problems(server)


def _forward_problems(server: McpServer) -> Iterator[Problem]:
    for name, there in server.forward.items():
        for header in (name, there):
            if not HEADER_NAME.fullmatch(header):
                yield ("forward_headers", name), f"{header!r} is no name of an HTTP header"
            elif header.lower() in PROTECTED_HEADERS or header.lower().startswith(("mcp-", "x-forwarded-")):
                yield ("forward_headers", name), f"the header {header} is never passed on"
        if _folded(there) in _told(server):  # or a client could say that it is somebody else
            yield ("forward_headers", name), f"in the header {there} the gateway itself says who calls"


def _told(server: McpServer) -> set[str]:
    """The headers in which a server is told who calls."""
    auth = server.auth
    return {_folded(name) for name in (*auth.claims, auth.token_header)} if isinstance(auth, IdentityAuth) else set()


def _folded(header: str) -> str:
    """A header's name as many servers read it, for whom `-` and `_` are the same (CGI, RFC 3875, section 4.1.18)."""
    return header.lower().replace("_", "-")


def texts(server: McpServer) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Every text of a server that may hold references, with the path of its field."""
    yield ("url",), server.url
    yield from ((("command", index), text) for index, text in enumerate(server.command))
    yield from ((("env", name), text) for name, text in server.env.items())
    yield ("cwd",), server.cwd
    yield from ((("headers", name), text) for name, text in server.headers.items())


def bundle_problems(bundle: Bundle) -> Iterator[Problem]:
    """Everything that is wrong with a bundle."""
    if problem := name_problem(bundle.name, "bundle"):
        yield (), problem
    if not bundle.include:
        yield ("include",), 'a bundle includes something, like ["files/read_*"]'
    for index, pattern in enumerate(bundle.include):
        server, slash, name = pattern.partition("/")
        if not (server and slash and name):
            yield ("include", index), f"{pattern!r} is no `server/name`, like files/read_*"


def host_problems(host: str, path: str) -> Iterator[Problem]:
    """Everything that is wrong with a host alias, except whether its path exists."""
    if problem := host_problem(host):
        yield (), problem
    if not path or path.startswith("/") or path.endswith("/") or path.count("/") > 1:
        yield (), f"{path!r} is no endpoint; expected `workspace` or `workspace/server`"
