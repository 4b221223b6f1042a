"""How a hub's lists are kept, and when they are not."""

from dataclasses import replace
from typing import Any

import anyio
import pytest

from portkey_mcp.errors import UpstreamDown
from portkey_mcp.gateway import snapshots
from portkey_mcp.gateway.merged import STALE_META
from portkey_mcp.gateway.naming import exposed
from portkey_mcp.gateway.wanting import CONNECT
from portkey_mcp.model import Bundle, Era
from portkey_mcp.wire import Json, Raw, loads
from tests.gateway.house import ADA, BOB, House, hiding, house
from tests.gateway.memory_link import Asked, Client, MemoryLink
from tests.gateway.wanting_house import CLIENT, UPSTREAM, is_said, text_of, wanting
from tests.upstream.accounts import PAGE

pytestmark = pytest.mark.anyio

ERAS = pytest.mark.parametrize("era", ["legacy", "modern"])
CHANGED = "notifications/tools/list_changed"


def server(name: str, era: Era = "legacy", ttl: int = 0) -> MemoryLink:
    """A server with one tool more each time it is asked."""
    link = MemoryLink(name, era)

    async def listed(_: Asked) -> Json:
        return {"tools": [{"name": f"t{number}"} for number in range(len(link.asked("tools/list")))], "ttlMs": ttl}

    link.on("tools/list", listed)
    link.on("tools/call", {"content": []})
    return link


async def listing(place: House, **more: Any) -> Json:
    result: Json = (await place.answer("tools/list", at=more.pop("at", ""), **more))["result"]
    return result


async def tools(place: House, **more: Any) -> list[str]:
    return [tool["name"] for tool in (await listing(place, **more))["tools"]]


@ERAS
async def test_an_unchanged_list_is_neither_asked_for_nor_written_again(era: Era) -> None:
    files, mail = server("files"), server("mail", "modern")
    async with house(files, mail) as place:
        first = await listing(place, era=era)
        second = await listing(place, era=era)

    assert second is first
    assert isinstance(first, Raw)
    assert loads(first.text) == first
    assert len(files.asked("tools/list")) == len(mail.asked("tools/list")) == 1


async def test_a_list_that_was_confirmed_beside_is_not_written_again() -> None:
    files = MemoryLink("files")
    files.on("tools/list", {"tools": [{"name": "read"}]})
    async with house(files) as place:
        first = await listing(place)
        place.clock.now += 2
        assert await listing(place) is first
        await files.until(lambda: len(files.asked("tools/list")) == 2)
        await anyio.wait_all_tasks_blocked()
        assert await listing(place) is first


async def test_a_list_is_good_for_what_its_shortest_lived_source_has_left() -> None:
    brief, long = server("brief", "modern", 10_000), server("long", "modern", 60_000)
    async with house(brief, long) as place:
        assert (await listing(place))["ttlMs"] == 10_000
        place.clock.now += 4
        result = await listing(place)

        assert (result["ttlMs"], result["cacheScope"]) == (6_000, "private")
        assert loads(result.text) == result  # type: ignore[attr-defined]
        assert len(brief.asked("tools/list")) == 1


@pytest.mark.parametrize("other", ["legacy", "modern"])
async def test_one_source_without_a_lifetime_leaves_the_list_none(other: Era) -> None:
    async with house(server("long", "modern", 60_000), server("short", other)) as place:
        assert (await listing(place))["ttlMs"] == 0


async def test_a_stale_list_is_good_for_no_time() -> None:
    async with house(server("long", "modern", 60_000), server("files", "modern", 60_000)) as place:
        place.upstreams.down.add("files")
        result = await listing(place)

    assert (result["ttlMs"], result["_meta"]) == (0, {STALE_META: ["files"]})


@ERAS
async def test_a_call_makes_the_callers_list_of_that_server_old_and_no_other(era: Era) -> None:
    files, mail = server("files"), server("mail")
    async with house(files, mail) as place:
        for who in (ADA, BOB):
            await tools(place, era=era, principal=who)
        await place.answer("tools/call", {"name": "files__t0"}, at="", era=era)
        for who in (ADA, BOB):
            await tools(place, era=era, principal=who)

    assert (len(files.asked("tools/list")), len(mail.asked("tools/list"))) == (3, 2)


@ERAS
@pytest.mark.parametrize("sign", ["a call is answered", "it tells of a change"])
async def test_a_server_that_was_late_is_waited_for_again_after_a_sign_of_life(
    monkeypatch: pytest.MonkeyPatch, era: Era, sign: str
) -> None:
    files, lets_go = server("files", era), anyio.Event()

    async def hangs(_: Asked) -> Json:
        await lets_go.wait()
        raise UpstreamDown("files", "it was killed")

    async with house(files) as place:
        call = place.call("subscriptions/listen", {"notifications": {"toolsListChanged": True}}, at="")
        place.tasks.start_soon(place.corridor.answer, call, Client())
        await files.until(lambda: files.listeners)
        files.on("tools/list", hangs)
        monkeypatch.setattr(snapshots, "PATIENCE", 0.0)
        assert (await listing(place, era=era))["_meta"] == {STALE_META: ["files"]}
        monkeypatch.setattr(snapshots, "PATIENCE", 3600)
        lets_go.set()
        await anyio.wait_all_tasks_blocked()

        files.on("tools/list", {"tools": [{"name": "back"}]})
        if sign == "a call is answered":
            await place.answer("tools/call", {"name": "files__t0"}, at="", era=era)
        else:
            await files.tell(CHANGED)
            await anyio.wait_all_tasks_blocked()

        assert await tools(place, era=era) == ["files__back"]


async def test_a_shortened_name_is_found_in_what_is_kept_and_asked_for_only_if_it_is_not_there() -> None:
    files = MemoryLink("files")
    files.on("tools/list", {"tools": [{"name": "a.b"}]})
    files.on("tools/call", {"content": []})
    async with house(files) as place:
        [name] = await tools(place)
        place.clock.now += 0.5
        files.on("tools/list", {"tools": [{"name": "c.d"}]})
        later = exposed("files", "c.d")
        assert "result" in await place.answer("tools/call", {"name": later}, at="")
        assert (await place.answer("tools/call", {"name": name}, at=""))["error"]["code"] == -32602

    assert [(asked.params or {})["name"] for asked in files.asked("tools/call")] == ["c.d"]


async def test_a_clients_notification_makes_its_lists_old() -> None:
    files = server("files")
    async with house(files) as place:
        await tools(place, era="legacy")
        await place.corridor.notify(place.call("notifications/roots/list_changed", at="", era="legacy"))
        assert await tools(place, era="legacy") == ["files__t0", "files__t1"]


async def test_a_call_at_the_servers_own_url_counts_too() -> None:
    files = server("files")
    async with house(files) as place:
        await tools(place)
        await place.answer("tools/call", {"name": "t0"}, at="files")
        assert await tools(place) == ["files__t0", "files__t1"]


@ERAS
@pytest.mark.parametrize("upstream", ["legacy", "modern"])
async def test_a_change_told_in_somebodys_call_makes_everybodys_list_old(era: Era, upstream: Era) -> None:
    async def tells(asked: Asked) -> Json:
        await asked.notify({"method": CHANGED})
        return {"content": []}

    files = server("files", upstream)
    files.on("tools/call", tells)
    async with house(files) as place:
        await tools(place, principal=BOB)
        await place.answer("tools/call", {"name": "files__t0"}, at="", era=era)
        assert await tools(place, principal=BOB) == ["files__t0", "files__t1"]


@pytest.mark.parametrize("upstream", ["legacy", "modern"])
async def test_a_server_that_tells_of_a_change_on_a_standing_stream_is_asked_by_everybody(upstream: Era) -> None:
    files = server("files", upstream)
    async with house(files) as place:
        await tools(place, principal=BOB)
        call = place.call("subscriptions/listen", {"notifications": {"toolsListChanged": True}}, at="")
        client = Client()
        place.tasks.start_soon(place.corridor.answer, call, client)
        await files.until(lambda: files.listeners)
        await files.tell(CHANGED)

        assert await tools(place, principal=BOB) == ["files__t0", "files__t1"]
        await client.until(lambda: CHANGED in client.methods)


async def test_a_policy_that_changed_holds_for_what_is_kept_both_ways() -> None:
    files = MemoryLink("files")
    files.on("tools/list", {"tools": [{"name": "read"}, {"name": "write"}]})
    async with house(files, hidden=["files/write"]) as place:
        assert await tools(place) == ["files__read"]
        place.workspace = replace(place.workspace, policy=hiding("files/read"))
        assert await tools(place) == ["files__write"]
        place.workspace = replace(place.workspace, policy=None)
        assert await tools(place) == ["files__read", "files__write"]

    assert len(files.asked("tools/list")) == 1


async def test_a_bundle_that_changed_holds_for_what_is_kept() -> None:
    files = MemoryLink("files")
    files.on("tools/list", {"tools": [{"name": "read"}, {"name": "write"}]})
    async with house(files, bundles=[Bundle("team", "some", "", ("files/read",))]) as place:
        assert await tools(place, at="some") == ["files__read"]
        place.workspace = replace(place.workspace, bundles={"some": Bundle("team", "some", "", ("files/write",))})
        assert await tools(place, at="some") == ["files__write"]


async def test_a_server_that_is_defined_anew_is_asked_anew() -> None:
    files = server("files")
    async with house(files) as place:
        await tools(place)
        elsewhere = replace(files.server, url="http://elsewhere/mcp")
        place.workspace = replace(place.workspace, servers={"files": elsewhere})
        assert await tools(place) == ["files__t0", "files__t1"]


async def test_lists_never_cross_principals_or_their_roles() -> None:
    async def whose(asked: Asked) -> Json:
        return {"tools": [{"name": place.upstreams.visitors[-1].principal}]}

    files = MemoryLink("files")
    files.on("tools/list", whose)
    async with house(files) as place:
        assert [await tools(place, principal=who) for who in (ADA, BOB, ADA)] == [
            ["files__ada"],
            ["files__bob"],
            ["files__ada"],
        ]
        stranger = replace(ADA, workspaces={})
        assert await tools(place, principal=stranger) == []


async def test_each_legacy_session_is_asked_for_itself() -> None:
    files = server("files")
    async with house(files) as place:
        one, two = place.shake_hands(""), replace(place.shake_hands(""), id="another")
        assert await tools(place, era="legacy", session=one) == ["files__t0"]
        assert await tools(place, era="legacy", session=two) == ["files__t0", "files__t1"]
        assert await tools(place, era="legacy", session=one) == ["files__t0"]


@UPSTREAM
@CLIENT
async def test_on_a_hub_the_others_are_untouched(upstream: Era, era: Era) -> None:
    async with wanting(upstream) as place:
        greet = "initialize" if era == "legacy" else "server/discover"
        hello = (await place.answer(greet, {}, at="", era=era))["result"]
        assert f"{PAGE}/alpha" in hello["instructions"]
        listed = (await place.answer("tools/list", {}, at="", era=era))["result"]
        assert [one["name"] for one in listed["tools"]] == [f"alpha__{CONNECT}", "open__echo"]
        assert "_meta" not in listed
        if era == "modern":
            assert (listed["ttlMs"], listed["cacheScope"]) == (0, "private")
        assert text_of(await place.answer("tools/call", {"name": "open__echo"}, at="", era=era)) == ""
        assert is_said(await place.answer("tools/call", {"name": f"alpha__{CONNECT}"}, at="", era=era))
        assert is_said(await place.answer("tools/call", {"name": "alpha__echo"}, at="", era=era))
        await place.connect()
        listed = (await place.answer("tools/list", {}, at="", era=era))["result"]
        assert [one["name"] for one in listed["tools"]] == ["alpha__echo", "open__echo"]
        others = (await place.answer("tools/list", {}, at="", era=era, principal=BOB))["result"]
        assert f"alpha__{CONNECT}" in [one["name"] for one in others["tools"]]
