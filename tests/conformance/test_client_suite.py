"""The official suite's client scenarios, with a gateway as the client that the suite sees.

Those of signing in to a server (`auth/*`) are in `test_client_auth.py`.
"""

import pytest

from tests.conformance import driver, suite
from tests.conformance.suite import LEGACY, MODERN

pytestmark = pytest.mark.outside("conformance")


@pytest.mark.parametrize("revision", [LEGACY, MODERN])
def test_the_gateway_is_a_conforming_client_of_its_upstreams(revision: str) -> None:
    wanted = suite.client_scenarios(revision)
    report = suite.run_client(driver.COMMAND, revision, wanted)
    assert not report.missed(wanted), report.table(wanted)
