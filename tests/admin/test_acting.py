import pytest

from portkey_mcp.activity.acts import Act
from portkey_mcp.admin.acting import acting
from portkey_mcp.admin.desk import Asker
from portkey_mcp.errors import Conflict, Forbidden, Mistake
from portkey_mcp.model import Principal

ASKER = Asker(Principal("person:ada", "Ada", "person", {"demo": "admin"}), "demo", "admin", "10.0.0.7")


def test_what_is_done_is_noted_once_it_is_done() -> None:
    acts: list[Act] = []
    with acting(acts.append, ASKER, "key_made", "ci", role="viewer"):
        assert acts == []
    [act] = acts
    assert (act.act, act.outcome, act.who, act.address, act.workspace, act.subject, act.detail) == (
        *("key_made", "done", ASKER.principal, "10.0.0.7", "demo", "ci", {"role": "viewer"}),
    )


@pytest.mark.parametrize("refusal", [Forbidden("not you"), Conflict("not here")])
def test_what_is_refused_is_noted_with_why(refusal: Exception) -> None:
    acts: list[Act] = []
    with pytest.raises(type(refusal)), acting(acts.append, ASKER, "key_made", "ci"):
        raise refusal
    assert [(act.outcome, act.why) for act in acts] == [("refused", str(refusal))]


def test_what_could_not_be_is_not_noted() -> None:
    acts: list[Act] = []
    with pytest.raises(Mistake), acting(acts.append, ASKER, "key_made", "ci"):
        raise Mistake("no such thing")
    assert acts == []
