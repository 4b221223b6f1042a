from dataclasses import replace
from typing import Any

from portkey_mcp.gateway.catalogue import Catalogue, Sources
from portkey_mcp.model import Bundle, Endpoint, McpServer, Workspace
from portkey_mcp.policy.decide import Rules
from portkey_mcp.policy.document import EMPTY
from portkey_mcp.wire import Json

SERVERS = {name: McpServer("team", name, "http", enabled=name != "off") for name in ("mail", "files", "off")}
READING = Bundle("team", "reading", "", ("files/read_*",))
TEAM = Workspace("team", "", SERVERS, {"reading": READING})
HUB, BUNDLE = Endpoint("hub", TEAM), Endpoint("bundle", TEAM, "reading")


def test_a_hub_has_every_server_that_is_on_in_the_order_of_their_names() -> None:
    choice = Catalogue().choice(HUB)

    assert (list(choice.servers), choice.chosen, choice.title) == (["files", "mail"], None, "team")


def test_a_bundle_has_the_servers_it_chose_from() -> None:
    choice = Catalogue().choice(BUNDLE)

    assert (list(choice.servers), choice.title) == (["files"], "reading")
    assert choice.chosen is not None


def test_a_choice_is_worked_out_once_as_long_as_the_workspace_is_the_same() -> None:
    catalogue = Catalogue()
    first = catalogue.choice(HUB)
    assert catalogue.choice(BUNDLE) is not first
    assert catalogue.choice(HUB) is first

    fewer = replace(TEAM, servers={"mail": SERVERS["mail"]})
    assert list(catalogue.choice(Endpoint("hub", fewer)).servers) == ["mail"]
    assert catalogue.choice(HUB) is first  # others may see all of it, at the same time


class Writing:
    """Writes a page, and counts how often it was asked to."""

    def __init__(self) -> None:
        self.catalogue = Catalogue()
        self.times = 0

    def write(self) -> Json:
        self.times += 1
        return {"tools": []}

    def page(self, sources: Sources, *place: Any) -> None:
        self.catalogue.written(place or ("ada",), sources, self.write)


def test_a_page_is_written_once_for_the_very_same_sources_and_again_for_any_other() -> None:
    here, things = Writing(), ["a"]
    sources = Sources(here.catalogue.choice(HUB), Rules(EMPTY), (things, None), ())
    others = [
        replace(sources, values=(["a"], None)),
        replace(sources, stale=("files",)),
        replace(sources, rules=Rules(EMPTY)),
        replace(sources, choice=here.catalogue.choice(BUNDLE)),
    ]
    here.page(sources)
    here.page(replace(sources, values=(things, None)))
    assert here.times == 1

    for number, other in enumerate(others):
        here.page(other)
        assert here.times == number + 2


def test_pages_of_different_places_are_different_pages() -> None:
    here = Writing()
    sources = Sources(here.catalogue.choice(HUB), Rules(EMPTY), (), ())
    for who in ("ada", "bob", "ada", "bob"):
        here.page(sources, who)

    assert here.times == 2
