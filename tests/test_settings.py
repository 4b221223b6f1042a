"""Command line over environment over file over default, and wrong values in words."""

from pathlib import Path

import pytest

from portkey_mcp.errors import Mistake, Mistakes
from portkey_mcp.settings import Settings, is_loopback, load, origin_problem, refuse_open_gateway


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"PORTKEY_MCP_{name.upper()}", raising=False)


def test_defaults_serve_on_loopback_and_require_a_credential() -> None:
    settings = load()
    assert (settings.host, settings.port, settings.auth) == ("127.0.0.1", 8080, "required")
    assert settings.base_url == "http://127.0.0.1:8080"
    assert settings.data == Path.home() / ".local/share/portkey-mcp"


def test_command_line_wins_over_environment_and_environment_over_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTKEY_MCP_PORT", "9001")
    monkeypatch.setenv("PORTKEY_MCP_HOST", "127.0.0.2")
    settings = load(port=9002, host=None)
    assert (settings.port, settings.host) == (9002, "127.0.0.2")


def test_an_empty_variable_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTKEY_MCP_PORT", "")
    assert load().port == 8080


def test_the_file_fills_in_what_nobody_gave(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTKEY_MCP_AUTH", "required")
    settings = load().completed(public_url="https://mcp.example.com/", auth="none")
    assert (settings.public_url, settings.auth) == ("https://mcp.example.com", "required")
    assert settings.base_url == "https://mcp.example.com"


def test_a_file_that_says_nothing_changes_nothing() -> None:
    assert load().completed() == load()


def test_an_ipv6_address_stands_in_brackets() -> None:
    assert load(host="::1").base_url == "http://[::1]:8080"


def test_secret_keys_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTKEY_MCP_SECRET_KEYS", "k1:hush")
    settings = load()
    assert "hush" not in repr(settings)
    assert settings.secret_keys.get_secret_value() == "k1:hush"


def test_every_wrong_value_is_reported_with_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTKEY_MCP_PORT", "http")
    monkeypatch.setenv("PORTKEY_MCP_AUTH", "maybe")
    monkeypatch.setenv("PORTKEY_MCP_LOG_LEVEL", "DEBUG")
    with pytest.raises(Mistakes) as wrong:
        load()
    assert str(wrong.value).splitlines() == [
        "PORTKEY_MCP_PORT: Input should be a valid integer, unable to parse string as an integer",
        "PORTKEY_MCP_AUTH: Input should be 'required' or 'none'",
    ]


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("", ""),
        ("https://mcp.example.com", ""),
        ("http://127.0.0.1:8080/", ""),
        ("mcp.example.com", "'mcp.example.com' is no http(s) URL; expected an origin like https://mcp.example.com"),
        ("https://x:99999", "'https://x:99999' is no http(s) URL; expected an origin like https://mcp.example.com"),
        ("https://x/tools/gateway/", ""),
        (
            "https://x/a b",
            "'https://x/a b' has a path that cannot be one; expected letters, digits, - and _ between slashes",
        ),
        ("https://x/a?b", "'https://x/a?b' has more than an origin and a path; expected https://x/a"),
        ("https://me:pw@x:1", "'https://me:pw@x:1' has more than an origin and a path; expected https://x:1"),
    ],
)
def test_a_public_url_is_an_origin_and_may_have_a_path(url: str, problem: str) -> None:
    assert origin_problem(url) == problem


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "[::1]", "localhost", "LocalHost"])
def test_loopback_reaches_this_machine_only(host: str) -> None:
    assert is_loopback(host)
    refuse_open_gateway(load(host=host, auth="none"))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "example.com", "127.0.0.1.example.com", ""])
def test_without_authentication_nothing_but_loopback_is_served(host: str) -> None:
    assert not is_loopback(host)
    refuse_open_gateway(load(host=host, auth="required"))
    with pytest.raises(Mistake, match="auth: none makes everyone who can connect an admin") as wrong:
        refuse_open_gateway(load(host=host, auth="none"))
    assert f"not on {host!r}; set host to 127.0.0.1, or auth to required" in str(wrong.value)
