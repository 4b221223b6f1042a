"""What a URL says about whom to connect to, and what goes out."""

import pytest

from portkey_mcp.upstream.address import read


@pytest.mark.parametrize(
    ("url", "origin", "authority", "target"),
    [
        ("http://Example.COM/mcp", ("http", "example.com", 80), "example.com", "/mcp"),
        ("HTTPS://example.com:443", ("https", "example.com", 443), "example.com", "/"),
        ("https://example.com:8443/a?b=c&d#e", ("https", "example.com", 8443), "example.com:8443", "/a?b=c&d"),
        ("http://[::1]:9000/mcp", ("http", "::1", 9000), "[::1]:9000", "/mcp"),
        ("http://bücher.example/", ("http", "xn--bcher-kva.example", 80), "xn--bcher-kva.example", "/"),
        ("http://faß.example/", ("http", "xn--fa-hia.example", 80), "xn--fa-hia.example", "/"),
        ("http://h/a b/ü?q=ä b%20%zz", ("http", "h", 80), "h", "/a%20b/%C3%BC?q=%C3%A4%20b%20%25zz"),
        ("http://h/a%2Fb//c/;x=1", ("http", "h", 80), "h", "/a%2Fb//c/;x=1"),
        (" http://h_x/mcp ", ("http", "h_x", 80), "h_x", "/mcp"),
    ],
)
def test_it_is_read_as_browsers_read_it(url: str, origin: tuple[str, str, int], authority: str, target: str) -> None:
    address = read(url)

    assert (address.origin, address.authority, address.target) == (origin, authority, target)
    assert address.authorization == ""


def test_user_and_password_become_basic_credentials_and_nothing_else() -> None:
    address = read("http://ada:p%40ss:w@h/mcp")

    assert address.authorization == "Basic YWRhOnBAc3M6dw=="
    assert (address.authority, address.target) == ("h", "/mcp")


@pytest.mark.parametrize(
    "url",
    [
        *("", "not a url", "ftp://h/", "http://", "http:///x", "http://[::1", "http://h:port/", "http://h:99999/"),
        *("http://a b/", "http://a\\b/", "http://h\x7f/", "http://a<b/", f"http://{'ü' * 80}.example/"),
    ],
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read(url)


@pytest.mark.parametrize("url", ["http://u:hush/x@h/", "http://u:hush@h\u2100/", "http://u:hush@[::1/"])
def test_no_secret_is_quoted(url: str) -> None:
    with pytest.raises(ValueError, match=r".") as raised:
        read(url)

    assert "hush" not in str(raised.value)


def test_no_line_break_reaches_the_request_line() -> None:
    assert "\r" not in read("http://h/a\r\nX: y").target
    assert "\n" not in read("http://h/?a=\nb").target


@pytest.mark.parametrize(
    ("reference", "target"),
    [
        *[("/other?x=1", "/other?x=1"), ("next", "/a/next"), ("?y", "/a/b?y"), ("http://H:80/z", "/z")],
        *[("https://h/z", None), ("http://h:81/z", None), ("//evil/z", None), ("http://x@h/z", "/z")],
    ],
)
def test_what_lies_beside_it_has_the_same_origin_and_credentials(reference: str, target: str | None) -> None:
    there = read("http://u:p@h/a/b").beside(reference)

    assert (there.target if there else None) == target
    assert there is None or there.authorization == "Basic dTpw"


def test_its_bare_url_holds_neither_credentials_nor_a_fragment() -> None:
    assert read("HTTP://u:p@H:81/a b?q#f").bare == "http://h:81/a%20b?q"
