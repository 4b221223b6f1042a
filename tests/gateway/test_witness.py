"""What the audit hears of the door: who came, and whose credential was refused; never what stood in it."""

import pytest

from portkey_mcp.activity.acts import Act
from portkey_mcp.gateway.witness import Witness
from portkey_mcp.identity.authenticate import API_KEY_HEADER, LOCAL_ADMIN
from portkey_mcp.model import Endpoint, Principal, Visit, Workspace

HUB = Endpoint("hub", Workspace("team", "Team", {}, {}))
CI = Principal("key:1", "ci", "service", {"team": "member"})


def test_who_comes_is_told_with_the_credential_and_the_workspace() -> None:
    told: list[Act] = []
    witness, ada = Witness(told.append), Principal("person:1", "Ada", "person", credential="key:2")
    witness.met(Visit(CI, HUB, "10.0.0.1"))
    witness.met(Visit(ada, HUB, "10.0.0.2"))
    assert told == [
        Act("key_used", CI, address="10.0.0.1", workspace="team", subject="key:1"),
        Act("key_used", ada, address="10.0.0.2", workspace="team", subject="key:2"),
    ]


def test_without_authentication_there_is_nothing_to_tell() -> None:
    told: list[Act] = []
    Witness(told.append).met(Visit(LOCAL_ADMIN, HUB))
    assert told == []


@pytest.mark.parametrize("header", ["authorization", API_KEY_HEADER])
def test_a_refused_credential_is_told_without_it(header: str) -> None:
    told: list[Act] = []
    Witness(told.append).refused({header: "Bearer hunter2"}, "10.0.0.1", "team", "It is old.")
    assert told == [Act("key_used", address="10.0.0.1", workspace="team", outcome="refused", why="It is old.")]
    assert "hunter2" not in repr(told)


def test_coming_without_a_credential_is_no_act() -> None:
    told: list[Act] = []
    Witness(told.append).refused({"user-agent": "Claude-User"}, "10.0.0.1", "team", "Authentication is required.")
    assert told == []
