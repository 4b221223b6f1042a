"""Passwords are hashed well, compared for nobody too, and guessing them is slowed by account and by address."""

import threading
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest
from argon2 import PasswordHasher, extract_parameters
from argon2.low_level import Type
from argon2.profiles import RFC_9106_LOW_MEMORY
from sqlalchemy import text

from portkey_mcp.errors import Mistake, Unauthenticated
from portkey_mcp.identity.passwords import (
    AT_ONCE,
    FORGOTTEN_AFTER,
    FREE_FOR_AN_ACCOUNT,
    FREE_FOR_AN_ADDRESS,
    LONGEST_PAUSE,
    WRONG,
    Guesses,
    Passwords,
    WrongPassword,
)
from portkey_mcp.identity.people import People
from portkey_mcp.storage.database import FILE, Database

pytestmark = pytest.mark.anyio

ADA, BOB = "ada@example.com", "bob@example.com"
PASSWORD = "correct horse battery"
HOME, AWAY = "192.0.2.1", "192.0.2.2"


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Counting(PasswordHasher):
    """A quick hasher that counts its comparisons, and how many ran at once."""

    def __init__(self, time_cost: int = 1) -> None:
        super().__init__(time_cost=time_cost, memory_cost=8, parallelism=1)
        self.compared = self.most = self._running = 0
        self._lock = threading.Lock()
        self.meeting: Callable[[], object] = lambda: None

    def verify(self, hash: str | bytes, password: str | bytes) -> bool:  # type: ignore[override]  # noqa: A002
        with self._lock:
            self.compared += 1
            self._running += 1
            self.most = max(self.most, self._running)
        try:
            self.meeting()
            return super().verify(hash, password)
        finally:
            with self._lock:
                self._running -= 1


@pytest.fixture
def people(workspaces: Database) -> People:
    return People(workspaces)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def hasher() -> Counting:
    return Counting()


@pytest.fixture
async def passwords(workspaces: Database, people: People, hasher: Counting, clock: Clock) -> Passwords:
    found = Passwords(workspaces, people, hasher, clock)
    await people.add(ADA, "Ada", workspace="demo", password=await found.hashed(PASSWORD))
    return found


async def refused(passwords: Passwords, email: str, password: str, address: str = HOME) -> None:
    with pytest.raises(Unauthenticated) as refusal:
        await passwords.check(email, password, address)
    assert str(refusal.value) == WRONG


async def test_why_is_told_apart_for_the_audit_only(passwords: Passwords, people: People) -> None:
    async def why(email: str, password: str) -> str:
        with pytest.raises(WrongPassword) as refusal:
            await passwords.check(email, password, "")
        assert str(refusal.value) == WRONG
        return refusal.value.why

    await people.add("bob@example.com", "Bob")
    assert await why("eve@example.com", PASSWORD) == "nobody has this address"
    assert await why("bob@example.com", PASSWORD) == "has no password"
    assert await why(ADA, "guess") == "wrong password"
    await people.disable(ADA)
    assert await why(ADA, PASSWORD) == "is disabled"
    assert await why(ADA, "guess") == "wrong password"
    assert await why(ADA, PASSWORD) == "too many attempts; not looked at"


async def test_a_password_is_hashed_as_rfc_9106_advises_and_is_nowhere_on_disk(
    people: People, workspaces: Database, tmp_path: Path
) -> None:
    passwords = Passwords(workspaces, people)
    await people.add(ADA, workspace="demo")
    ident = await passwords.set(ADA, PASSWORD)
    async with workspaces.read() as session:
        made = (await session.execute(text("SELECT password FROM people"))).scalar_one()
    parameters = extract_parameters(made)
    assert (parameters, parameters.type) == (RFC_9106_LOW_MEMORY, Type.ID)
    assert (await passwords.check(ADA, PASSWORD, HOME)).id == ident
    await workspaces.close()
    assert PASSWORD.encode() not in (tmp_path / FILE).read_bytes()


async def test_the_right_password_says_who_it_is(passwords: Passwords) -> None:
    ada = await passwords.check("ADA@example.com", PASSWORD, HOME)
    assert (ada.name, ada.kind, ada.workspaces) == ("Ada", "person", {"demo": "member"})


async def test_a_password_is_the_same_however_a_keyboard_composes_it(passwords: Passwords) -> None:
    await passwords.set(ADA, "zwölf Zeichen lang")
    await passwords.check(ADA, "zwo\N{COMBINING DIAERESIS}lf Zeichen lang", HOME)


async def test_every_failure_has_the_same_words_and_costs_a_comparison(
    passwords: Passwords, people: People, hasher: Counting
) -> None:
    await people.add(BOB)
    await people.add("off@example.com", password=await passwords.hashed(PASSWORD))
    await people.disable("off@example.com")
    tried = [
        *((ADA, "wrong password"), (ADA, ""), ("nobody@example.com", PASSWORD), ("", ""), (BOB, ""), (BOB, PASSWORD)),
        *(("off@example.com", PASSWORD), ("nobody@example.com", "nobody's"), (ADA, "\udcff"), ("x" * 999, PASSWORD)),
    ]
    for number, (email, password) in enumerate(tried, start=1):
        await refused(passwords, email, password)
        assert hasher.compared == number


async def test_an_endless_password_costs_nothing(passwords: Passwords, hasher: Counting) -> None:
    await refused(passwords, ADA, "x" * 1025)
    assert hasher.compared == 0


async def test_a_hash_that_cannot_be_read_fits_nothing(passwords: Passwords, workspaces: Database) -> None:
    async with workspaces.write() as session:
        await session.execute(text("UPDATE people SET password = 'correct horse battery'"))
    await refused(passwords, ADA, PASSWORD)


@pytest.mark.parametrize(("password", "length"), [("x" * 11, 11), ("", 0), ("x" * 1025, 1025)])
async def test_a_password_has_a_length(passwords: Passwords, password: str, length: int) -> None:
    with pytest.raises(Mistake, match=f"the password has {length} characters; expected 12 to 1024"):
        await passwords.set(ADA, password)
    await passwords.check(ADA, PASSWORD, HOME)


async def test_nobody_gets_no_password(passwords: Passwords) -> None:
    with pytest.raises(Mistake, match=r"there is no person 'bob@example.com'"):
        await passwords.set(BOB, PASSWORD)


async def test_a_hash_of_other_parameters_is_made_anew_and_wakes_nobody(
    passwords: Passwords, workspaces: Database, people: People
) -> None:
    later, revision = Passwords(workspaces, people, Counting(time_cost=2)), await workspaces.revision()
    await refused(later, ADA, "wrong password")
    for _ in range(2):
        await later.check(ADA, PASSWORD, HOME)
        async with workspaces.read() as session:
            made = (await session.execute(text("SELECT password FROM people"))).scalar_one()
        assert extract_parameters(made).time_cost == 2
    assert await workspaces.revision() == revision


async def test_at_most_two_are_compared_at_once(passwords: Passwords, hasher: Counting) -> None:
    hasher.meeting = threading.Barrier(AT_ONCE, timeout=30).wait  # each waits for another one: there are two

    async def check(number: int) -> None:
        await refused(passwords, f"{number}@example.com", PASSWORD, f"192.0.2.{number}")

    async with anyio.create_task_group() as tasks:
        for number in range(4 * AT_ONCE):
            tasks.start_soon(check, number)
    assert hasher.most == AT_ONCE


async def test_guesses_at_one_account_are_slowed_from_anywhere(
    passwords: Passwords, hasher: Counting, clock: Clock
) -> None:
    for number in range(FREE_FOR_AN_ACCOUNT):
        await refused(passwords, ADA, "wrong password", f"192.0.2.{number}")
    before = hasher.compared
    await refused(passwords, ADA, PASSWORD, AWAY)  # even the right one: otherwise the pause would be none
    assert hasher.compared == before
    clock.now += 1
    assert (await passwords.check(ADA, PASSWORD, AWAY)).name == "Ada"
    await refused(passwords, ADA, "wrong password", AWAY)  # what was before is forgotten
    assert (await passwords.check(ADA, PASSWORD, AWAY)).name == "Ada"


async def test_an_account_that_is_not_there_is_slowed_like_one_that_is(passwords: Passwords, hasher: Counting) -> None:
    for email in (ADA, "nobody@example.com"):
        before = hasher.compared
        for _ in range(10):
            await refused(passwords, email, "wrong password", AWAY if email == ADA else HOME)
        assert hasher.compared == before + FREE_FOR_AN_ACCOUNT


async def test_guesses_from_one_address_are_slowed_whoever_they_are_about(
    passwords: Passwords, hasher: Counting, clock: Clock
) -> None:
    for number in range(FREE_FOR_AN_ADDRESS):
        await refused(passwords, f"{number}@example.com", "wrong password")
    before = hasher.compared
    await refused(passwords, ADA, PASSWORD)
    assert hasher.compared == before
    assert (await passwords.check(ADA, PASSWORD, AWAY)).name == "Ada"
    clock.now += LONGEST_PAUSE
    # A guesser with an account of their own gains nothing by signing in between: the next failure is one too many.
    assert (await passwords.check(ADA, PASSWORD, HOME)).name == "Ada"
    await refused(passwords, "x@example.com", "wrong password")
    await refused(passwords, ADA, PASSWORD)


async def test_guesses_at_the_same_time_gain_nothing(passwords: Passwords, hasher: Counting) -> None:
    async with anyio.create_task_group() as tasks:
        for _ in range(50):
            tasks.start_soon(refused, passwords, ADA, "wrong password")
    assert hasher.compared == FREE_FOR_AN_ACCOUNT


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("", "unknown", True),
    ],
)
async def test_addresses_of_one_subscriber_count_together(
    passwords: Passwords, hasher: Counting, one: str, other: str, together: bool
) -> None:
    for number in range(FREE_FOR_AN_ADDRESS):
        await refused(passwords, f"{number}@example.com", "wrong password", one)
    before = hasher.compared
    await refused(passwords, BOB, "wrong password", other)
    assert (hasher.compared == before) is together


def test_each_failure_doubles_the_pause_up_to_a_minute(clock: Clock) -> None:
    guesses, pauses = Guesses(3, clock), []
    for _ in range(12):
        guesses.begin("x")
        begun = clock.now
        while not guesses.is_open("x"):
            clock.now += 1
        pauses.append(clock.now - begun)
    assert pauses == [0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60, 60]


def test_failures_of_long_ago_are_forgotten(clock: Clock) -> None:
    guesses = Guesses(1, clock)
    guesses.begin("x")
    clock.now += FORGOTTEN_AFTER + 1
    guesses.begin("x")
    clock.now += 1
    assert guesses.is_open("x")


def test_what_is_taken_back_was_no_failure(clock: Clock) -> None:
    guesses = Guesses(1, clock)
    for _ in range(3):
        guesses.begin("x")
        assert not guesses.is_open("x")
        guesses.take_back("x")
        assert guesses.is_open("x")
    guesses.take_back("never seen")


def test_what_is_remembered_is_bounded_and_the_most_guessed_stay(clock: Clock) -> None:
    guesses = Guesses(2, clock, most=100)
    for _ in range(5):
        guesses.begin("target")
    for number in range(1000):
        guesses.begin(f"other-{number}")
    assert not guesses.is_open("target")
    assert len(guesses._of) <= 100
    clock.now += FORGOTTEN_AFTER + LONGEST_PAUSE
    guesses.begin("new")
    assert len(guesses._of) == 1
