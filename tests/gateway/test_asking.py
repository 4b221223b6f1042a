"""How a person is asked depends on the client; what was approved runs once, and nothing else does."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from portkey_mcp.approval.approvals import MOST_OPEN, Approvals
from portkey_mcp.errors import ConnectNeeded, InvalidRequest, Refused, StoreDown
from portkey_mcp.gateway.asking import KEY, Asking
from portkey_mcp.gateway.call import Call
from portkey_mcp.gateway.session import Session
from portkey_mcp.model import Endpoint, McpServer, Visit, Workspace
from portkey_mcp.policy.decide import Thing
from portkey_mcp.registry.registry import Registry
from portkey_mcp.sealing import KeyRing
from portkey_mcp.storage.database import Database
from portkey_mcp.wire import Json
from tests.gateway.house import ADA, BOB, FORM
from tests.gateway.memory_link import Client

pytestmark = pytest.mark.anyio

THING = Thing("tool", "files", "delete")
PARAMS: Json = {"name": "delete", "arguments": {"path": "/a"}}
LEGIBLE: Json = {"name": "delete", "arguments": {"path": "/a", "tenant": "(set by the gateway)"}}
YES: Json = {"action": "accept", "content": {"approve": True}}
SESSION = Session("s", "token", "2025-11-25", FORM, {})


class Desk:
    """One way to ask, and what ran."""

    def __init__(self, asking: Asking) -> None:
        self.asking = asking
        self.ran: list[Json] = []
        self.result: Json = {"content": []}
        self.changed = self.lacks = False
        """Whether the tool was hidden while the person thought about it."""

    async def __call__(self, params: Json = PARAMS, client: Client | None = None, **more: Any) -> Json:
        visit = Visit(more.pop("principal", ADA), Endpoint("server", Workspace("team", "Team", {}, {}), "files"))
        era = more.pop("era", "modern")
        version = "2026-07-28" if era == "modern" else "2025-11-25"
        call = Call(visit, 1, "tools/call", params, era, version, **more)
        return await self.asking.approved(call, THING, LEGIBLE, client or Client(), self._go, self._still)

    async def _still(self) -> None:
        if self.changed:
            raise InvalidRequest(-32602, "Unknown tool: delete")

    async def _go(self, call: Call) -> Json:
        if self.lacks:
            raise ConnectNeeded("files", "It wants an account.")
        self.ran.append(call.params or {})
        return self.result


@asynccontextmanager
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    database = await Database.open(tmp_path)
    keyring = KeyRing.generate()
    registry = Registry(database, keyring)
    await registry.add_workspace("team")
    await registry.add_server(McpServer("team", "files", "http", url="http://127.0.0.1:9/mcp"))
    yield Desk(Asking(Approvals(database, keyring), keyring, lambda ident: f"https://gw/ui/approve/{ident}"))
    await database.close()


def answered(asked: Json, answer: Json = YES) -> Json:
    return {**PARAMS, "requestState": asked["requestState"], "inputResponses": {KEY: answer}}


async def test_a_modern_client_is_asked_by_the_result(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        asked = await at(capabilities=FORM)
        assert asked["resultType"] == "input_required"
        assert asked["inputRequests"][KEY]["method"] == "elicitation/create"
        assert await at(answered(asked), capabilities=FORM) == {"content": []}
        assert at.ran == [PARAMS]


async def test_the_servers_own_state_comes_back_to_it(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        asked = await at({**PARAMS, "requestState": "its own"}, capabilities=FORM)
        await at(answered(asked), capabilities=FORM)
        assert at.ran == [{**PARAMS, "requestState": "its own"}]


@pytest.mark.parametrize(
    "answer",
    [{"action": "decline"}, {"action": "cancel"}, {"action": "accept"}, {"action": "accept", "content": {}}, {}],
)
async def test_what_is_not_clearly_a_yes_is_a_no(tmp_path: Path, answer: Json) -> None:
    async with desk(tmp_path) as at:
        asked = await at(capabilities=FORM)
        with pytest.raises(Refused) as refused:
            await at(answered(asked, answer), capabilities=FORM)
        assert refused.value.reason == "approval"
        assert at.ran == []


async def test_a_state_is_for_its_call_its_principal_and_for_once(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        asked = await at(capabilities=FORM)
        with pytest.raises(InvalidRequest):
            await at({**answered(asked), "arguments": {"path": "/etc"}}, capabilities=FORM)
        with pytest.raises(InvalidRequest):
            await at(answered(asked), capabilities=FORM, principal=BOB)
        await at(answered(asked), capabilities=FORM)
        with pytest.raises((InvalidRequest, Refused)):
            await at(answered(asked), capabilities=FORM)
        assert len(at.ran) == 1


async def test_each_further_round_of_an_approved_call_is_good_for_once(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        at.result = {"resultType": "input_required", "inputRequests": {"own": {}}, "requestState": "upstream"}
        first = await at(answered(await at(capabilities=FORM)), capabilities=FORM)
        second = await at({**PARAMS, "requestState": first["requestState"], "inputResponses": {"own": {}}})
        assert at.ran[-1] == {**PARAMS, "requestState": "upstream", "inputResponses": {"own": {}}}
        assert second["requestState"] != first["requestState"]
        with pytest.raises(InvalidRequest, match="continued already"):
            await at({**PARAMS, "requestState": first["requestState"]})
        # An approval that is on its way through rounds opens no door to a call that begins.
        with pytest.raises(Refused):
            await at()


async def test_a_legacy_client_is_asked_in_place(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        client = Client(elicitation_create={"result": YES})
        assert await at(client=client, era="legacy", capabilities=FORM, session=SESSION) == {"content": []}
        assert [question["method"] for question in client.questions] == ["elicitation/create"]
        client = Client(elicitation_create={"result": {"action": "decline"}})
        with pytest.raises(Refused):
            await at(client=client, era="legacy", capabilities=FORM, session=SESSION)
        assert len(at.ran) == 1


async def test_an_answer_to_a_question_that_was_dropped_is_told_in_words(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        asked = await at(capabilities=FORM)
        for number in range(MOST_OPEN):
            await at({**PARAMS, "arguments": {"path": f"/{number}"}}, capabilities=FORM)
        with pytest.raises(InvalidRequest, match="no such approval"):
            await at(answered(asked), capabilities=FORM)
        assert at.ran == []


async def test_people_see_what_they_may_see(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        asked = await at(capabilities=FORM)
        assert "(set by the gateway)" in asked["inputRequests"][KEY]["params"]["message"]


async def test_what_was_hidden_meanwhile_does_not_run(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        at.changed = True
        client = Client(elicitation_create={"result": YES})
        with pytest.raises(InvalidRequest, match="Unknown tool"):
            await at(client=client, era="legacy", capabilities=FORM, session=SESSION)
        assert at.ran == []


async def test_whoever_cannot_be_asked_gets_a_link(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        unreachable = Client(elicitation_create={"error": {"code": -32603, "message": "cannot be asked here"}})
        links = set()
        for client, more in (
            (None, {}),
            (None, {"era": "legacy"}),
            (unreachable, {"era": "legacy", "capabilities": FORM, "session": SESSION}),
        ):
            with pytest.raises(Refused) as refused:
                await at(client=client, **more)
            links.add(refused.value.data["approvalUrl"])
            assert refused.value.data["approvalUrl"] in refused.value.text
        assert len(links) == 1
        assert at.ran == []


async def test_what_cannot_be_recorded_does_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def down(*_: object, **__: object) -> None:
        raise StoreDown("disk full")

    async with desk(tmp_path) as at:
        monkeypatch.setattr(Approvals, "grant_and_use", down)
        client = Client(elicitation_create={"result": YES})
        with pytest.raises(Refused) as refused:
            await at(client=client, era="legacy", capabilities=FORM, session=SESSION)
        assert refused.value.reason == "store"
        assert at.ran == []


@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_what_lacked_an_account_has_not_run_and_its_approval_is_good_once_more(tmp_path: Path, era: str) -> None:
    async with desk(tmp_path) as at:
        more: Json = {"era": era, "capabilities": FORM, "session": SESSION if era == "legacy" else None}
        client = Client(elicitation_create={"result": YES})
        params = PARAMS if era == "legacy" else answered(await at(**more))
        at.lacks = True
        with pytest.raises(ConnectNeeded):
            await at(params, client, **more)
        at.lacks = False
        assert await at(params, client, **more) == {"content": []}
        assert len(at.ran) == 1
        assert len(client.questions) == (1 if era == "legacy" else 0)
        if era == "modern":
            with pytest.raises(Refused, match="decided once"):
                await at(params, client, **more)
