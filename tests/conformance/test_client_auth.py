"""The official suite's sign-in scenarios, with a gateway as the OAuth client that the suite sees.

All of them: those that a revision requires, and those of its extensions (machine accounts, enterprise-managed
authorization, DPoP, workload identity).
"""

import os
from collections.abc import Iterator

import pytest

from tests.conformance import auth_driver, auth_gateway, suite
from tests.conformance.suite import LEGACY, MODERN

pytestmark = pytest.mark.outside("conformance")

EXTENSIONS = {
    "auth/client-credentials-jwt",
    "auth/client-credentials-basic",
    "auth/enterprise-managed-authorization",
    "auth/dpop",
    "auth/dpop-nonce",
    "auth/wif-jwt-bearer",
}


@pytest.fixture(scope="module")
def drivers_know_a_gateway() -> Iterator[None]:
    """One gateway for nearly all scenarios; a start for each would take longer than all of the rest."""
    with auth_gateway.shared() as known, pytest.MonkeyPatch.context() as patched:
        for name, value in known.items():
            patched.setitem(os.environ, name, value)
        yield


@pytest.mark.parametrize(("revision", "required"), [(LEGACY, 14), (MODERN, 25)])
@pytest.mark.usefixtures("drivers_know_a_gateway")
def test_the_gateway_signs_in_to_servers_as_the_suite_wants(revision: str, required: int) -> None:
    """A20 to A27 and A31 to A33, as far as the suite looks; what it only warns of must be right, too."""
    wanted = suite.sign_in_scenarios(revision)
    assert len(wanted) == required + len(EXTENSIONS)
    assert set(wanted) >= EXTENSIONS

    report = suite.run_client(auth_driver.COMMAND, revision, wanted)

    assert not report.missed(wanted), report.table(wanted)
    assert not [name for name, outcome in report.outcomes.items() if outcome.warnings], report.table(wanted)
