"""Secrets that are written out end in the sealed store; what is plainly harmless stays readable."""

import pytest

from portkey_mcp.model import McpServer
from portkey_mcp.registry.literals import hide, looks_secret, secret_name


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("API_KEY", "abc"),
        ("GITHUB_TOKEN", "x y"),
        ("DB_PASSWORD", "hunter"),
        ("AUTHORIZATION", "abc"),
        ("X", "ghp_abcdefghijklmnopqrst"),
        ("X", "eyJhbGciOiJIUzI1NiJ9.e30.x"),
        ("X", "-----BEGIN PRIVATE KEY-----"),
        ("X", "0123456789abcdef0123456789abcdef"),
        ("DATABASE", "postgres://u:p@h/d"),
        ("WEBHOOK", "https://hooks.example.com/?sig=abc"),
        ("X", "a1b2c3d4"),
    ],
)
def test_what_may_be_a_secret_counts_as_one(name: str, value: str) -> None:
    assert looks_secret(name, value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LOG_LEVEL", "debug"),
        ("REGION", "us-east-1"),
        ("MAX_TOKENS", "4096"),
        ("USE_AUTH", "true"),
        ("ROOT", "/srv/data/files"),
        ("HOMEPAGE", "https://example.com/x"),
        ("AUTHOR", "Ada"),
        ("TOKEN", "${env:TOKEN}"),
        ("TOKEN", ""),
    ],
)
def test_what_is_plainly_harmless_stays(name: str, value: str) -> None:
    assert not looks_secret(name, value)


def test_every_literal_header_is_hidden_and_references_stay() -> None:
    headers = {"Authorization": "Bearer abc", "X-Team": "red", "X-Key": "Bearer ${env:KEY}", "X-Empty": ""}
    hidden = hide(McpServer("demo", "a", "http", "https://x", headers=headers))
    assert hidden.server.headers == {
        "Authorization": "${secret:a-Authorization}",
        "X-Team": "${secret:a-X-Team}",
        "X-Key": "Bearer ${env:KEY}",
        "X-Empty": "",
    }
    assert hidden.secrets == {"a-Authorization": "Bearer abc", "a-X-Team": "red"}
    assert hidden.notes[0] == "header Authorization: moved to the sealed store, as ${secret:a-Authorization}"


def test_secrets_in_the_url_and_its_parameters_are_hidden() -> None:
    hidden = hide(McpServer("demo", "a", "http", "https://x/mcp?team=red&apiKey=abc&n=5"))
    assert hidden.server.url == "https://x/mcp?team=red&apiKey=${secret:a-apiKey}&n=5"
    assert hidden.secrets == {"a-apiKey": "abc"}


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (("--api-key", "abc"), ("--api-key", "${secret:a-api-key}")),
        (("--token=abc", "x"), ("--token=${secret:a-token}", "x")),
        (("-e", "API_KEY=abc"), ("-e", "API_KEY=${secret:a-API_KEY}")),
        (("Authorization: Bearer abc",), ("Authorization: ${secret:a-Authorization}",)),
        (("sk-abcdefghijklmnop",), ("${secret:a-arg1}",)),
        (("--token", "--verbose"), ("--token", "--verbose")),
        (("--max-tokens", "100"), ("--max-tokens", "100")),
        (("-y", "@scope/server", "/srv/data"), ("-y", "@scope/server", "/srv/data")),
        (("--key=${env:KEY}",), ("--key=${env:KEY}",)),
    ],
)
def test_secrets_among_the_arguments_are_hidden(arguments: tuple[str, ...], shown: tuple[str, ...]) -> None:
    hidden = hide(McpServer("demo", "a", "stdio", command=("npx", *arguments)))
    assert hidden.server.command == ("npx", *shown)


def test_secrets_of_one_name_get_numbers_and_escapes_are_undone() -> None:
    server = McpServer("demo", "a", "stdio", command=("npx", "KEY=one"), env={"KEY": "t$${w}o"})
    hidden = hide(server)
    assert hidden.secrets == {"a-KEY": "t${w}o", "a-KEY-2": "one"}


def test_a_secrets_name_has_plain_letters() -> None:
    assert secret_name("a", "My key/2") == "a-My-key-2"
