"""A site with client documents, which answers over TLS what a test lays there."""

import json
from dataclasses import dataclass, field
from typing import Any

import anyio

from tests.outside import answer
from tests.upstream.raw import Peer

HOST = "client.example"


@dataclass
class Site:
    """A site with documents. `answers` are whole HTTP answers by path, `asked` the paths in the order they came in."""

    port: int = 0
    answers: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    hold: anyio.Event | None = None

    def id(self, path: str = "/client.json", host: str = HOST) -> str:
        return f"https://{host}:{self.port}{path}"

    def document(self, path: str = "/client.json", **members: Any) -> dict[str, Any]:
        redirects = [f"https://{HOST}/callback"]
        return {"client_id": self.id(path), "client_name": "A client", "redirect_uris": redirects, **members}

    def serve(self, path: str = "/client.json", *headers: str, **members: Any) -> str:
        text = json.dumps(self.document(path, **members)).encode()
        self.answers[path] = answer(text, "Content-Type: application/json", *headers)
        return self.id(path)

    async def script(self, peer: Peer) -> None:
        path = (await peer.request()).split(b" ")[1].decode()
        self.asked.append(path)
        if self.hold is not None:
            await self.hold.wait()
        await peer.say(self.answers.get(path, answer(b"", status="404 Not Found")))
