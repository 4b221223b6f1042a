"""The whole way, on a server that is good and on ones that cannot be reached or trusted."""

import pytest

from portkey_mcp.doctor.finding import TITLES
from portkey_mcp.doctor.walk import examine
from portkey_mcp.errors import Mistake
from tests.doctor.clinic import TOKEN, Clinic
from tests.doctor.examined import examined, of, shown

pytestmark = pytest.mark.anyio


async def test_a_good_server_is_good_at_every_step_and_in_their_order() -> None:
    findings = await examined(Clinic(), token=TOKEN, register=True)

    assert of("bad", findings) + of("doubtful", findings) + of("skipped", findings) == [], shown(findings)
    assert list(dict.fromkeys(finding.step for finding in findings)) == list(TITLES)
