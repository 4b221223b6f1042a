"""Invitations: good once, for a while, for whom they are, and never a way into an account that there is."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from sqlalchemy import text

from portkey_mcp.errors import Conflict, Forbidden, Mistake, NotFound, PortkeyError
from portkey_mcp.identity.authenticate import Identity
from portkey_mcp.identity.invitations import TOKEN, Invitation, Invitations
from portkey_mcp.model import Role
from portkey_mcp.storage.database import FILE, Database

pytestmark = pytest.mark.anyio

ADA, BOB = "ada@example.com", "bob@example.com"


class House:
    """Ada, an admin of demo, and a clock."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.identity = Identity(database)
        self.people = self.identity.people
        self.late = timedelta()
        self.invitations = Invitations(database, self.people, lambda: datetime.now(UTC) + self.late)
        self.ada = ""

    async def make(self, token: str, email: str = BOB, **more: Any) -> tuple[str, Invitation]:
        return await self.invitations.make(token, email=email, name="Somebody", password="a hash", **more)

    def what(self, email: str, workspace: str = "demo") -> tuple[str | None, tuple[str, ...]]:
        found = self.people.named(email)
        return (None, ()) if found is None else (found.role_in(workspace), found.groups_in(workspace))


@pytest.fixture
async def house(workspaces: Database) -> House:
    made = House(workspaces)
    made.ada = await made.people.add(ADA, "Ada", workspace="demo", role="admin")
    return made


async def test_a_link_makes_a_member_with_role_and_groups_once(house: House) -> None:
    token, made = await house.invitations.invite("demo", "viewer", groups=["ops", "day"])
    assert await house.invitations.find(token) == made
    person, used = await house.make(token)
    assert (used.id, house.what(BOB)) == (made.id, ("viewer", ("day", "ops")))
    assert (await house.people.all())[1].has_password
    assert person.startswith("person:")
    for again in (house.make(token, "eve@example.com"), house.invitations.join(token, person)):
        with pytest.raises(NotFound):
            await again
    assert (await house.invitations.find(token), house.what("eve@example.com")) == (None, (None, ()))


async def test_of_two_who_open_it_at_once_one_joins(house: House) -> None:
    token, _ = await house.invitations.invite("demo")
    ended: list[str] = []

    async def open_as(email: str) -> None:
        try:
            await house.make(token, email)
            ended.append(email)
        except NotFound:
            ended.append("")

    async with anyio.create_task_group() as tasks:
        for number in range(5):
            tasks.start_soon(open_as, f"p{number}@example.com")
    assert ended.count("") == 4
    assert len(await house.people.all("demo")) == 2


async def test_its_value_is_random_and_nowhere_on_disk(house: House, tmp_path: Path) -> None:
    token, _ = await house.invitations.invite("demo")
    assert TOKEN.fullmatch(token)
    assert token != (await house.invitations.invite("demo"))[0]
    await house.database.close()
    assert token.encode() not in (tmp_path / FILE).read_bytes()


@pytest.mark.parametrize("token", ["", "x", "x" * 43, "x" * 5000, "../" * 20, "\udcff" * 43])
async def test_what_is_no_link_opens_nothing(house: House, token: str) -> None:
    await house.invitations.invite("demo")
    assert await house.invitations.find(token) is None
    with pytest.raises(NotFound):
        await house.make(token)


async def test_it_expires_and_is_forgotten(house: House) -> None:
    token, made = await house.invitations.invite("demo", days=7)
    assert made.expires - made.created == timedelta(days=7)
    house.late = timedelta(days=7)
    assert (await house.invitations.find(token), await house.invitations.all()) == (None, [])
    await house.invitations.tidy()
    async with house.database.read() as session:
        assert await session.scalar(text("SELECT count(*) FROM invitations")) == 0


async def test_a_person_joins_with_their_account_and_keeps_all_of_it(house: House) -> None:
    await house.people.add(BOB, "Bob", workspace="other", role="owner", password="his own hash")
    bob = house.people.named(BOB)
    assert bob is not None
    token, _ = await house.invitations.invite("demo", email="BOB@example.com")
    await house.invitations.join(token, bob.id)
    assert (house.what(BOB), house.what(BOB, "other")) == (("member", ()), ("owner", ()))
    async with house.database.read() as session:
        assert await session.scalar(text(f"SELECT password FROM people WHERE email = '{BOB}'")) == "his own hash"


@pytest.mark.parametrize("bound", ["", BOB])
async def test_an_account_that_there_is_is_never_taken_over(house: House, bound: str) -> None:
    await house.people.add(BOB, "Bob", password="his own hash")
    token, _ = await house.invitations.invite("demo", email=bound)
    with pytest.raises(Conflict, match="account with this e-mail address already"):
        await house.make(token, "Bob@EXAMPLE.com")
    assert house.what(BOB) == (None, ())
    assert await house.invitations.find(token) is not None
    async with house.database.read() as session:
        assert await session.scalar(text(f"SELECT password FROM people WHERE email = '{BOB}'")) == "his own hash"


async def test_what_is_for_one_address_is_for_nobody_else(house: House) -> None:
    eve = await house.people.add("eve@example.com")
    token, made = await house.invitations.invite("demo", email=BOB)
    assert made.is_for("Bob@Example.com")
    assert not made.is_for("")
    for attempt in (house.make(token, "eve2@example.com"), house.invitations.join(token, eve)):
        with pytest.raises(Forbidden):
            await attempt
    await house.make(token, BOB)
    anybodys, _ = await house.invitations.invite("demo")
    await house.make(anybodys, "cleo@example.com")
    found = {one.email: one.origin for one in await house.people.all("demo")}
    assert (found[BOB], found["cleo@example.com"]) == ("invitation", "self")


async def test_who_is_kept_out_or_a_member_already_joins_nothing(house: House) -> None:
    bob = await house.people.add(BOB)
    token, _ = await house.invitations.invite("demo")
    with pytest.raises(Conflict):
        await house.invitations.join(token, house.ada)
    await house.people.disable(BOB)
    with pytest.raises(NotFound):
        await house.invitations.join(token, bob)
    await house.people.enable(BOB)
    await house.invitations.join(token, bob)


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ({"workspace": "nowhere"}, "no workspace 'nowhere'"),
        ({"role": "king"}, "no role 'king'"),
        ({"email": "bob"}, "no e-mail address"),
        ({"groups": [" x"]}, "no name of a group"),
        ({"days": 0}, "1 to 90 days"),
        ({"days": 91}, "1 to 90 days"),
        ({"email": "ADA@example.com"}, "is a member of workspace 'demo' already"),
    ],
)
async def test_what_cannot_be_is_refused_in_words(house: House, what: dict[str, Any], said: str) -> None:
    with pytest.raises(Mistake, match=said):
        await house.invitations.invite(**{"workspace": "demo", **what})


async def test_one_that_was_taken_back_opens_nothing(house: House) -> None:
    token, made = await house.invitations.invite("demo", email=BOB)
    await house.invitations.invite("other")
    assert [one.email for one in await house.invitations.all("demo")] == [BOB]
    assert len(await house.invitations.all()) == 2
    await house.invitations.take_back(made.id)
    assert (await house.invitations.find(token), await house.invitations.all("demo")) == (None, [])
    with pytest.raises(Mistake, match="there is no invitation"):
        await house.invitations.take_back(made.id)


@pytest.mark.parametrize(
    ("role", "good"), [("owner", True), ("admin", True), ("member", False), ("viewer", False), (None, False)]
)
async def test_it_is_good_as_long_as_whoever_invited_could_do_so(house: House, role: Role | None, good: bool) -> None:
    by_person, _ = await house.invitations.invite("demo", "admin", inviter=house.ada)
    key = await house.identity.authenticate(
        {"x-portkey-api-key": await house.identity.create_key("demo", "k", "owner")}
    )
    by_key, _ = await house.invitations.invite("demo", "owner", inviter=key.id)
    by_hand, _ = await house.invitations.invite("demo", "owner")
    await (house.people.leave(ADA, "demo") if role is None else house.people.set_role(ADA, "demo", role))
    assert (await house.invitations.find(by_person) is not None) is good
    assert await house.invitations.find(by_key) is not None
    await house.identity.revoke_key("demo", "k")
    assert await house.invitations.find(by_key) is None
    assert await house.invitations.find(by_hand) is not None


async def test_whoever_lost_a_role_or_is_kept_out_gives_it_to_nobody(house: House) -> None:
    await house.people.set_role(ADA, "demo", "owner")
    token, _ = await house.invitations.invite("demo", "owner", inviter=house.ada)
    await house.people.set_role(ADA, "demo", "admin")
    assert await house.invitations.find(token) is None
    await house.people.set_role(ADA, "demo", "owner")
    await house.people.disable(ADA)
    assert (await house.invitations.find(token), await house.invitations.all()) == (None, [])


async def test_the_first_person_owns_everything_and_is_made_once(workspaces: Database) -> None:
    house = House(workspaces)
    old, token = await house.invitations.first(), await house.invitations.first()
    assert (await house.invitations.find(old), await house.invitations.all()) == (None, [])
    await house.make(token, ADA, workspaces=["demo", "other"])
    assert (house.what(ADA), house.what(ADA, "other")) == (("owner", ()), ("owner", ()))
    with pytest.raises(NotFound):
        await house.make(token, BOB, workspaces=["demo"])
    assert [one.email for one in await house.people.all()] == [ADA]


@pytest.mark.parametrize("how", ["somebody is there", "a day later", "ended"])
async def test_the_link_for_the_first_person_ends_with_the_first_person_or_a_day(
    workspaces: Database, how: str
) -> None:
    house = House(workspaces)
    token = await house.invitations.first()
    if how == "somebody is there":
        await house.people.add(ADA)
    elif how == "ended":
        await house.invitations.end_first()
    else:
        house.late = timedelta(days=1)
    assert await house.invitations.find(token) is None
    with pytest.raises(PortkeyError):
        await house.make(token, BOB)
