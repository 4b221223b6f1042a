"""What addresses, connections and certificates mean for Claude."""

import pytest

from portkey_mcp.doctor.network import Connected, Resolved, Secured
from portkey_mcp.doctor.reachability import addresses, certificate, connections

DAY = 86_400.0


@pytest.mark.parametrize(
    ("found", "verdict", "what"),
    [
        (("93.184.216.34",), "good", "h is 93.184.216.34"),
        (("93.184.216.34", "2606:2800:220:1::1"), "good", "can be reached from anywhere"),
        (("2606:2800:220:1::1",), "bad", "IPv6 addresses only"),
        (("192.168.1.4",), "doubtful", "Claude Code, which connects from its own machine, can"),
        (("100.64.0.1",), "doubtful", "only this machine or network knows"),
        (("127.0.0.1", "::1"), "doubtful", "cannot reach it"),
        (("169.254.1.1", "fe80::1%eth0"), "doubtful", "cannot reach it"),
        (("93.184.216.34", "10.0.0.1"), "bad", "public and private addresses"),
        ((), "bad", "no address"),
    ],
)
def test_only_public_ipv4_addresses_can_be_reached_from_claude_s_cloud(
    found: tuple[str, ...], verdict: str, what: str
) -> None:
    [finding] = addresses("h", Resolved(found))

    assert finding.verdict == verdict
    assert what in finding.what
    assert bool(finding.mend) == (verdict != "good")


def test_a_name_that_is_not_known_says_why() -> None:
    [finding] = addresses("h", Resolved(failure="Name or service not known"))

    assert (finding.verdict, "Name or service not known" in finding.what) == ("bad", True)


def test_an_ipv6_address_that_does_not_answer_is_no_more_than_doubtful_beside_one_that_does() -> None:
    down = Connected("::1", failure="Connection refused")

    assert [f.verdict for f in connections([Connected("127.0.0.1", 0.1), down])] == ["good", "doubtful"]
    assert [f.verdict for f in connections([down])] == ["bad"]
    assert [f.verdict for f in connections([Connected("1.2.3.4", failure="x"), Connected("1.2.3.5")])] == [
        "bad",
        "good",
    ]


@pytest.mark.parametrize(
    ("secured", "verdict", "what", "mend"),
    [
        (Secured("TLSv1.3", 80.5 * DAY, "Let's Encrypt"), "good", "by Let's Encrypt, good for 80 more days", ""),
        (Secured("TLSv1.3", 3 * DAY), "doubtful", "3 more days", "renew"),
        (Secured(code=10, failure="certificate has expired"), "bad", "it has expired", "renew"),
        (Secured(code=18, failure="self-signed certificate"), "bad", "signed by itself", "public authority"),
        (Secured(code=20, failure="unable to get local issuer"), "bad", "intermediate", "fullchain.pem"),
        (Secured(code=62, failure="hostname mismatch"), "bad", "for another name", "names this host"),
        (Secured(code=66, failure="EE certificate key too weak"), "bad", "refused: EE certificate key too weak", "TLS"),
        (Secured(failure="wrong version number"), "bad", "no TLS connection: wrong version number", "TLS 1.2"),
    ],
)
def test_a_certificate_is_judged(secured: Secured, verdict: str, what: str, mend: str) -> None:
    [finding] = certificate("h", secured, 0.0)

    assert finding.verdict == verdict
    assert what in finding.what
    assert mend in finding.mend
