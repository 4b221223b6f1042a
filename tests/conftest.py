"""What every test may count on: asyncio, the programs of `make tools` on PATH, and the marker `outside`."""

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).parent.parent
TOOLS = Path(os.environ.get("PORTKEY_MCP_TOOLS", ROOT / ".tools")) / "node_modules" / ".bin"

# Node scripts and the gateway's own children look programs up in PATH too, so it is set for the whole run.
os.environ["PATH"] = f"{TOOLS}{os.pathsep}{os.environ['PATH']}"

# Every HTTP client that a test makes would read all the certificates of the system, a tenth of a second each time; this
# one file is read in none, and believes nobody. Whom a test shall believe it says.
os.environ.setdefault("SSL_CERT_FILE", str(ROOT / "tests" / "nobody.pem"))


# Two busy cores make any single example slow now and then; how long one takes says nothing here.
settings.register_profile("house", deadline=None)
settings.load_profile("house")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose outside programs are missing and name them; fail it where they are promised to be there."""
    wanted = [str(program) for marker in item.iter_markers("outside") for program in marker.args]
    missing = [program for program in wanted if shutil.which(program) is None]
    if not missing:
        return
    reason = f"{', '.join(missing)} not found; `make tools` installs it"
    if os.environ.get("PORTKEY_MCP_REQUIRE_TOOLS") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
