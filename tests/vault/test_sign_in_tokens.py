"""What sign-ins gave: kept where it is wanted, for whom it is, as long as it is good, renewed at a real provider."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import anyio
import pytest
from joserfc import jwt
from sqlalchemy import select, update

from portkey_mcp.errors import ProviderDown, SignInNeeded, StoreDown
from portkey_mcp.identity.authenticate import Identity
from portkey_mcp.identity.oidc import SingleSignOn
from portkey_mcp.identity.pending import PendingSignIns
from portkey_mcp.model import Directory, McpServer, Workspace
from portkey_mcp.proof import AccountAuth, Auth, EnterpriseAuth, ExchangeAuth
from portkey_mcp.sealing import KeyRing
from portkey_mcp.storage.database import Database
from portkey_mcp.trust import Provider, ProviderTokens, Trust
from portkey_mcp.vault.sign_in_tokens import KEPT, SignInTokens, is_wanted
from portkey_mcp.vault.tables import SignInTokenRow
from tests.identity.small_provider import CLIENT, SECRET, SmallProvider, small_provider
from tests.storage.conftest import database

pytestmark = pytest.mark.anyio

__all__ = ["database"]


class House:
    """A person, a provider, and what is kept of them. `late` moves the clock."""

    def __init__(self, database: Database, small: SmallProvider) -> None:
        self.database, self.small, self.keyring = database, small, KeyRing.generate()
        self.provider = Provider("corp", small.url, CLIENT, SECRET, "Corp")
        self.trust = Trust(providers=(self.provider, Provider("home", "https://home.example", "id", name="Home")))
        self.wanted = {"corp", "home"}
        self.late = timedelta()
        self.ada = self.bob = ""

    async def people(self) -> None:
        people = Identity(self.database).people
        for name in ("ada", "bob"):
            await people.add(f"{name}@example.com", name)
            found = people.named(f"{name}@example.com")
            assert found is not None
            setattr(self, name, found.id)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.late

    def store(self) -> SignInTokens:
        sso = SingleSignOn(PendingSignIns(self.keyring))
        return SignInTokens(
            self.database, self.keyring, lambda: self.trust, lambda one: one in self.wanted, sso.renew, self.now
        )

    def tokens(self, refresh: str = "", seconds: int = 300, id_token: str = "an-id-token") -> ProviderTokens:
        return ProviderTokens("s-1", self.now() + timedelta(seconds=seconds), id_token, refresh)

    async def rows(self) -> list[SignInTokenRow]:
        async with self.database.read() as session:
            return list(await session.scalars(select(SignInTokenRow)))


@pytest.fixture
async def house(database: Database) -> AsyncIterator[House]:
    async with small_provider() as small:
        made = House(database, small)
        await made.people()
        yield made


async def test_what_is_kept_is_there_for_that_person_and_provider_in_every_process(house: House) -> None:
    await house.store().keep(house.ada, house.provider, house.tokens())
    assert await house.store().good(house.ada, "corp") == (house.provider, "an-id-token")
    assert await house.store().good(house.ada) == (house.provider, "an-id-token")
    for person, provider in ((house.bob, "corp"), (house.bob, ""), (house.ada, "home"), (house.ada, "unknown")):
        with pytest.raises(SignInNeeded):
            await house.store().good(person, provider)


async def test_nothing_is_kept_that_no_server_takes(house: House) -> None:
    house.wanted = set()
    await house.store().keep(house.ada, house.provider, house.tokens())
    assert await house.rows() == []


async def test_what_no_server_takes_any_longer_is_forgotten_and_so_is_what_is_over(house: House) -> None:
    store = house.store()
    await store.keep(house.ada, house.provider, house.tokens("r"))
    await store.keep(house.bob, house.provider, house.tokens())
    await store.tidy()
    assert len(await house.rows()) == 2
    house.late = timedelta(seconds=301)
    await store.tidy()
    assert [row.person for row in await house.rows()] == [house.ada]
    house.late = KEPT - timedelta(seconds=1)
    await store.tidy()
    assert len(await house.rows()) == 1
    house.wanted = {"home"}
    await store.tidy()
    assert await house.rows() == []


async def test_who_must_sign_in_again_is_told_with_whom(house: House) -> None:
    with pytest.raises(SignInNeeded, match="Sign in with Corp again") as told:
        await house.store().good(house.ada, "corp")
    assert told.value.provider == "corp"
    with pytest.raises(SignInNeeded, match="Sign in with Corp or Home again"):
        await house.store().good(house.ada)
    with pytest.raises(SignInNeeded, match="administrator") as told:
        await house.store().good(house.ada, "gone")
    assert told.value.provider == ""


async def test_the_one_that_lasts_longest_is_taken(house: House) -> None:
    store, home = house.store(), house.trust.providers[1]
    await store.keep(house.ada, home, house.tokens(seconds=900, id_token="from home"))
    await store.keep(house.ada, house.provider, house.tokens(seconds=300))
    assert await store.good(house.ada) == (home, "from home")
    assert await store.good(house.ada, "corp") == (house.provider, "an-id-token")


async def test_an_id_token_is_not_used_up_to_its_last_second(house: House) -> None:
    await house.store().keep(house.ada, house.provider, house.tokens(seconds=20))
    with pytest.raises(SignInNeeded):
        await house.store().good(house.ada)


async def test_an_id_token_that_ended_is_renewed_once_however_many_ask(house: House) -> None:
    house.small.refresh = "first"
    store, found = house.store(), list[str]()
    await store.keep(house.ada, house.provider, house.tokens("first", seconds=-1))

    async def ask() -> None:
        found.append((await store.good(house.ada, "corp"))[1])

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(ask)
    assert len(set(found)) == 1
    assert jwt.decode(found[0], house.small.key).claims["sub"] == "s-1"
    assert house.small.asked.count("renewed") == 1
    assert await house.store().good(house.ada) == (house.provider, found[0])


async def test_who_was_slower_takes_what_another_process_got(house: House) -> None:
    house.small.refresh = "first"
    mine, other = house.store(), house.store()
    await mine.keep(house.ada, house.provider, house.tokens("first", seconds=-1))
    sso = SingleSignOn(PendingSignIns(house.keyring))

    async def late(provider: Provider, tokens: ProviderTokens) -> ProviderTokens:
        await other.good(house.ada)
        return await sso.renew(provider, tokens)

    slow = SignInTokens(house.database, house.keyring, lambda: house.trust, lambda _: True, late, house.now)
    assert await slow.good(house.ada) == await other.good(house.ada)
    assert house.small.asked.count("renewed") == 1


async def test_a_sign_in_that_the_provider_ended_is_forgotten(house: House) -> None:
    house.small.refresh = "another"
    await house.store().keep(house.ada, house.provider, house.tokens("first", seconds=-1))
    with pytest.raises(SignInNeeded):
        await house.store().good(house.ada)
    assert await house.rows() == []


async def test_a_provider_that_is_down_ends_nothing(house: House) -> None:
    await house.store().keep(house.ada, house.provider, house.tokens("first", seconds=-1))
    house.small.bends["metadata"] = lambda _: {}
    with pytest.raises(ProviderDown):
        await house.store().good(house.ada)
    assert len(await house.rows()) == 1


async def test_b2_a_provider_that_was_configured_anew_gets_nothing_of_the_old_one(house: House) -> None:
    await house.store().keep(house.ada, house.provider, house.tokens("first"))
    for other in (replace(house.provider, issuer="https://other.example"), replace(house.provider, client_id="other")):
        house.trust = Trust(providers=(other,))
        with pytest.raises(SignInNeeded):
            await house.store().good(house.ada)
    house.trust = Trust()
    with pytest.raises(SignInNeeded):
        await house.store().good(house.ada)


async def test_a_row_that_was_given_to_somebody_else_does_not_open(house: House) -> None:
    await house.store().keep(house.ada, house.provider, house.tokens())
    async with house.database.write() as session:
        await session.execute(update(SignInTokenRow).values(person=house.bob))
    with pytest.raises(SignInNeeded):
        await house.store().good(house.bob)


async def test_forgetting_is_for_one_person(house: House) -> None:
    store = house.store()
    for person in (house.ada, house.bob):
        await store.keep(person, house.provider, house.tokens())
    await store.forget(house.ada)
    assert [row.person for row in await house.rows()] == [house.bob]


async def test_what_is_secret_is_nowhere_on_disk(house: House) -> None:
    await house.store().keep(house.ada, house.provider, house.tokens("planted-refresh", id_token="planted-id"))
    await house.database.close()
    for file in house.database.path.parent.iterdir():
        assert b"planted" not in file.read_bytes()


async def test_a_sign_in_does_not_fail_when_nothing_can_be_kept_but_asking_does(house: House) -> None:
    async with house.database.write() as session:
        await session.run_sync(lambda s: SignInTokenRow.__table__.drop(s.connection()))  # type: ignore[attr-defined]
    store = house.store()
    await store.keep(house.ada, house.provider, house.tokens())
    for failing in (store.good(house.ada), store.forget(house.ada), store.tidy()):
        with pytest.raises(StoreDown):
            await failing


@pytest.mark.parametrize(
    ("auth", "wants"),
    [
        (None, False),
        (AccountAuth(), False),
        (ExchangeAuth(), False),
        (ExchangeAuth(subject="sign_in"), True),
        (EnterpriseAuth("corp"), True),
        (EnterpriseAuth("home"), False),
    ],
)
def test_a_server_says_whether_sign_ins_are_of_use(auth: Auth | None, wants: bool) -> None:
    server = McpServer("demo", "files", "http", "https://files.example/mcp", auth=auth)
    assert is_wanted(Directory({"demo": Workspace("demo", "Demo", {"files": server}, {})}), "corp") is wants
