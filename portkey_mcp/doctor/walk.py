"""Walks the whole way that a Claude connector goes, from its URL to its tools, and says at each step what is found.

The order and the wishes are Claude's: oauth.md sections 1 to 4.1, clients.md sections 1 to 6. It sees what somebody
outside sees, knows nothing of the gateway's inside, and works for any MCP server.
"""

import re
import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Final

import httpx2

from portkey_mcp.doctor import budget, network, reachability
from portkey_mcp.doctor.case import Case
from portkey_mcp.doctor.entering import enter
from portkey_mcp.doctor.fetch import fetching
from portkey_mcp.doctor.finding import Finding, skipped
from portkey_mcp.doctor.signing_in import sign_in
from portkey_mcp.doctor.target import Target, about_url, target
from portkey_mcp.doctor.using import use
from portkey_mcp.errors import Mistake

PATIENCE: Final = 10.0
"""Seconds for each single request; Claude has no more for all of them together."""


async def examine(
    url: str,
    *,
    token: str = "",
    register: bool = False,
    timeout: float = PATIENCE,
    trust: ssl.SSLContext | None = None,
) -> AsyncGenerator[Finding, None]:
    """Findings about the connector `url`, each as soon as it is known.

    Asks `url` and whatever its metadata names, in any network, within bounds of time and size; follows no redirect.
    `token` goes to `url` only, and only where its certificate is trusted. `register` leaves a client behind. `timeout`
    is in seconds, for each request. `trust` says which certificates are believed, by default those that the operating
    system believes. Who stops early closes the iterator.

    Raises:
        Mistake: `url` cannot be the URL of a connector, or `token` cannot be a token.
    """
    if token and not re.fullmatch(r"[\x21-\x7e]+", token):
        raise Mistake("the token has spaces or characters in it that no token has")
    given = target(url)
    for finding in about_url(given):
        yield finding
    trust = trust or httpx2.create_ssl_context(trust_env=False)
    reached = _Reached()
    async for finding in _reach(given, trust, timeout, reached):
        yield finding
    if not reached.it:
        yield skipped("enter", "everything else: there is no connection")
        return
    believed = trust if reached.trusted else httpx2.create_ssl_context(verify=False)
    async with fetching(believed, timeout) as fetch:
        case = Case(given, fetch)
        async for finding in _inside(case, token, register=register, trusted=reached.trusted):
            yield finding


async def _inside(case: Case, token: str, *, register: bool, trusted: bool) -> AsyncIterator[Finding]:
    async for finding in enter(case):
        yield finding
    if case.door == "asks":
        async for finding in sign_in(case, register=register):
            yield finding
    if case.door != "shut":
        async for finding in use(case, token, trusted=trusted):
            yield finding
        yield budget.judged(case.spent)


class _Reached:
    """Whether there was a connection, and whether its certificate can be trusted."""

    it = False
    trusted = True


async def _reach(given: Target, trust: ssl.SSLContext, timeout: float, reached: _Reached) -> AsyncIterator[Finding]:
    """The step `reach`: name, connections, certificate."""
    resolved = await network.resolve(given.host, given.port, timeout)
    for finding in reachability.addresses(given.host, resolved):
        yield finding
    tried = [
        await network.connect(address, given.port, timeout) for address in resolved.addresses[: network.MOST_ADDRESSES]
    ]
    for finding in reachability.connections(tried):
        yield finding
    open_at = next((one.address for one in tried if not one.failure), "")
    reached.it = bool(open_at)
    if not open_at or given.scheme != "https":
        return
    secured = await network.secure(open_at, given.port, given.host, trust, timeout)
    for finding in reachability.certificate(given.host, secured, time.time()):
        yield finding
    reached.trusted = not secured.failure
    reached.it = not secured.failure or secured.code != 0
