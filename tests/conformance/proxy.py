"""A reverse proxy that serves something below a path and takes that off, as people put in front of a gateway."""

import httpx2
from starlette.types import Receive, Scope, Send

HOP = {b"connection", b"keep-alive", b"transfer-encoding", b"te", b"trailer", b"upgrade", b"content-length"}
"""What is between two neighbours only (RFC 9110, section 7.6.1)."""


class StrippingProxy:
    """`/tools/gateway/x` here is `/x` there; anything else is not found. `target` is an origin, set once it is known.

    With `well_known`, paths below `/.well-known/` are sent there, too, as they are.
    """

    def __init__(self, path: str, *, well_known: bool) -> None:
        self.path, self.well_known = path, well_known
        self.target = ""
        self.passed: list[str] = []
        """The paths that were passed on, as they came."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve it, as an ASGI application."""
        if scope["type"] == "lifespan":
            while (await receive())["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            await send({"type": "lifespan.shutdown.complete"})
            return
        body = b""
        while True:
            part = await receive()
            body += part.get("body", b"")
            if not part.get("more_body"):
                break
        status, headers, content = await self._answer(scope, body)
        length = (b"content-length", str(len(content)).encode())
        await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
        await send({"type": "http.response.body", "body": content})

    async def _answer(self, scope: Scope, body: bytes) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        path = scope["path"]
        if path.startswith(f"{self.path}/"):
            onward = path[len(self.path) :]
        elif self.well_known and path.startswith("/.well-known/"):
            onward = path
        else:
            return 404, [(b"content-type", b"text/plain")], b"nothing here"
        self.passed.append(path)
        query = scope["query_string"].decode()
        url = f"{self.target}{onward}" + (f"?{query}" if query else "")
        headers = [(name, value) for name, value in scope["headers"] if name not in HOP]
        async with httpx2.AsyncClient(timeout=60) as http:
            answer = await http.request(scope["method"], url, headers=headers, content=body)
        kept = [(name, value) for name, value in answer.headers.raw if name.lower() not in HOP]
        return answer.status_code, [pair for pair in kept if pair[0].lower() != b"content-encoding"], answer.content
