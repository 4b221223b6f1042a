"""The client that the suite's sign-in scenarios start: `python -m tests.conformance.auth_driver SERVER_URL`.

The gateway is the OAuth client that the suite sees. The driver is an MCP client of that gateway which knows nothing of
OAuth, and the person who connects the account: whenever an answer has a link to connect one, they do. Exits 1 when
something goes another way than the scenario wants.
"""

import contextlib
import json
import os
import shlex
import sys
import traceback
from typing import Any
from zlib import crc32

import anyio
import httpx2

from tests.conformance.auth_gateway import Served, for_scenario
from tests.conformance.person import Person, link_in
from tests.conformance.plain_client import PlainClient

COMMAND = f"{shlex.quote(sys.executable)} -m tests.conformance.auth_driver"
"""What the suite is told to start, from the repository's root."""

MOST_CONNECTS = 3
"""How often a person connects before they give up; the suite wants no more."""

REFUSED = frozenset(
    {
        "auth/resource-mismatch",
        "auth/iss-supported-missing",
        "auth/iss-wrong-issuer",
        "auth/iss-unexpected",
        "auth/iss-normalized",
        "auth/metadata-issuer-mismatch",
    }
)
"""Where connecting must fail, on a page that says so."""

NEVER_ENOUGH = "auth/scope-retry-limit"
"""Where no token is ever good enough; the question is how often a person is sent to allow more."""

READY = 15
"""Seconds until a server that was added to the file is served."""


class Caller:
    """An MCP client at the scenario's server."""

    def __init__(self, http: httpx2.AsyncClient, served: Served, name: str, revision: str) -> None:
        self._http, self._url, self._origin = http, served.at(name), served.origin
        self._revision = revision

    async def served(self) -> None:
        """Wait until the gateway has read of the server."""
        with anyio.fail_after(READY):
            while (await self._http.get(self._url)).status_code == 404:
                pass

    async def use(self) -> str:
        """Do what clients do; gives the link to connect an account as soon as an answer has one, else empty.

        Raises:
            AssertionError: something failed, and no link came with it.
        """
        client = PlainClient(self._http, self._url, self._revision)
        if link := self._link(await client.hello()):
            return link
        answer = await client.ask("tools/list")
        if link := self._link(answer):
            return link
        for tool in _result(answer)["tools"]:
            answer = await client.ask("tools/call", name=tool["name"], arguments={})
            if link := self._link(answer):
                return link
            assert not _result(answer).get("isError"), answer
        return ""

    def _link(self, answer: dict[str, Any]) -> str:
        return link_in(json.dumps(answer), self._origin)


def _result(answer: dict[str, Any]) -> dict[str, Any]:
    assert "result" in answer, answer
    result: dict[str, Any] = answer["result"]
    return result


async def act(served: Served, name: str, scenario: str, revision: str) -> None:
    """Use the server until it answers, connecting an account whenever one is wanted."""
    headers = {"Authorization": f"Bearer {served.key}"} if served.key else {}
    async with httpx2.AsyncClient(timeout=20, headers=headers) as http, Person(served.origin) as person:
        caller = Caller(http, served, name, revision)
        await caller.served()
        for _ in range(MOST_CONNECTS):
            try:
                link = await caller.use()
            except AssertionError:
                if scenario == NEVER_ENOUGH and person.sent_to:
                    return
                raise
            if not link:
                assert scenario not in {*REFUSED, NEVER_ENOUGH}, "it was let in"
                return
            page = await person.connect(link)
            if scenario in REFUSED:
                assert page.is_error, f"connected all the same: {page.text[:2000]}"
                assert await caller.use(), "connected all the same"
                return
            assert not page.is_error, f"{page.status_code} at {page.url}: {page.text[:3000]}"
        if scenario != NEVER_ENOUGH:
            assert not await caller.use(), f"an account is wanted after it was connected {MOST_CONNECTS} times"


def main() -> None:
    """Play one scenario, which the environment names."""
    scenario, revision = os.environ["MCP_CONFORMANCE_SCENARIO"], os.environ["MCP_CONFORMANCE_PROTOCOL_VERSION"]
    context = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT") or "{}")
    # A server's name has 31 characters at most.
    name = f"{scenario.removeprefix('auth/')[:14]}-{crc32(scenario.encode()):08x}-{revision[:4]}"
    with contextlib.ExitStack() as running:
        try:
            served = running.enter_context(for_scenario(scenario, context, sys.argv[-1], name))
            anyio.run(act, served, name, scenario, revision)
        except Exception:
            traceback.print_exc()
            sys.exit(1)


if __name__ == "__main__":
    main()
