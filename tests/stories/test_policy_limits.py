"""Usage limits over HTTP: counted once, told, given back, and kept over a restart."""

from pathlib import Path

import anyio
import pytest

from tests.stories.gateway import Gateway, gateway
from tests.stories.policy_house import ERAS, KEYS, Scripted, policed, policy_house, refused, said, text
from tests.stories.raw_client import Json, RawClient, raw_http
from tests.stories.raw_upstream import PATIENCE, raw_upstream

pytestmark = pytest.mark.anyio
both = pytest.mark.parametrize("era", ERAS)

CALL: Json = {"name": "echo", "arguments": {}}
LIMITS = "com.portkey-mcp/limits"


def limit(calls: int, per: str = "day", **more: object) -> Json:
    return {"match": "files/echo", "limits": [{"calls": calls, "per": per, "each": "user", **more}]}


@both
async def test_what_is_left_is_told_with_each_result_and_then_when_it_opens_again(tmp_path: Path, era: str) -> None:
    async with policy_house(tmp_path, era, limit(2), time_zone="Europe/Berlin") as house:
        client = await house.client(era)
        left = []
        for _ in range(2):
            [told] = (await client.call("tools/call", CALL)).answer["result"]["_meta"][LIMITS]
            left.append(told["left"])
        assert left == [1, 0]
        answer = (await client.call("tools/call", CALL)).answer
        facts = refused(answer)
        assert facts["reason"] == "limit"
        assert facts["retryAfterSeconds"] > 0
        assert "2 calls per day" in said(answer)
        assert facts["limits"][0]["opensAt"] in said(answer)
        assert len(house.called()) == 2


@both
async def test_one_persons_limit_is_not_anothers(tmp_path: Path, era: str) -> None:
    async with policy_house(tmp_path, era, limit(1)) as house:
        member, admin = await house.client(era), await house.client(era, "admin")
        for client in (member, admin):
            assert not (await client.call("tools/call", CALL)).answer["result"].get("isError")
            assert refused((await client.call("tools/call", CALL)).answer)


@both
async def test_a_limit_holds_at_every_door(tmp_path: Path, era: str) -> None:
    bundles = {"bundles": {"some": {"include": ["files/echo"]}}}
    async with policy_house(tmp_path, era, limit(2), workspace=bundles) as house:
        calls = [("files", "echo"), ("", "files__echo"), ("some", "files__echo")]
        passed = []
        for at, name in calls:
            client = await house.client(era, at=at)
            answer = (await client.call("tools/call", {"name": name, "arguments": {}})).answer
            passed.append(not answer["result"].get("isError"))
        assert passed == [True, True, False]


@both
async def test_a_refused_call_leaves_every_counter_as_it_was(tmp_path: Path, era: str) -> None:
    rules = [limit(5), limit(1, "month"), {"match": "*", "limits": [{"calls": 100, "per": "hour", "each": "server"}]}]
    async with policy_house(tmp_path, era, *rules) as house:
        client = await house.client(era)
        first = (await client.call("tools/call", CALL)).answer["result"]["_meta"][LIMITS]
        for _ in range(3):
            again = refused((await client.call("tools/call", CALL)).answer)["limits"]
        used = {one["per"]: one["used"] for one in first}
        assert used == {"day": 1, "month": 1, "hour": 1}
        assert [one["used"] for one in again if one["per"] == "month"] == [1]
        await house.govern(limit(5), limit(9, "month"), rules[2])
        told = (await client.call("tools/call", CALL)).answer["result"]["_meta"][LIMITS]
        assert {one["per"]: one["used"] for one in told} == {"day": 2, "month": 2, "hour": 2}


@both
async def test_a_call_that_never_reached_its_server_costs_nothing(tmp_path: Path, era: str) -> None:
    def point(served: Gateway, url: str) -> None:
        assert served.config is not None
        served.config.write_text(policed(url, [limit(10**6)], {}, {}))

    async with raw_http() as http, raw_upstream(era) as upstream:
        upstream.script = Scripted()
        async with gateway(policed(upstream.url, [limit(10**6)], {}, {}), tmp_path) as served:
            client = RawClient(http, served.at("team", "files"), era, KEYS["member"])
            await client.hello()

            async def call_until(*, down: bool) -> Json:
                with anyio.fail_after(PATIENCE):
                    while True:
                        result: Json = (await client.call("tools/call", CALL)).answer["result"]
                        if (result.get("isError") is True) is down:
                            return result

            point(served, "http://127.0.0.1:9/mcp")
            for _ in range(3):
                await call_until(down=True)
            point(served, upstream.url)
            told = await call_until(down=False)
            assert told["_meta"][LIMITS][0]["used"] == len(upstream.requests("tools/call"))


@both
async def test_only_so_many_calls_run_at_once(tmp_path: Path, era: str) -> None:
    script = Scripted(calls={"echo": lambda params: {"say": {"hold": params["arguments"]["as"]}}})
    rule = {"match": "files/echo", "limits": [{"concurrent": 1, "each": "user"}]}
    async with policy_house(tmp_path, era, rule, script=script) as house:
        client = await house.client(era)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.call, "tools/call", {"name": "echo", "arguments": {"as": "first"}})
            await house.upstream.until(lambda: "first" in house.upstream.held)
            answer = (await client.call("tools/call", {"name": "echo", "arguments": {"as": "second"}})).answer
            assert "at the same time" in said(answer)
            house.upstream.release("first")
        script.calls["echo"] = text("done")
        assert said((await client.call("tools/call", CALL)).answer) == "done"


@both
async def test_a_cancelled_call_gives_its_place_back(tmp_path: Path, era: str) -> None:
    script = Scripted(calls={"echo": {"say": {"hold": "it"}}})
    rule = {"match": "files/echo", "limits": [{"concurrent": 1, "each": "workspace"}]}
    async with policy_house(tmp_path, era, rule, script=script) as house:
        client = await house.client(era)
        async with anyio.create_task_group() as tasks:

            async def leave() -> None:
                async with client.open(client.request("tools/call", CALL, ident="gone")) as _:
                    await anyio.sleep_forever()

            tasks.start_soon(leave)
            await house.upstream.until(lambda: "it" in house.upstream.held)
            if era == "legacy":
                await client.notify("notifications/cancelled", {"requestId": "gone"})
            tasks.cancel_scope.cancel()
        await house.upstream.until(lambda: "it" in house.upstream.cancelled)
        script.calls["echo"] = text("done")
        with anyio.fail_after(120):
            while (await client.call("tools/call", CALL)).answer["result"].get("isError"):
                await anyio.lowlevel.checkpoint()


async def test_counts_survive_a_restart(tmp_path: Path) -> None:
    for passes in (True, False):
        async with policy_house(tmp_path, "modern", limit(1)) as house:
            answer = (await (await house.client("modern")).call("tools/call", CALL)).answer
            assert bool(answer["result"].get("isError")) is not passes


async def test_costs_add_up_to_a_budget(tmp_path: Path) -> None:
    rules = [
        {"match": "files/echo", "cost": 5},
        {"match": "*", "limits": [{"cost": 11, "per": "month", "each": "workspace"}]},
    ]
    async with policy_house(tmp_path, "modern", *rules) as house:
        client = await house.client("modern")
        outcomes = []
        for name in ("echo", "echo", "echo", "other", "other"):
            answer = (await client.call("tools/call", {"name": name, "arguments": {}})).answer
            outcomes.append(not answer["result"].get("isError"))
        assert outcomes == [True, True, False, True, False]
