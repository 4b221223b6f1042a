"""What travels on one pipe with everybody else's messages, against a real child process."""

import anyio
import pytest

from portkey_mcp.errors import UpstreamDown, UpstreamError
from portkey_mcp.upstream import pipe
from portkey_mcp.upstream.link import Link
from tests.upstream.children import stdio
from tests.upstream.heard import ADA, BOB, Heard, pool

pytestmark = pytest.mark.anyio


async def test_nothing_is_lost_on_the_way() -> None:
    params = {"n": 2**70, "x": None, "f": 1.0, "deep": [{"y": None}], "surrogate": "\ud800"}
    async with pool() as links:
        link = await links.link(stdio(), ADA)
        answer = await Heard().ask(link, "test/echo", params)
        with pytest.raises(UpstreamError) as raised:
            await Heard().ask(link, "test/error", {})

    assert repr(answer) == repr({"got": params, "big": 2**70, "null": None, "float": 1.0})
    assert raised.value.error == {"code": -32000, "message": "m", "data": None, "vendor": {"n": 2**70}}


async def test_the_handshake_introduces_the_visitor() -> None:
    async with pool() as links:
        link = await links.link(stdio(), ADA)

    assert (link.era, link.version) == ("legacy", "2025-11-25")
    assert link.hello["greeting"] == {
        "protocolVersion": "2025-06-18",
        "capabilities": ADA.capabilities,
        "clientInfo": ADA.client_info,
    }


async def test_a_burst_comes_whole_and_in_order_before_the_result() -> None:
    heard = Heard(slow=True)
    async with pool() as links:
        link = await links.link(stdio(), ADA)
        assert await heard.ask(link, "test/burst", {"_meta": {"progressToken": "mine"}}) == {"done": True}

    assert [one["params"]["progress"] for one in heard.notifications] == list(range(1500))
    assert heard.notifications[0]["params"] == {"progressToken": "mine", "progress": 0, "x": None}


async def test_a_slow_call_holds_up_nobody_else() -> None:
    stuck = anyio.Event()

    async def never(_: object) -> None:
        stuck.set()
        await anyio.sleep_forever()

    async with pool() as links:
        link = await links.link(stdio(), ADA)
        with anyio.fail_after(10):
            async with anyio.create_task_group() as group:

                async def call() -> None:
                    heard = Heard()
                    await link.request(
                        "test/burst",
                        {"_meta": {"progressToken": 1}},
                        on_notification=never,
                        on_request=heard.on_request,
                    )

                group.start_soon(call)
                await stuck.wait()
                assert (await Heard().ask(link, "test/echo", {"x": 1}))["got"] == {"x": 1}
                group.cancel_scope.cancel()


async def test_a_call_whose_consumer_has_stopped_is_given_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(pipe, "MAX_BEHIND", 100)
    taken: list[object] = []

    async def stop_for_a_while(notification: object) -> None:
        while "too far behind" not in caplog.text:
            await anyio.lowlevel.checkpoint()
        taken.append(notification)

    async with pool() as links:
        link = await links.link(stdio(), ADA)
        with anyio.fail_after(10), pytest.raises(UpstreamDown, match="faster than its messages are taken") as raised:
            await link.request(
                "test/burst",
                {"_meta": {"progressToken": 1}},
                on_notification=stop_for_a_while,
                on_request=Heard().on_request,
            )
        assert (await Heard().ask(link, "test/echo", {}))["got"] == {}

    assert raised.value.sent
    assert len(taken) >= 100


async def test_cancelling_reaches_exactly_one_of_many() -> None:
    async with pool() as links:
        link = await links.link(stdio(), ADA)
        scopes = {number: anyio.CancelScope() for number in range(20)}
        watching = Heard()

        async def call(number: int) -> None:
            with scopes[number]:
                await Heard().ask(link, "test/hang", {"number": number})

        with anyio.fail_after(10):
            async with link.attend(watching.on_notification, watching.on_request), anyio.create_task_group() as group:
                for number in range(20):
                    group.start_soon(call, number)
                await watching.until(19)  # the first one may have been the only call in flight, and got its own
                scopes[7].cancel()
                while len(ids := (await Heard().ask(link, "test/cancelled"))["ids"]) < 1:
                    pass
                assert link.busy == 19  # type: ignore[attr-defined]
                group.cancel_scope.cancel()

    assert len(ids) == 1


async def test_what_belongs_to_no_call_goes_to_those_who_attend() -> None:
    attending, calling = Heard(), Heard()
    async with pool() as links:
        link = await links.link(stdio(), ADA)
        async with link.attend(attending.on_notification, attending.on_request):
            await calling.ask(link, "test/change")
            assert await attending.until(1) == [{"method": "notifications/tools/list_changed"}]

    assert calling.notifications == []


async def test_a_question_goes_to_the_call_in_flight() -> None:
    calling, attending = Heard(answer={"result": {"roots": [None]}}), Heard()
    async with pool() as links:
        link = await links.link(stdio(), ADA)
        async with link.attend(attending.on_notification, attending.on_request):
            answer = await calling.ask(link, "test/ask")

    assert answer["answer"]["result"] == {"roots": [None]}
    assert calling.requests == [{"method": "roots/list", "params": {"x": None}}]
    assert attending.requests == []


async def test_a_question_that_comes_too_early_waits_for_somebody() -> None:
    attending = Heard()
    async with pool() as links:
        link = await links.link(stdio("asks-early"), ADA)
        async with link.attend(attending.on_notification, attending.on_request):
            with anyio.fail_after(10):
                while not attending.requests:
                    await anyio.lowlevel.checkpoint()


async def test_a_question_on_a_shared_process_never_reaches_the_wrong_person() -> None:
    ada, bob = Heard(), Heard()

    async def hang(link: Link, heard: Heard) -> None:
        await heard.ask(link, "test/hang")

    async with pool() as links:
        server = stdio(process="shared")
        of_ada, of_bob = await links.link(server, ADA), await links.link(server, BOB)
        async with anyio.create_task_group() as group:
            group.start_soon(hang, of_bob, bob)
            await bob.until(1)
            answer = await ada.ask(of_ada, "test/ask")
            group.cancel_scope.cancel()

    assert of_ada.hello == of_bob.hello
    assert of_ada.hello["greeting"]["capabilities"] == {
        "roots": {"listChanged": True},
        "sampling": {},
        "elicitation": {"form": {}, "url": {}},
    }
    assert "whom it asks cannot be told" in answer["answer"]["error"]["message"]
    assert ada.requests == bob.requests == []


async def test_a_process_that_dies_fails_its_calls_at_once_and_is_started_again() -> None:
    async with pool() as links:
        server = stdio()
        link = await links.link(server, ADA)
        with anyio.fail_after(10):
            async with anyio.create_task_group() as group:

                async def call() -> None:
                    with pytest.raises(UpstreamDown) as raised:
                        await Heard().ask(link, "test/hang")
                    assert raised.value.sent

                group.start_soon(call)
                with pytest.raises(UpstreamDown) as raised:
                    await Heard().ask(link, "test/die")

        assert raised.value.sent
        assert not link.alive
        with pytest.raises(UpstreamDown) as raised:
            await Heard().ask(link, "test/echo")
        assert not raised.value.sent

        again = await links.link(server, ADA)
        assert again.hello["serverInfo"]["pid"] != link.hello["serverInfo"]["pid"]
        assert (await Heard().ask(again, "test/echo", {}))["got"] == {}


async def test_a_modern_server_gets_the_envelope_and_ends_subscriptions_its_own_way() -> None:
    heard = Heard()
    async with pool() as links:
        link = await links.link(stdio("modern"), ADA)
        answer = await Heard().ask(link, "test/echo", {"_meta": {"k": None}})
        ended = await heard.ask(link, "subscriptions/listen", {"notifications": {"toolsListChanged": True}})

    key = "io.modelcontextprotocol/subscriptionId"
    assert (link.era, link.version, link.hello["supportedVersions"]) == ("modern", "2026-07-28", ["2026-07-28"])
    assert answer["got"]["_meta"] == {
        "k": None,
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    }
    assert [one["method"] for one in heard.notifications] == [
        "notifications/subscriptions/acknowledged",
        "notifications/tools/list_changed",
    ]
    assert ended["_meta"][key] == heard.notifications[0]["params"]["_meta"][key]


async def test_an_answer_with_an_id_that_only_looks_like_a_number_ends_nothing() -> None:
    async with pool() as links:
        link = await links.link(stdio(), ADA)
        await Heard().ask(link, "test/superscript")
        assert await Heard().ask(link, "ping") == {}
        assert link.alive
