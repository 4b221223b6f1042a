"""Client documents found, kept and pinned, with a real site over TLS (oauth.md A15, K5, section 9.6)."""

import logging
import ssl
from collections.abc import AsyncIterator, Sequence
from typing import Any

import anyio
import pytest

from portkey_mcp.egress import Egress
from portkey_mcp.errors import ClientRefused
from portkey_mcp.oauth import documents
from portkey_mcp.oauth.client_document import read
from portkey_mcp.oauth.documents import BURST, FAILED_FOR, SPARED_FOR, STALE_FOR, ClientDocuments, pinned_documents
from portkey_mcp.trust import Terms
from tests.oauth.site import HOST, Site
from tests.outside import answer, contexts
from tests.upstream.raw import raw

pytestmark = pytest.mark.anyio

CLAUDE = "https://claude.ai/oauth/mcp-oauth-client-metadata"
CLAUDE_CODE = "https://claude.ai/oauth/claude-code-client-metadata"
VSCODE = "https://vscode.dev/oauth/client-metadata.json"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def sides() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    return contexts([HOST, f"b.{HOST}", "127.0.0.1"])


@pytest.fixture
async def site(sides: Any) -> AsyncIterator[Site]:
    found = Site()
    async with raw(found.script, sides[0]) as server:
        found.port = server.address.origin[2]
        yield found


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def egress(sides: Any) -> Egress:
    async def resolve(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    return Egress(loopback=True, resolve=resolve, verify=sides[1])


@pytest.fixture
def found(egress: Egress, clock: Clock) -> ClientDocuments:
    return ClientDocuments(egress, clock=clock)


async def refused(found: ClientDocuments, client_id: str) -> ClientRefused:
    with pytest.raises(ClientRefused) as raised, anyio.fail_after(10):
        await found.find(client_id)
    return raised.value


async def test_a15_a_document_is_fetched_and_read(site: Site, found: ClientDocuments, caplog: Any) -> None:
    caplog.set_level(logging.INFO, documents.__name__)
    client_id = site.serve(grant_types=["authorization_code", "refresh_token"])

    document = await found.find(client_id)

    assert (document.client_id, document.name, document.source) == (client_id, "A client", "fetched")
    assert document.grant_types == ("authorization_code", "refresh_token")
    assert f"{client_id}: fetched, kept for 3600 s" in caplog.text


async def test_a15_it_is_kept_as_long_as_its_headers_say(site: Site, found: ClientDocuments, clock: Clock) -> None:
    client_id = site.serve("/client.json", "Cache-Control: max-age=1000")
    await found.find(client_id)
    site.serve(client_name="Another name")
    clock.now += 999
    assert (await found.find(client_id)).name == "A client"
    clock.now += 1
    assert (await found.find(client_id)).name == "Another name"
    assert len(site.asked) == 2


async def test_many_who_ask_at_once_cost_one_fetch(site: Site, found: ClientDocuments) -> None:
    site.hold = anyio.Event()
    client_id = site.serve()
    names: list[str] = []

    async def ask() -> None:
        names.append((await found.find(client_id)).name)

    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(ask)
            await anyio.wait_all_tasks_blocked()
            site.hold.set()

    assert names == ["A client"] * 20
    assert site.asked == ["/client.json"]
    assert found._locks == {}


async def test_who_waits_goes_on_when_the_one_who_asked_leaves(site: Site, found: ClientDocuments) -> None:
    site.hold = anyio.Event()
    client_id = site.serve()
    names: list[str] = []

    async def ask(scope: anyio.CancelScope) -> None:
        with scope:
            names.append((await found.find(client_id)).name)

    first, second = anyio.CancelScope(), anyio.CancelScope()
    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(ask, first)
            while not site.asked:
                await anyio.lowlevel.checkpoint()
            group.start_soon(ask, second)
            await anyio.wait_all_tasks_blocked()
            first.cancel()
            site.hold.set()

    assert names == ["A client"]
    assert found._locks == {}


async def test_a_failure_is_remembered_so_that_nobody_makes_us_ask_in_a_loop(
    site: Site, found: ClientDocuments, clock: Clock
) -> None:
    first = await refused(found, site.id())
    assert str(first) == f"The client's document was not found: {HOST} answered 404."
    assert first.retry_after == FAILED_FOR
    site.serve()
    for _ in range(5):
        assert str(await refused(found, site.id())) == str(first)
    assert len(site.asked) == 1
    clock.now += FAILED_FOR
    assert (await found.find(site.id())).name == "A client"


async def test_ids_that_nobody_knows_share_an_allowance(site: Site, found: ClientDocuments, clock: Clock) -> None:
    known = site.serve("/known.json", "Cache-Control: max-age=300")
    await found.find(known)
    for number in range(BURST - 1):
        await refused(found, site.id(f"/{number}"))
    asked = len(site.asked)
    error = await refused(found, site.id("/new"))
    assert "Too many unknown clients" in str(error)
    assert error.retry_after == 60
    assert len(site.asked) == asked

    clock.now += 2
    assert "answered 404" in str(await refused(found, site.id("/new")))
    assert "Too many" in str(await refused(found, site.id("/newer")))
    found._kept[known].fresh_until = clock.now
    assert (await found.find(known)).name == "A client"  # what is known is asked again whatever strangers do
    assert site.asked[-1] == "/known.json"


async def test_few_are_fetched_at_the_same_time(site: Site, egress: Egress, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "AT_ONCE", 2)
    found = ClientDocuments(egress)
    site.hold = anyio.Event()
    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            for number in range(5):
                group.start_soon(found.find, site.serve(f"/{number}"))
            while len(site.asked) < 2:
                await anyio.lowlevel.checkpoint()
            await anyio.wait_all_tasks_blocked()
            assert found._places.statistics().tasks_waiting == 3
            site.hold.set()
    assert len(site.asked) == 5


async def test_no_more_than_so_many_are_kept(site: Site, egress: Egress, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MOST_KEPT", 3)
    found = ClientDocuments(egress)
    for number in range(3):
        await found.find(site.serve(f"/{number}"))
    await found.find(site.id("/0"))
    await found.find(site.serve("/3"))
    for number in range(5):
        await refused(found, site.id(f"/no/{number}"))

    assert list(found._kept) == [site.id(path) for path in ("/2", "/0", "/3")]
    assert len(found._failures) == 3


@pytest.mark.parametrize("status", ["403 Forbidden", "500 Oops", "429 Slow down"])
async def test_a_stale_copy_is_used_while_fetching_fails_for_seven_days(
    site: Site, found: ClientDocuments, clock: Clock, caplog: Any, status: str
) -> None:
    client_id = site.serve()
    await found.find(client_id)
    site.answers["/client.json"] = answer(b"<html>", status=status)
    clock.now += 4000
    assert (await found.find(client_id)).source == "fetched"
    assert f"{client_id}: the last good one is used, since fetching failed" in caplog.text
    clock.now += SPARED_FOR - 1
    await found.find(client_id)
    assert len(site.asked) == 2
    clock.now += STALE_FOR
    assert "answered" in str(await refused(found, client_id))


@pytest.mark.parametrize("status", ["404 Not Found", "410 Gone"])
async def test_a_document_that_was_taken_away_ends_the_kept_copy(
    site: Site, found: ClientDocuments, clock: Clock, status: str
) -> None:
    client_id = site.serve()
    await found.find(client_id)
    site.answers["/client.json"] = answer(b"", status=status)
    clock.now += 4000
    assert "was not found" in str(await refused(found, client_id))
    assert client_id not in found._kept


async def test_a_document_that_became_bad_ends_the_kept_copy(site: Site, found: ClientDocuments, clock: Clock) -> None:
    client_id = site.serve()
    await found.find(client_id)
    site.serve(client_secret="hush")
    clock.now += 4000
    for _ in range(2):
        assert "client_secret" in str(await refused(found, client_id))
    assert len(site.asked) == 2


async def test_only_clients_of_some_domains_come_in(site: Site, egress: Egress) -> None:
    found = ClientDocuments(egress, terms=lambda: Terms(document_domains=(HOST.upper(),)))
    await found.find(site.serve())
    below = site.id("/b.json", host=f"b.{HOST}")
    site.serve("/b.json", client_id=below)
    await found.find(below)
    for other in ("https://evil.example/a", f"https://evil{HOST}/a", CLAUDE):
        assert "not accepted here" in str(await refused(found, other))
    assert site.asked == ["/client.json", "/b.json"]


async def test_what_may_come_in_changes_while_we_run(site: Site, egress: Egress, clock: Clock) -> None:
    terms = Terms(native_schemes=("Cursor",))
    found = ClientDocuments(egress, terms=lambda: terms, clock=clock)
    client_id = site.serve(redirect_uris=["cursor://a/callback"])
    assert (await found.find(client_id)).application_type == "native"
    terms = Terms()
    assert "redirect URI" in str(await refused(found, client_id))
    terms = Terms(native_schemes=("cursor",))
    await found.find(client_id)


# --- pinned


def test_k5_the_known_clients_are_shipped() -> None:
    pinned = pinned_documents()

    assert set(pinned) == {CLAUDE, CLAUDE_CODE, VSCODE}
    assert {document.source for document in pinned.values()} == {"pinned"}
    assert pinned[CLAUDE].redirect_uris == ("https://claude.ai/api/mcp/auth_callback",)
    assert pinned[CLAUDE_CODE].redirect_uris == ("http://localhost/callback", "http://127.0.0.1/callback")
    assert [pinned[client].application_type for client in (CLAUDE, CLAUDE_CODE, VSCODE)] == ["web", "native", "native"]
    assert "refresh_token" in pinned[CLAUDE].grant_types


async def test_k5_claude_comes_in_where_its_document_cannot_be_fetched(clock: Clock, caplog: Any) -> None:
    lookups: list[str] = []

    async def resolve(host: str, port: int) -> Sequence[str]:
        lookups.append(host)
        raise OSError("no network")

    found = ClientDocuments(Egress(resolve=resolve), clock=clock)
    for client_id in (CLAUDE, CLAUDE_CODE, VSCODE, CLAUDE):
        assert (await found.find(client_id)).source == "pinned"
    assert lookups == ["claude.ai", "claude.ai", "vscode.dev"]
    assert (
        f"{CLAUDE}: the pinned copy is used, since fetching failed (no address is known for claude.ai)" in caplog.text
    )
    clock.now += SPARED_FOR
    await found.find(CLAUDE)
    assert len(lookups) == 4


async def test_k5_a_challenge_page_is_no_document_and_a_good_one_takes_the_pinned_ones_place(
    site: Site, egress: Egress, clock: Clock
) -> None:
    client_id = site.id()
    pinned = read(client_id, site.document(client_name="Pinned")).as_pinned()
    found = ClientDocuments(egress, clock=clock, pinned={client_id: pinned})
    html = "Content-Type: text/html"
    for challenge in (answer(b"<html>", html, status="403 Forbidden"), answer(b"<html>", html)):
        site.answers["/client.json"] = challenge
        assert await found.find(client_id) == pinned
        clock.now += SPARED_FOR
    site.serve()
    assert (await found.find(client_id)).source == "fetched"
    clock.now += 4000
    site.answers["/client.json"] = challenge
    assert (await found.find(client_id)).name == "A client"


async def test_a_bad_document_is_not_made_good_by_a_pinned_one(site: Site, egress: Egress) -> None:
    client_id = site.serve(client_secret="hush")
    pinned = read(client_id, site.document()).as_pinned()
    found = ClientDocuments(egress, pinned={client_id: pinned})

    assert "client_secret" in str(await refused(found, client_id))
