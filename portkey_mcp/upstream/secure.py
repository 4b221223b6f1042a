"""TLS to upstreams: one context for the process, which goes on with a host's last session instead of starting anew."""

import ssl
from collections import OrderedDict
from typing import Final, Self


class Resuming(ssl.SSLContext):
    """A context that verifies as Python's default one does, speaks HTTP/1.1 only, and knows each host's last session.

    Resuming saves a new connection the certificates and the signature. asyncio and uvloop both ask `wrap_bio`.
    """

    MOST: Final = 1000
    """Hosts whose session is remembered, at about 5 KB; the longest unused go first."""

    _sessions: OrderedDict[str, ssl.SSLSession]

    def __new__(cls) -> Self:
        return super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)

    def __init__(self) -> None:
        self._sessions = OrderedDict()
        self.load_default_certs()
        self.set_alpn_protocols(["http/1.1"])

    def keep(self, made: ssl.SSLObject) -> None:
        """Remember the session of a connection. To be asked late: TLS 1.3 sends it after the handshake."""
        session, host = made.session, made.server_hostname
        if session is not None and session.has_ticket and host is not None:
            self._sessions[host] = session
            self._sessions.move_to_end(host)
            if len(self._sessions) > self.MOST:
                self._sessions.popitem(last=False)

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """See ssl.SSLContext."""
        if session is None and isinstance(server_hostname, str):
            session = self._sessions.get(server_hostname)
        return super().wrap_bio(incoming, outgoing, server_side, server_hostname, session)
