"""Programs that several tests look at: upstreams, a receiver of spans, and one gateway with everything on."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from benchmarks.targets import VARIANTS, Target, Upstreams, gateway, open_upstreams


@pytest.fixture(scope="session")
def upstreams() -> Iterator[Upstreams]:
    with ExitStack() as stack:
        yield open_upstreams(False, stack)


@pytest.fixture(scope="session")
def whole_gateway(upstreams: Upstreams) -> Iterator[Target]:
    soon = {"OTEL_BSP_SCHEDULE_DELAY": "100"}
    with gateway("gateway", VARIANTS["gateway"], upstreams, None, environment=soon) as target:
        yield target
