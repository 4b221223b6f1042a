"""`auth:` of a server: which keys go together, what it becomes, and that it survives the database."""

from pathlib import Path
from typing import Any

import pytest

from portkey_mcp.errors import Mistakes
from portkey_mcp.model import McpServer
from portkey_mcp.proof import AccountAuth, Authority, MachineAuth, OAuthClient, OwnHeadersAuth
from portkey_mcp.registry.auth_schema import ServerAuth
from portkey_mcp.registry.document import load
from portkey_mcp.registry.proving import KINDS, auth_of, auth_problems, auth_texts, with_texts
from portkey_mcp.registry.rows import server, server_columns
from portkey_mcp.registry.tables import ServerRow

FULL: dict[str, dict[str, Any]] = {
    "oauth": {
        "sharing": "workspace",
        "client_id": "me",
        "client_secret": "${env:SECRET}",
        "issuer": "https://login.example.com",
        "authorization_endpoint": "https://login.example.com/authorize",
        "revocation_endpoint": "https://login.example.com/revoke",
        "scopes": ["read"],
        "authorize_params": {"access_type": "offline"},
        "send_resource": False,
    },
    "client_credentials": {"client_id": "me", "private_key": "${file:/key.pem}", "signing_algorithm": "RS256"},
    "workload_identity": {"token": "${file:/var/run/token}", "token_endpoint": "https://login.example.com/token"},
    "token_exchange": {"client_id": "me", "client_secret": "x", "audience": "them", "subject": "sign_in"},
    "enterprise": {"provider": "corp", "client_id": "me", "client_secret": "x"},
    "identity": {"claims": {"X-User": "email"}, "token_header": "X-Token", "audience": "them"},
    "headers": {"headers": {"X-Key": "${person:key}"}, "ask": {"key": "An API key"}},
}


def part(kind: str, **said: Any) -> ServerAuth:
    return ServerAuth.model_validate({"type": kind, **said})


@pytest.mark.parametrize("kind", FULL)
def test_every_kind_is_good_and_comes_back_from_the_database_as_it_was(kind: str) -> None:
    said = part(kind, **FULL[kind])
    assert list(auth_problems(said)) == []
    auth = auth_of(said)
    assert type(auth) is KINDS[kind]
    stored = McpServer("demo", "s", "http", url="https://x", auth=auth, forward={"x-tenant": "X-Tenant"})
    row = ServerRow(workspace="demo", name="s", origin="file", **server_columns(stored))
    assert server(row) == stored


def test_headers_that_nobody_enters_are_the_servers_own() -> None:
    assert auth_of(part("headers", headers={"X": "${env:A}"})) is None
    assert auth_of(part("none")) is None
    assert auth_of(None) is None


def test_an_account_is_per_person_unless_it_says_otherwise() -> None:
    assert auth_of(part("oauth")) == AccountAuth()
    asked = auth_of(part("headers", headers={"X": "Bearer ${person:t}"}, sharing="workspace"))
    assert asked == OwnHeadersAuth({"X": "Bearer ${person:t}"}, sharing="workspace")


@pytest.mark.parametrize(
    ("kind", "said", "problem"),
    [
        ("none", {"headers": {"X": "y"}}, (("headers",), "auth type none has no headers")),
        ("oauth", {"audience": "x"}, (("audience",), "auth type oauth has no audience")),
        ("oauth", {"authorize_params": {"state": "x"}}, (("authorize_params", "state"), "the gateway sets the")),
        ("oauth", {"client_secret": "x"}, (("client_id",), "a client with a secret")),
        ("oauth", {"issuer": "http://login.example.com"}, (("issuer",), "'http://login.example.com' is not enc")),
        ("client_credentials", {"client_id": "x"}, ((), "auth type client_credentials needs client_secret or")),
        ("enterprise", {"client_id": "x"}, ((), "auth type enterprise needs provider")),
        ("identity", {}, ((), "auth type identity needs claims")),
        ("identity", {"claims": {"X": "shoe-size"}}, (("claims", "X"), "unknown claim 'shoe-size'")),
        ("identity", {"claims": {"Content-Length": "id"}}, ((), "'Content-Length' is no header")),
        ("identity", {"token_header": "X"}, (("audience",), "a token needs an audience")),
        ("headers", {"headers": {"X": "y"}, "ask": {"k": "?"}}, (("ask", "k"), "no header holds ${person:k}")),
        ("headers", {"headers": {"X": "y"}, "sharing": "per-user"}, (("sharing",), "nobody enters anything")),
    ],
)
def test_what_does_not_go_together_is_said_with_its_place(kind: str, said: Any, problem: tuple[Any, str]) -> None:
    found = list(auth_problems(part(kind, **said)))
    assert [(loc, what[: len(problem[1])]) for loc, what in found] == [problem]


def test_its_texts_are_found_by_the_keys_of_the_file_and_replaced() -> None:
    auth = MachineAuth(OAuthClient("me", "${env:S}"), Authority(token_endpoint="https://x/t"))
    texts = dict(auth_texts(auth))
    assert texts[("auth", "client_secret")] == "${env:S}"
    assert texts[("auth", "token_endpoint")] == "https://x/t"
    changed = with_texts(auth, {("auth", "client_secret"): "s3cret"})
    assert changed == MachineAuth(OAuthClient("me", "s3cret"), Authority(token_endpoint="https://x/t"))
    assert dict(auth_texts(None)) == {}
    held = OwnHeadersAuth({"X": "${person:k}"})
    assert with_texts(held, {("auth", "headers", "X"): "y"}) == OwnHeadersAuth({"X": "y"})


def test_a_secret_is_in_no_representation() -> None:
    assert "s3cret" not in repr(auth_of(part("oauth", client_id="me", client_secret="s3cret")))


def test_an_enterprise_server_names_a_provider_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "portkey.yaml"
    file.write_text("""\
version: 1
gateway:
  sign_in: {providers: [{id: corp, issuer: "https://login.example.com", client_id: x}]}
workspaces:
  demo:
    servers:
      good: {url: "https://x/", auth: {type: enterprise, provider: corp, client_id: me}}
      bad: {url: "https://x/", auth: {type: enterprise, provider: crop, client_id: me}}
""")
    with pytest.raises(Mistakes) as wrong:
        load(file)
    assert str(wrong.value) == f"{file}:8:67: unknown provider 'crop'; did you mean 'corp'?"
