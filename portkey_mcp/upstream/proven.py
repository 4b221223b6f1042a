"""The exchange with a server that each request proves itself to: by headers of an account, and others when refused.

A request that is answered 401 or 403 has not run, so it may be sent again, whatever it asks for.
"""

from collections.abc import Mapping
from typing import Final

from portkey_mcp.upstream.breaker import Gate
from portkey_mcp.upstream.connections import Connections
from portkey_mcp.upstream.heads import Verb, names, without
from portkey_mcp.upstream.http import MAX_REDIRECTS, Exchange, beside
from portkey_mcp.upstream.proof import Proof
from portkey_mcp.upstream.response import Response
from portkey_mcp.wire import Json

REFUSALS: Final = (401, 403)

MORE_TRIES: Final = 2
"""How often a refused request is sent again: once with a newer token, and once for a nonce that the server wants."""


class ProvenExchange(Exchange):
    """See `Exchange`. Headers of the proof win over all others of the same name, the URL's credentials included."""

    _follows = False

    def __init__(
        self, connections: Connections, url: str, headers: Mapping[str, str], gate: Gate, proof: Proof
    ) -> None:
        """Raises as `Exchange` does."""
        super().__init__(connections, url, headers, gate, brings_any=True)
        self._proof = proof

    async def send(self, verb: Verb, own_lines: bytes = b"", message: Json | None = None) -> Response:
        """See `Exchange.send`; each hop proves itself anew, since a proof may be good for one URL only.

        Raises:
            ConnectNeeded: a person has to connect an account first; nothing ran.
            UpstreamDown: no answer, or no credential is to be had just now.
        """
        here: Exchange = self
        hops, more = MAX_REDIRECTS - 1, MORE_TRIES
        while True:
            url = here.address.bare
            proof = self._proof.ready(verb, url)
            if proof is None:
                proof = await self._proof.lines(verb, url)
            response = await Exchange.send(here, verb, without(own_lines, names(proof)) + proof, message)
            if response.status in (307, 308) and hops:
                there = beside(here.address, response.header(b"location"))
                if there is not None:
                    response.close()
                    here, hops = here.at(there), hops - 1
                    continue
            if response.status not in REFUSALS or not more or not await self._refused(proof, response):
                return response
            response.close()
            more -= 1

    async def _refused(self, proof: bytes, response: Response) -> bool:
        try:
            return await self._proof.refused(proof, response.status, response.headers)
        except BaseException:
            response.close()
            raise
