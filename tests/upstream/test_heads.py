"""The heads of requests: who wins, and that each stays one request."""

import pytest

from portkey_mcp.upstream.address import read
from portkey_mcp.upstream.heads import Heads, line, lines, names, without

ADDRESS = read("http://h:81/mcp?x")


def fields(request: bytes) -> dict[str, str]:
    head, _, _ = request.partition(b"\r\n\r\n")
    pairs = [one.split(b": ", 1) for one in head.split(b"\r\n")[1:]]
    assert len({name.lower() for name, _ in pairs}) == len(pairs)
    return {name.decode().lower(): value.decode() for name, value in pairs}


def test_a_request_says_what_it_must_and_ends_where_its_length_says() -> None:
    request = Heads(ADDRESS, {"X-Key": "k"}).render("POST", line("Mcp-Method", "x"), b"{}")

    assert request.startswith(b"POST /mcp?x HTTP/1.1\r\nHost: h:81\r\n")
    assert request.endswith(b"\r\nContent-Length: 2\r\n\r\n{}")
    found = fields(request)
    assert (found["x-key"], found["mcp-method"]) == ("k", "x")
    assert found["content-type"] == "application/json"
    assert found["accept"] == "application/json, text/event-stream"
    assert found["accept-encoding"] == "identity"
    assert found["user-agent"].startswith("portkey-mcp/")


@pytest.mark.parametrize(("verb", "accept"), [("GET", "text/event-stream"), ("DELETE", "*/*")])
def test_a_request_without_a_body_has_no_length(verb: str, accept: str) -> None:
    request = Heads(ADDRESS, {}).render(verb, b"", None)  # type: ignore[arg-type]

    assert request.endswith(b"\r\n\r\n")
    assert "content-length" not in fields(request)
    assert fields(request)["accept"] == accept


def test_what_the_protocol_says_wins_over_what_is_configured() -> None:
    configured = {
        "accept": "text/plain",
        "Content-Type": "text/plain",
        "mcp-session-id": "no",
        "User-Agent": "mine",
        "Host": "other",
        "Mcp-Param-X": "kept",
        "LAST-EVENT-ID": "no",
    }
    heads = Heads(ADDRESS, configured)
    found = fields(heads.render("POST", lines({"Mcp-Session-Id": "yes", "Last-Event-ID": "7"}), b""))

    assert found["accept"] == "application/json, text/event-stream"
    assert found["content-type"] == "application/json"
    assert (found["mcp-session-id"], found["last-event-id"], found["mcp-param-x"]) == ("yes", "7", "kept")
    assert (found["user-agent"], found["host"]) == ("mine", "other")
    assert fields(heads.render("POST", b"", b""))["mcp-session-id"] == "no"


def test_nobody_configures_where_a_message_ends() -> None:
    configured = {
        "Content-Length": "0",
        "transfer-encoding": "chunked",
        "Connection": "close",
        "Expect": "100-continue",
    }
    found = fields(Heads(ADDRESS, configured).render("POST", b"", b"{}"))

    assert found["content-length"] == "2"
    assert not {"transfer-encoding", "connection", "expect"} & set(found)


@pytest.mark.parametrize(
    ("name", "value"),
    [("X", "a\r\nY: b"), ("X", "a\nb"), ("X", "\0"), ("X", "\ud800"), ("X Y", "a"), ("X:", "a"), ("", "a"), ("Ü", "a")],
)
def test_what_would_not_stay_one_header_is_refused_and_not_quoted(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=r".") as raised:
        Heads(ADDRESS, {name: value})
    with pytest.raises(ValueError, match=r"."):
        lines({name: value})

    assert "a\r\n" not in str(raised.value)


def test_credentials_in_url_and_headers_are_one_too_many() -> None:
    address = read("http://u:p@h/")

    assert fields(Heads(address, {}).render("GET", b"", None))["authorization"] == "Basic dTpw"
    with pytest.raises(ValueError, match="both hold credentials"):
        Heads(address, {"authorization": "Bearer x"})


def test_long_values_and_other_letters_go_out_as_utf_8() -> None:
    assert lines({"X": "ü" * 300}) == b"X: " + "ü".encode() * 300 + b"\r\n"


def test_what_a_request_brings_wins_over_what_is_configured_where_it_may_bring_anything() -> None:
    heads = Heads(read("http://u:p@h/"), {"X-Key": "configured", "X-Other": "kept"}, brings_any=True)

    for own, key in ((b"x-key: own\r\n", "own"), (b"", "configured")):
        found = fields(heads.render("POST", own + b"AUTHORIZATION: Bearer t\r\n", b"{}"))
        assert (found["x-key"], found["x-other"], found["authorization"]) == (key, "kept", "Bearer t")


def test_lines_without_some_names_keep_the_others_as_they_are() -> None:
    given = b"X-A: 1\r\nx-b: 2\r\nMcp-Session-Id: \xff\r\n"

    assert names(given) == {"x-a", "x-b", "mcp-session-id"}
    assert without(given, frozenset({"x-c"})) is given
    assert without(given, frozenset({"x-b", "x-a"})) == b"Mcp-Session-Id: \xff\r\n"
