"""Whatever is taken and given back in whatever batches: no limit is exceeded, and nothing goes below nothing."""

from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portkey_mcp.model import Exhausted, Take, Taken
from portkey_mcp.storage.ledger import LEASE, RENEW, SWEEP, Answer, Ask, Back, Ledger
from portkey_mcp.storage.migrate import migrate
from tests.storage.takes import at_once, stored, window

NAMES = count()


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("ledger") / "portkey.db"
    migrate(made)
    return made


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    migrate(tmp_path / "portkey.db")
    made = Ledger(tmp_path / "portkey.db", "me", 0.01)
    yield made
    made.close()


def take(ledger: Ledger, *takes: Take, now: float = 0.0) -> Answer:
    (answer,) = ledger.settle(now, [], [Ask(takes)])
    return answer


class Model:
    """What the ledger is to do, in the plainest way there is."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def take(self, takes: Sequence[Take]) -> Answer:
        now = tuple(self.counts.get(take.key, 0) for take in takes)
        over = [place for place, take in enumerate(takes) if now[place] + take.cost > take.limit]
        if over:
            return Exhausted(tuple(takes[place] for place in over), tuple(now[place] for place in over))
        for take in takes:
            self.counts[take.key] = self.counts.get(take.key, 0) + take.cost
        return Taken(tuple(takes), tuple(self.counts[take.key] for take in takes))

    def give_back(self, back: Back) -> None:
        for take in back.taken.takes:
            if back.refund or take.concurrent:
                self.counts[take.key] -= take.cost


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("take"), st.sets(st.integers(0, 3), min_size=1)),
        st.tuples(st.sampled_from(["end", "refund"]), st.integers(0, 9)),
        st.tuples(st.just("settle"), st.booleans()),
    ),
    max_size=40,
)


@settings(max_examples=50)
@given(st.lists(st.integers(0, 6), min_size=4, max_size=4), st.integers(0, 3), STEPS)
def test_any_sequence_keeps_every_limit_and_agrees_with_a_plain_model(
    path: Path, limits: list[int], cost: int, steps: list[tuple[str, object]]
) -> None:
    run, model, ledger = next(NAMES), Model(), Ledger(path, "me", 5)
    counters = [window(f"{run} {n}", limits[n], cost=1 + cost * n) for n in range(3)] + [at_once(f"{run} 3", limits[3])]
    living: list[Taken] = []
    backs: list[Back] = []
    asks: list[Ask] = []
    for step, what in [*steps, ("settle", True)]:
        if step == "take":
            assert isinstance(what, set)
            asks.append(Ask(tuple(counters[n] for n in sorted(what))))
        elif step == "settle":
            for back in backs:
                model.give_back(back)
            answers = ledger.settle(1.0, backs, [*asks, Ask(tuple(counters), counts=False)])
            for ask, answer in zip(asks, answers, strict=False):
                expected = model.take(ask.takes)
                if isinstance(answer, Taken):
                    living.append(answer)
                    assert len(answer.leases) == sum(step.concurrent for step in answer.takes)
                    answer = Taken(answer.takes, answer.used)
                assert answer == expected
            standing = answers[-1]
            assert standing == tuple(model.counts.get(counter.key, 0) for counter in counters)
            assert isinstance(standing, tuple)
            assert all(0 <= used <= limit for used, limit in zip(standing, limits, strict=True))
            backs, asks = [], []
        elif living:
            assert isinstance(what, int)
            backs.append(Back(living.pop(what % len(living)), refund=step == "refund"))
    ledger.leave()
    ledger.close()


def test_what_is_given_back_makes_room_in_the_same_batch(ledger: Ledger) -> None:
    one = at_once("c", 1)
    first = take(ledger, one)
    assert isinstance(first, Taken)
    second, third = ledger.settle(0, [Back(first, refund=False)], [Ask((one,)), Ask((one,))])
    assert isinstance(second, Taken)
    assert third == Exhausted((one,), (1,))


def test_a_refund_of_what_is_not_there_any_more_writes_nothing(ledger: Ledger, tmp_path: Path) -> None:
    ledger.settle(0, [Back(Taken((window("a", 9),), (1,)), refund=True)], [])
    assert stored(tmp_path / "portkey.db", "SELECT * FROM counters") == []


def test_a_refund_of_more_than_there_is_leaves_nothing(ledger: Ledger) -> None:
    take(ledger, window("a", 9))
    dear = window("a", 9, cost=4)
    (used,) = ledger.settle(0, [Back(Taken((dear,), (4,)), refund=True)], [Ask((dear,), counts=False)])
    assert used == (0,)


def test_a_lease_is_good_for_a_while_and_then_renewed(ledger: Ledger, tmp_path: Path) -> None:
    def until() -> list[int]:
        return [moment for (moment,) in stored(tmp_path / "portkey.db", "SELECT until FROM leases ORDER BY id")]

    assert not ledger.must_renew(100)
    first = take(ledger, at_once("c", 2), now=100)
    assert ledger.must_renew(100)
    ledger.settle(100, [], [])
    assert not ledger.must_renew(100 + RENEW - 1)
    take(ledger, at_once("c", 2), now=105.5)
    assert until() == [100 + LEASE, 106 + LEASE]
    ledger.settle(100 + RENEW, [], [])
    assert until() == [110 + LEASE, 110 + LEASE]
    assert isinstance(first, Taken)
    ledger.settle(120, [Back(first, refund=False)], [])
    assert until() == [120 + LEASE]


def test_a_clock_that_is_set_back_renews_leases_by_the_new_time(ledger: Ledger, tmp_path: Path) -> None:
    take(ledger, at_once("c", 2), now=100_000)
    ledger.settle(100_000, [], [])
    assert ledger.must_renew(50_000)
    ledger.settle(50_000, [], [])
    assert stored(tmp_path / "portkey.db", "SELECT until FROM leases") == [(50_000 + LEASE,)]


def test_a_holder_that_leaves_ends_its_own_leases_only(ledger: Ledger, tmp_path: Path) -> None:
    other = Ledger(tmp_path / "portkey.db", "other", 5)
    take(ledger, at_once("c", 2))
    take(other, at_once("c", 2))
    ledger.leave()
    assert stored(tmp_path / "portkey.db", "SELECT holder FROM leases") == [("other",)]
    other.close()


def test_leases_that_ended_are_swept(ledger: Ledger, tmp_path: Path) -> None:
    other = Ledger(tmp_path / "portkey.db", "other", 5)
    take(other, at_once("c", 2), now=0)
    other.close()
    ledger.settle(0, [], [])
    ledger.settle(SWEEP - 1, [], [])
    assert len(stored(tmp_path / "portkey.db", "SELECT id FROM leases")) == 1
    ledger.settle(SWEEP, [], [])
    assert stored(tmp_path / "portkey.db", "SELECT id FROM leases") == []


def test_every_commit_waits_for_the_disk(ledger: Ledger) -> None:
    take(ledger, window("a", 9))
    assert ledger._open().execute("PRAGMA synchronous").fetchone() == (2,)
    assert ledger._open().execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_lookups_go_by_the_indexes(ledger: Ledger) -> None:
    take(ledger, window("a", 9))
    for query in (
        "SELECT (SELECT used FROM counters WHERE key = value AND starts = value) FROM json_each('[]')",
        "SELECT (SELECT count(*) FROM leases WHERE key = value AND until > 1) FROM json_each('[]')",
        "DELETE FROM leases WHERE id IN (SELECT value FROM json_each('[]'))",
        "DELETE FROM counters WHERE ends < 1",
    ):
        plan = [row[3] for row in ledger._open().execute(f"EXPLAIN QUERY PLAN {query}")]
        assert not [step for step in plan if step.startswith("SCAN") and "json_each" not in step], plan
