"""A gateway to be killed: opens a pool and one stdio link, says the server's pid, and waits. Run by test_tether.py.

`--uvloop` for that event loop.
"""

import sys

import anyio

from tests.upstream.children import stdio
from tests.upstream.heard import ADA, pool


async def main() -> None:
    async with pool() as links:
        link = await links.link(stdio("stays"), ADA)
        print(link.hello["serverInfo"]["pid"], flush=True)
        await anyio.sleep_forever()


if __name__ == "__main__":
    anyio.run(main, backend_options={"use_uvloop": "--uvloop" in sys.argv})
