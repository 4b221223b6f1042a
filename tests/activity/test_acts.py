"""Acts are of the kinds that are documented."""

import pytest

from portkey_mcp.activity.acts import ACTS, Act


def test_an_act_is_one_of_those_there_are() -> None:
    assert [Act(name).act for name in ACTS] == list(ACTS)
    with pytest.raises(ValueError, match="there is no act 'dance'"):
        Act("dance")
