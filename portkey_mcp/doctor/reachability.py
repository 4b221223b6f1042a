"""Whether Anthropic's cloud can get to the server: judged from its addresses, connections and certificate.

clients.md section 1: only IPv4, every address of the name globally routable, a certificate of a public authority.
"""

import ipaddress
from collections.abc import Iterator
from typing import Final

from portkey_mcp.doctor.finding import Finding, bad, doubtful, good
from portkey_mcp.doctor.network import Connected, Resolved, Secured

NEAR: Final = (
    "claude.ai, Claude Desktop, mobile and Cowork connect from Anthropic's cloud and cannot reach it; Claude Code, "
    "which connects from its own machine, can if it is in the same network"
)
SOON: Final = 14
"""Days: a certificate that ends sooner should have been renewed by now."""

REFUSED: Final = {
    9: ("it is not valid yet", "look at the clock of the machine that made it"),
    10: ("it has expired", "renew it, and let the web server load the new one"),
    18: ("it is signed by itself", "take one of a public authority, such as Let's Encrypt"),
    19: ("it comes from an authority of your own", "take one of a public authority, such as Let's Encrypt"),
    20: (
        "nobody known has signed it: an intermediate certificate is missing, or the authority is not a public one",
        "let the web server send the full chain (`fullchain.pem`, not `cert.pem`)",
    ),
    21: ("an intermediate certificate is missing", "let the web server send the full chain (`fullchain.pem`)"),
    62: ("it is for another name", "take one that names this host"),
    64: ("it is for another address", "take one that names this address, or better use a host name"),
}
"""OpenSSL's numbers of refused certificates (X509_V_ERR_*): what they mean, and what helps."""


def addresses(host: str, resolved: Resolved) -> Iterator[Finding]:
    """What the addresses of a name mean."""
    if resolved.failure or not resolved.addresses:
        yield bad(
            "reach",
            f"the name {host} has no address ({resolved.failure or 'none came'})",
            "check the spelling, and that the name has an A record in public DNS",
        )
        return
    shown = ", ".join(resolved.addresses[:6])
    is_ = host if shown == host else f"{host} is {shown}"
    near = [address for address in resolved.addresses if not ipaddress.ip_address(address.partition("%")[0]).is_global]
    if not any(":" not in address for address in resolved.addresses):
        yield bad(
            "reach",
            f"{host} has IPv6 addresses only ({shown}); Claude's cloud speaks IPv4",
            "add an A record with a public IPv4 address",
        )
    elif not near:
        yield good("reach", f"{is_}, which can be reached from anywhere")
    elif len(near) < len(resolved.addresses):
        yield bad(
            "reach",
            f"{host} has public and private addresses ({shown}); Claude's cloud refuses a name that has a private one",
            "take the private addresses out of public DNS, and give the inner network a name or view of its own",
        )
    else:
        yield doubtful(
            "reach",
            f"{is_}, which only this machine or network knows: {NEAR}",
            "for those, give it a public name and address: a reverse proxy or a tunnel with https",
        )


def connections(tried: list[Connected]) -> Iterator[Finding]:
    """Whether each address takes connections."""
    for one in tried:
        if not one.failure:
            yield good("reach", f"{one.address} takes connections", one.seconds)
        elif ":" in one.address and any(not other.failure for other in tried):
            yield doubtful(
                "reach",
                f"the IPv6 address {one.address} takes no connection ({one.failure}); clients may try it first",
                "let it listen there too, or take the AAAA record away",
            )
        else:
            yield bad(
                "reach",
                f"{one.address} takes no connection ({one.failure})",
                "check that the server runs, listens on this address and port, and that the firewall lets it through",
            )


def certificate(host: str, secured: Secured, now: float) -> Iterator[Finding]:
    """Whether the certificate is one that Claude's cloud believes; `now` is Unix time."""
    if secured.failure:
        why, mend = REFUSED.get(
            secured.code,
            (secured.failure, "check that this port speaks TLS 1.2 or later, and which certificate it sends"),
        )
        subject = "the certificate is refused" if secured.code else "no TLS connection"
        rest = "; the rest is looked at all the same, without the token" if secured.code else ""
        yield bad("reach", f"{subject}: {why}{rest}", mend)
        return
    days = int((secured.ends - now) // 86_400)
    signed = f" by {secured.issuer}" if secured.issuer else ""
    what = f"{secured.version}, certificate for {host}{signed}, good for {days} more days"
    if days < SOON:
        yield doubtful("reach", what, "renew it, and let that happen by itself", secured.seconds)
    else:
        yield good("reach", what, secured.seconds)
