"""Which era an upstream speaks: asked once with `server/discover`, unless the server's `protocol:` says so.

Requirements V5 and V6: codes of the modern era mean modern, whatever else goes wrong means legacy.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from mcp_types import CLIENT_INFO_META_KEY
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, LATEST_MODERN_VERSION, MODERN_PROTOCOL_VERSIONS

from portkey_mcp import __version__
from portkey_mcp.errors import UpstreamDown, UpstreamError
from portkey_mcp.model import Era
from portkey_mcp.wire import Json

DISCOVER = "server/discover"
PROBE_TIMEOUT = 10.0
"""Seconds a server may take to answer the probe, as in the SDK; some old servers never answer what they do not know."""
OUR_INFO: Json = {"name": "portkey-mcp", "version": __version__}
"""How the gateway introduces itself where it asks for itself."""

UNSUPPORTED_VERSION = -32022
MODERN_REFUSALS = (-32020, -32021)
"""Header mismatch and missing capability: codes that only a modern server knows."""
NOT_A_VERDICT = (401, 403, 407, 429, 502, 503, 504)
"""HTTP statuses of doors, limits and proxies: they say nothing about the server behind them."""

Discover = Callable[[str], Awaitable[Json]]
"""Sends `server/discover` in the given protocol version and returns its result; raises as `Link.request` does."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the probe found. For legacy, `version` is empty where the visitor's is offered, and `hello` is None."""

    era: Era
    version: str = ""
    hello: Json | None = None


def pinned(protocol: str) -> Era | None:
    """The era of a server's `protocol:`; None for `auto`. A version nobody knows yet is taken for modern."""
    if protocol == "auto":
        return None
    return "legacy" if protocol in HANDSHAKE_PROTOCOL_VERSIONS else "modern"


def discover_params() -> Json:
    """Params of the gateway's own `server/discover`; the link adds the rest of the envelope."""
    return {"_meta": {CLIENT_INFO_META_KEY: OUR_INFO}}


async def probe(name: str, protocol: str, discover: Discover, *, patience: float = PROBE_TIMEOUT) -> Verdict:
    """Decide the era of the server called `name`.

    Raises:
        UpstreamError: it is modern, and refuses even `server/discover`.
        UpstreamDown: it cannot be reached, or speaks only versions that the gateway does not.
    """
    era = pinned(protocol)
    if era == "legacy":
        return Verdict("legacy", protocol)
    if era == "modern":
        return Verdict("modern", protocol, await discover(protocol))
    version = LATEST_MODERN_VERSION
    for second_try in (False, True):
        try:
            async with asyncio.timeout(patience):
                hello = await discover(version)
        except TimeoutError:
            return Verdict("legacy")
        except UpstreamError as error:
            better = _better_version(name, error)
            if better and not second_try:
                version = better
                continue
            return Verdict("legacy")
        except UpstreamDown as error:
            if not error.sent or error.status in NOT_A_VERDICT:
                raise
            return Verdict("legacy")
        mutual = _mutual(hello.get("supportedVersions"))
        return Verdict("modern", mutual, hello) if mutual else Verdict("legacy")
    raise AssertionError("the second try always returns")


def _better_version(name: str, error: UpstreamError) -> str:
    """The modern version to try after an error answer; empty when the answer means legacy."""
    if error.status in NOT_A_VERDICT or error.code in MODERN_REFUSALS:
        raise error
    if error.code != UNSUPPORTED_VERSION:
        return ""
    data = error.error.get("data")
    supported = data.get("supported") if isinstance(data, dict) else None
    if mutual := _mutual(supported):
        return mutual
    if isinstance(supported, list) and supported and not set(map(str, supported)) & set(HANDSHAKE_PROTOCOL_VERSIONS):
        speaks = ", ".join(map(str, supported))
        raise UpstreamDown(name, f"it speaks only protocol {speaks}, which this gateway does not", sent=True) from error
    return ""


def _mutual(supported: object) -> str:
    """The newest modern version that both sides speak; empty when there is none."""
    offered = supported if isinstance(supported, list) else []
    return next((version for version in reversed(MODERN_PROTOCOL_VERSIONS) if version in offered), "")
