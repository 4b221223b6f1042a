"""A pipe as one principal gets it."""

import pytest

from tests.upstream.children import stdio
from tests.upstream.heard import ADA, BOB, Heard, pool

pytestmark = pytest.mark.anyio


async def test_two_principals_of_a_shared_process_each_get_their_own_view_of_it() -> None:
    async with pool() as links:
        server = stdio(process="shared")
        ada, bob = await links.link(server, ADA), await links.link(server, BOB)
        heard = Heard()

        assert ada is not bob
        assert ada is await links.link(server, ADA)
        assert len({ada, bob}) == 1
        assert ada.hello == bob.hello
        async with bob.attend(heard.on_notification, heard.on_request):
            await ada.notify("notifications/x", {})
            await Heard().ask(ada, "test/change")
            await heard.until(1)
        await ada.close()

    assert not bob.alive
    assert ada.server == server
