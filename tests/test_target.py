"""Whom a URL from outside names, and which addresses are public (oauth.md B3)."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portkey_mcp.errors import NotFetched
from portkey_mcp.target import is_public, read, unmapped


@pytest.mark.parametrize(
    ("url", "scheme", "host", "port", "path", "authority"),
    [
        ("https://Example.com", "https", "example.com", 443, "/", "example.com"),
        ("HTTPS://example.com:443/a?b=c", "https", "example.com", 443, "/a?b=c", "example.com"),
        ("https://example.com:8443?x", "https", "example.com", 8443, "/?x", "example.com:8443"),
        ("http://[::1]:9000/a%20b//c", "http", "::1", 9000, "/a%20b//c", "[::1]:9000"),
        ("https://[2606:4700::1111]/", "https", "2606:4700::1111", 443, "/", "[2606:4700::1111]"),
        ("https://192.0.2.7/", "https", "192.0.2.7", 443, "/", "192.0.2.7"),
        ("https://[::ffff:10.0.0.1]/", "https", "10.0.0.1", 443, "/", "10.0.0.1"),
        ("https://xn--bcher-kva.example/", "https", "xn--bcher-kva.example", 443, "/", "xn--bcher-kva.example"),
        ("https://1.example/", "https", "1.example", 443, "/", "1.example"),
    ],
)
def test_it_is_read(url: str, scheme: str, host: str, port: int, path: str, authority: str) -> None:
    target = read(url)

    assert (target.scheme, target.host, target.port, target.path) == (scheme, host, port, path)
    assert target.authority == authority


@pytest.mark.parametrize(
    ("url", "why"),
    [
        *[
            (url, "must begin with")
            for url in ("", "example.com", "ftp://h/", "file:///etc/passwd", "https:/h/", "//h/")
        ],
        *[(url, "host or port") for url in ("https://", "https:///a", "https://?x", "https://h:/", "https://h:0/")],
        *[
            (url, "host or port")
            for url in ("https://h:65536/", "https://h:4a/", "https://[abc]/", "https://[1.2.3.4]/")
        ],
        *[
            (url, "host or port")
            for url in ("https://[fe80::1%25lo]/", "https://::1/", "https://h%00/", "https://a,b/")
        ],
        *[(url, "user") for url in ("https://u@h/", "https://u:hush@h/", "https://@h/", "https://h:443@evil/")],
        *[(url, "fragment") for url in ("https://h/#x", "https://h/#", "https://h#@evil/")],
        *[
            (url, "character")
            for url in ("https://h/a b", "https://h\\@evil/", "https://h/\r\nX: y", "https://hé/", " https://h/")
        ],
        *[(url, "usual spelling") for url in ("https://2130706433/", "https://0x7f000001/", "https://0177.0.0.1/")],
        *[
            (url, "usual spelling")
            for url in ("https://127.1/", "https://0x7f.1/", "https://127.0.0.01/", "https://1.2.3.256/")
        ],
        *[(url, "usual spelling") for url in ("https://a.0x7F/", "https://[::1::]/", "https://[::ffff:127.0.0.01]/")],
        *[
            (url, "end with a dot")
            for url in ("https://example.com./", "https://127.0.0.1./", "https://a..b/", "https://.a/")
        ],
        (f"https://{'a' * 64}.example/", "no name"),
        (f"https://h/{'a' * 2048}", "characters"),
    ],
)
def test_what_two_readers_might_read_differently_is_refused(url: str, why: str) -> None:
    with pytest.raises(NotFetched, match=why) as raised:
        read(url)

    assert "hush" not in str(raised.value)


PUBLIC = [
    "1.1.1.1",
    "93.184.215.14",
    "2606:4700::1111",
    "2a00:1450:4001:80b::200e",
    "::ffff:1.1.1.1",
    "64:ff9b::101:101",
]
LISTED = """
    0.0.0.0 10.0.0.1 100.64.0.1 127.0.0.1 127.255.255.254 169.254.169.254 172.16.0.1 172.31.255.255 192.0.0.1 192.0.2.1
    192.88.99.1 192.168.0.1 198.18.0.1 198.51.100.1 203.0.113.1 224.0.0.1 224.0.1.1 239.255.255.255 240.0.0.1
    255.255.255.255 :: ::1 ::10.0.0.1 ::1.1.1.1 ::ffff:10.0.0.1 ::ffff:127.0.0.1 ::ffff:169.254.169.254 64:ff9b::a00:1
    64:ff9b::7f00:1 64:ff9b::a9fe:a9fe 64:ff9b:1::101:101 100::1 1000::1 2001::1 2001:0:7f00:1:: 2001:db8::1
    2002:a00:1:: 2002:101:101:: 3fff::1 5f00::1 8000::1 fc00::1 fd00:ec2::254 fe80::1 fe80::1%eth0 fec0::1 ff02::1
    ff0e::1 2606:4700::1111%eth0
"""
NOT_PUBLIC = LISTED.split()


@pytest.mark.parametrize("address", PUBLIC)
def test_a_server_on_the_internet_is_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_b3_nothing_else_is(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@given(st.ip_addresses(v=4), st.sampled_from(["::ffff:0:0", "64:ff9b::"]))
def test_an_address_written_in_another_is_judged_as_what_it_leads_to(inner: ipaddress.IPv4Address, around: str) -> None:
    outer = ipaddress.IPv6Address(int(ipaddress.IPv6Address(around)) + int(inner))

    assert is_public(outer) == is_public(inner)


@given(st.ip_addresses())
def test_what_python_calls_private_is_never_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    inner = unmapped(address)
    if inner.is_private or inner.is_multicast or inner.is_link_local or inner.is_loopback:
        assert not is_public(address)


@given(st.sampled_from(NOT_PUBLIC).map(ipaddress.ip_address).filter(lambda address: address.version == 4), st.data())
def test_no_spelling_hides_an_address(address: ipaddress.IPv4Address, data: st.DataObject) -> None:
    """Every way in which `inet_aton` would read it: either it is refused, or it is that very address."""
    packed = address.packed
    parts = data.draw(st.integers(1, 4))
    numbers = [*packed[: parts - 1], int.from_bytes(packed[parts - 1 :])]
    spelled = ".".join(data.draw(st.sampled_from([str(n), f"0{n:o}", hex(n), f"0X{n:X}", f"00{n}"])) for n in numbers)
    try:
        target = read(f"https://{spelled}/")
    except NotFetched:
        return
    assert target.literal == address


@given(st.text(max_size=60))
def test_whatever_is_read_has_one_host(rest: str) -> None:
    try:
        target = read(f"https://{rest}")
    except NotFetched:
        return
    assert target.literal is not None or not set(target.host) & set("@:/\\?#[]% ")
    assert target.path.startswith("/")
