"""The official suite against the fixture server, directly and through a gateway, for every pair of eras."""

import pytest

from tests.conformance import processes, suite
from tests.conformance.everything.eras import Era
from tests.conformance.suite import LEGACY, MODERN

pytestmark = pytest.mark.outside("conformance")

KEY_UNKNOWN = "input-required-result-basic-elicitation"
"""It wants the question under the key `user_name`, which a legacy server's `elicitation/create` has no place for."""


@pytest.mark.parametrize(("revision", "era"), [(LEGACY, "legacy"), (MODERN, "modern"), (LEGACY, "both")])
def test_the_fixture_server_passes_everything_directly(revision: str, era: Era) -> None:
    wanted = suite.required(revision, "server") + (suite.task_scenarios() if revision == MODERN else [])
    with processes.upstream(era) as url:
        report = suite.run_server(url, revision)
    assert not report.missed(wanted), report.table(wanted)


@pytest.mark.parametrize(
    ("revision", "era", "allowed"),
    [
        pytest.param(LEGACY, "legacy", [], id="legacy-client-legacy-upstream"),
        pytest.param(LEGACY, "modern", [], id="legacy-client-modern-upstream"),
        pytest.param(MODERN, "legacy", [KEY_UNKNOWN], id="modern-client-legacy-upstream"),
        pytest.param(MODERN, "modern", [], id="modern-client-modern-upstream"),
    ],
)
def test_what_passes_directly_passes_through_the_gateway(revision: str, era: Era, allowed: list[str]) -> None:
    wanted = suite.required(revision, "server")
    with_tasks = [*wanted, *(suite.task_scenarios() if (revision, era) == (MODERN, "modern") else [])]
    with processes.upstream(era) as server, processes.gateway(server) as url:
        report = suite.run_server(url, revision)
    assert report.missed(with_tasks) == allowed, report.table(with_tasks)
