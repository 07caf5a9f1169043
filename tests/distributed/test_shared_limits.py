"""Several workers, one desk, virtual time: limits hold for the whole and nearly all is used."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalharness.config.models import LimitsConfig, Profile
from evalharness.distributed.limits.budget_client import SharedMoney
from evalharness.distributed.limits.budget_server import Purse
from evalharness.distributed.limits.limiter import SharedGate
from evalharness.distributed.limits.slot_messages import Word
from evalharness.distributed.limits.slot_server import Answer, Ask, Desk
from evalharness.distributed.shard_board import Board, Shard
from evalharness.errors import BudgetReachedError
from evalharness.records import ErrorKind
from evalharness.throttle.clock import ManualClock
from tests.throttle.replies import delivered, failed
from tests.throttle.simulation import Simulation, Trial
from tests.throttle.test_rate import most_in_window


class Counter:
    """The coordinator of a test: a desk behind a message delay, and what was said at it."""

    def __init__(self, limits: LimitsConfig, clock: ManualClock, delay_s: float = 0.002) -> None:
        self.desk = Desk(limits, Profile(), clock.monotonic())
        self.gates: dict[str, SharedGate] = {}
        self.messages = 0
        self.most_held = 0
        self._clock = clock
        self._delay_s = delay_s

    def at(self, name: str) -> Window:
        return Window(self, name)

    async def ask(self, name: str, ask: Ask, words: Sequence[Word]) -> Answer:
        await self._clock.sleep_until(self._clock.monotonic() + self._delay_s)
        self.messages += 1
        now = self._clock.monotonic()
        for word in words:
            if word.pause_s is not None:
                self.desk.pause.begin(now, word.pause_s, word.reason)
            if word.serving is not None:
                self.desk.outage.alive() if word.serving else self.desk.outage.begin(now)
            for other, gate in self.gates.items():
                if other != name:
                    gate.hear(word)
        answer = self.desk.ask(name, ask, now)
        self.most_held = max(self.most_held, self.desk.slots_held)
        return answer


class Window:
    """Where one worker asks."""

    def __init__(self, counter: Counter, name: str) -> None:
        self._counter, self._name = counter, name

    async def ask(self, ask: Ask, words: Sequence[Word]) -> Answer:
        return await self._counter.ask(self._name, ask, words)


def simulate(server, shares, tasks=8, delay_s=0.002, **limits):
    """Run each worker's trials; (all that was sent in order of time, the counter, simulations)."""

    async def scenario():
        clock = ManualClock()
        whole = LimitsConfig(**limits)
        counter = Counter(whole, clock, delay_s)
        done = []

        async def worker(name: str, trials: list[Trial]) -> None:
            gate = SharedGate(
                "test", whole, Profile(), clock, len(name),
                desk=counter.at(name), needs_leave=counter.desk.needs_leave,
            )  # fmt: skip
            counter.gates[name] = gate
            simulation = Simulation(gate, clock, server, trials)
            done.append(simulation)
            async with gate:
                await simulation.run(tasks)
            assert gate.in_flight == 0

        work = [worker(f"w{n}", trials) for n, trials in enumerate(shares)]
        await clock.run(asyncio.gather(*work))
        assert counter.desk.slots_held == 0
        sent = sorted((s for simulation in done for s in simulation.sent), key=lambda s: s.at)
        return sent, counter, done

    return asyncio.run(scenario())


@settings(max_examples=10, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    workers=st.integers(2, 4),
    limit=st.sampled_from([{"rpm": 90}, {"rpm": 600}, {"tpm": 40_000}]),
)
def test_rates_hold_for_the_whole_and_are_used_by_unequal_workers(seed, workers, limit):
    """P8 across workers: one has ten times the work of another, latencies differ a thousandfold."""
    rng = random.Random(seed)
    shares = [
        [Trial(rng.randint(50, 700), rng.choice([0.01, 0.5, 10.0])) for _ in range(40 * 3**n)]
        for n in range(workers)
    ]
    sent, _, done = simulate(
        lambda _now, trial: delivered(tokens=trial.tokens), shares,
        tasks=120, concurrency=120 * workers, **limit,
    )  # fmt: skip
    times, tokens = [s.at for s in sent], [s.tokens for s in sent]
    assert len(times) == sum(map(len, shares))
    assert all(trial.record is not None for s in done for trial in s.trials)
    if "rpm" in limit:
        assert most_in_window(times, 60.0) <= limit["rpm"]
        used = (len(times) - 1) / times[-1] * 60 / limit["rpm"]
    else:
        assert most_in_window(times, 60.0, tokens) <= limit["tpm"]
        used = sum(tokens[:-1]) / times[-1] * 60 / limit["tpm"]
    assert used >= 0.95


def test_slots_are_a_total_and_go_to_whoever_has_work():
    """One worker alone gets every slot; a second that comes gets its share; none above the sum."""
    shares = [[Trial(latency_s=1.0) for _ in range(400)], [Trial(latency_s=1.0) for _ in range(40)]]
    sent, counter, _ = simulate(lambda *_: delivered(), shares, tasks=20, concurrency=20)
    assert counter.most_held <= 20
    ends = sorted((s.at, 1) for s in sent) + [(s.at + 1.0, -1) for s in sent]
    flying = peak = 0
    for _, change in sorted(ends, key=lambda e: (e[0], e[1])):
        flying += change
        peak = max(peak, flying)
    assert peak <= 20
    assert len(sent) / (20 * (sent[-1].at + 1.0)) >= 0.95  # 440 s of work on 20 slots


def test_a_slot_is_leave_enough_where_nothing_else_is_limited():
    """Without rates a busy worker talks by its heartbeat, not once a request."""
    shares = [[Trial(latency_s=0.01) for _ in range(2_000)]]
    sent, counter, _ = simulate(lambda *_: delivered(), shares, tasks=8, concurrency=8)
    assert len(sent) == 2_000
    assert counter.messages < 100


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32), limited=st.booleans())
def test_a_pause_seen_by_one_holds_for_all(seed, limited):
    """P9 across workers: after a Retry-After nobody sends before it is over."""
    rng = random.Random(seed)
    told: list[float] = []

    def server(now: float, trial: Trial):
        if not told and now > 3.0:
            told.append(now)
            return failed(ErrorKind.RATE_LIMITED, retry_after="20")
        return delivered()

    shares = [[Trial(latency_s=rng.choice([0.2, 1.0])) for _ in range(120)] for _ in range(3)]
    limits = {"rpm": 6_000} if limited else {}
    sent, _, _ = simulate(server, shares, tasks=4, concurrency=12, **limits)
    # A message is under way for 2 ms, and the next one to say it may be 12 ms off.
    assert not [s.at for s in sent if told[0] + 0.02 < s.at < told[0] + 20.0]
    assert len(sent) == 361


def test_an_outage_lets_one_probe_go_for_all_workers():
    """P10 across workers: three of them, and one request in 30 s while nothing answers."""
    down = (5.0, 400.0)

    def server(now: float, _trial: Trial):
        if down[0] <= now < down[1]:
            return failed(ErrorKind.CONNECT)
        return delivered()

    shares = [[Trial(latency_s=0.5) for _ in range(300)] for _ in range(3)]
    sent, _, done = simulate(server, shares, tasks=4, concurrency=12, max_attempts=5)
    quiet = [s.at for s in sent if 100.0 < s.at < 400.0]
    assert 8 <= len(quiet) <= 11
    records = [trial.record for s in done for trial in s.trials]
    assert all(r is not None and r.error_kind is None for r in records)


def test_a_dead_worker_leaves_its_slots_and_its_tokens_as_estimated():
    """What a killed worker held is free for others; what it reserved stays charged."""
    desk = Desk(LimitsConfig(concurrency=4, tpm=1_000), Profile(), 0.0)
    assert len(desk.ask("a", Ask(tokens=[60] * 4), 100.0).grants) == 2  # paced: 5 s ahead
    assert desk.ask("a", Ask(tokens=[10] * 3), 104.0).slots == 2
    assert desk.ask("b", Ask(tokens=[10]), 104.0).reason == "a free slot"
    desk.gone("a", 105.0)
    assert desk.slots_held == 0
    assert desk.ask("b", Ask(tokens=[900]), 120.0).reason == "tokens per minute"
    assert len(desk.ask("b", Ask(tokens=[10]), 120.0).grants) == 1


# ── money ────────────────────────────────────────────────────────────────────────────────────────


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_allowances_never_exceed_the_limit(data):
    """P12 across workers, whatever the order of asking, spending and giving back."""
    limit = Decimal(data.draw(st.integers(1, 500)))
    purse = Purse(limit, gone=Decimal(data.draw(st.integers(0, 50))))
    names = ["a", "b", "c"]
    allowance = dict.fromkeys(names, Decimal(0))
    gone = dict.fromkeys(names, Decimal(0))
    before = purse.gone
    for _ in range(data.draw(st.integers(1, 60))):
        name = data.draw(st.sampled_from(names))
        unused = allowance[name] - gone[name]
        what = data.draw(st.sampled_from(["more", "spend", "back", "die"]))
        if what == "more":
            need = Decimal(data.draw(st.integers(1, 30)))
            purse.told(name, gone=gone[name], unused=unused)
            granted = purse.more(name, need)
            assert granted.allowance >= allowance[name]
            allowance[name] = granted.allowance
            if granted.reached:
                everything = purse.free + sum(allowance.values()) - sum(gone.values())
                assert need > everything
        elif what == "spend" and unused:
            gone[name] += min(unused, Decimal(data.draw(st.integers(0, 30))))
            purse.told(name, gone=gone[name], unused=allowance[name] - gone[name])
        elif what == "back" and unused:
            allowance[name] = purse.give_back(name, unused)
        elif what == "die":
            purse.lost(name)
            if data.draw(st.booleans()):
                purse.settled(name, gone[name])
                before += gone[name]
            else:
                before += allowance[name]
            del allowance[name], gone[name]
            free = limit - before - sum(allowance.values())
            assert abs(purse.free - free) < Decimal("1e-20")  # 28 digits are kept
            names[names.index(name)] = name = f"{name}'"  # no name is used twice
            allowance[name] = gone[name] = Decimal(0)
        if limit >= before:
            assert before + sum(allowance.values()) <= limit


def test_what_a_dead_worker_did_not_spend_is_free_again():
    """Until that is known nobody is told that the limit is reached for good."""
    purse = Purse(Decimal(10))
    assert purse.more("a", Decimal(6)).allowance >= 6
    purse.told("a", gone=Decimal(2), unused=Decimal(4))
    purse.lost("a")
    assert not purse.more("b", Decimal(7)).reached
    purse.settled("a", Decimal(3))
    assert purse.free == 7
    assert purse.more("b", Decimal(7)).allowance == 7
    purse.lost("b")
    purse.settled("b", Decimal(9))  # more than it was allowed: attempts that it took along
    assert purse.more("c", Decimal(1)).reached


def test_near_the_limit_nobody_keeps_the_last_dollars():
    """The last request that fits is let go, also when others hold allowances they do not need."""
    purse = Purse(Decimal(10))
    assert purse.more("a", Decimal(1)).allowance == 5
    assert purse.more("b", Decimal(1)).allowance > 1
    assert purse.wanted_back
    short = purse.more("b", Decimal(6))
    assert not short.reached
    purse.told("a", gone=Decimal(1), unused=Decimal(4))
    purse.give_back("a", Decimal(4))
    assert purse.more("b", Decimal(6)).allowance >= 6


def test_what_is_not_used_is_wanted_back_while_somebody_found_too_little():
    """Also where more is left than allowances hold."""
    purse = Purse(Decimal("1.4"))
    assert purse.more("a", Decimal("0.5")).allowance == purse.free == Decimal("0.7")
    assert not purse.wanted_back
    assert not purse.more("b", Decimal(1)).reached
    assert purse.wanted_back
    purse.give_back("a", Decimal("0.7"))
    assert purse.more("b", Decimal(1)).allowance == 1
    purse.told("b", gone=Decimal(1), unused=Decimal(0))
    assert not purse.wanted_back


class Priced:
    """A fixed worst case."""

    def cost(self, usage):
        return Decimal(1)

    def worst_case(self, prompt_tokens, max_tokens, n=1):
        return Decimal(1)


class Pocket:
    """A worker's way to a purse, without a coordinator between them."""

    def __init__(self, purse: Purse, name: str) -> None:
        self._purse, self._name = purse, name

    async def more(self, need, gone, unused):
        self._purse.told(self._name, gone=gone, unused=unused)
        return self._purse.more(self._name, need)

    async def told(self, gone, unused):
        self._purse.told(self._name, gone=gone, unused=unused)
        return self._purse.wanted_back

    async def give_back(self, amount):
        return self._purse.give_back(self._name, amount)


async def reserved(money: SharedMoney, freed: asyncio.Event, key: str, worst: str) -> None:
    """Wait until so much is set aside."""
    while not money.reserve(key, Decimal(worst), model="m"):
        await freed.wait()
        freed.clear()


async def test_rests_of_allowances_are_put_together_for_whoever_needs_them():
    """Each has too little for a request, and both together enough for one; then it is over."""
    purse = Purse(Decimal("1.2"))
    holding, bought = [], []

    async def worker(name: str) -> None:
        freed = asyncio.Event()
        async with SharedMoney({}, Pocket(purse, name)) as money:
            money.on_freed = freed.set
            await reserved(money, freed, "less", "0.6")
            holding.append(name)
            while len(holding) < 2:
                await asyncio.sleep(0)
            money.cancel("less")
            await reserved(money, freed, "one", "1")
            money._guard.settle("one", Decimal(1))
            bought.append(name)
            await reserved(money, freed, "another", "1")

    async with asyncio.timeout(60):
        ended = await asyncio.gather(worker("a"), worker("b"), return_exceptions=True)
    assert all(isinstance(error, BudgetReachedError) for error in ended)
    assert len(bought) == 1


async def test_workers_spend_one_limit_and_stop_where_it_ends():
    """P12 with the guards of real workers: three of them buy what the limit holds, and no more."""
    purse, sent, bought = Purse(Decimal(100)), [], []

    async def worker(name: str, pause_s: float) -> None:
        freed = asyncio.Event()
        async with SharedMoney({"s": Priced()}, Pocket(purse, name)) as money:
            money.on_freed = freed.set
            for number in range(200):
                freed.clear()
                while not money.reserve(f"{name}{number}", Decimal(1), model="m"):
                    await freed.wait()
                    freed.clear()
                sent.append(name)
                await asyncio.sleep(pause_s)
                money._guard.settle(f"{name}{number}", Decimal(1))
                bought.append(1)

    ended = await asyncio.gather(
        worker("a", 0.0), worker("b", 0.002), worker("c", 0.02), return_exceptions=True
    )
    assert all(isinstance(error, BudgetReachedError) for error in ended)
    assert 95 <= len(bought) <= 100
    assert len(set(sent)) == 3


# ── shards ───────────────────────────────────────────────────────────────────────────────────────


@given(planned=st.integers(0, 500), size=st.integers(1, 60), seed=st.integers(0, 2**32))
def test_every_position_is_finished_once_whoever_dies(planned, size, seed):
    """Shards cover the plan exactly, also when workers are lost and others take over."""
    rng = random.Random(seed)
    board, finished, held = Board(planned, size), [], {"a": [], "b": []}
    while not board.done:
        name = rng.choice(["a", "b"])
        shard = board.take(name)
        if shard is not None:
            held[name].append(shard)
        if held[name] and rng.random() < 0.5:
            shard = held[name].pop()
            board.finished(name, shard)
            finished.append(shard)
        if rng.random() < 0.1:
            assert sorted(board.lost(name)) == sorted(held[name])
            held[name] = []
    assert sorted(p for s in finished for p in range(s.start, s.stop)) == list(range(planned))
    assert board.take("a") is None


def test_a_lost_shard_is_the_next_to_go():
    """What somebody had begun is finished first."""
    board = Board(100, 10)
    board.take("a")
    board.take("b")
    assert board.lost("a") == [Shard(0, 10)]
    assert board.take("b") == Shard(0, 10)
    with pytest.raises(ValueError, match="x not in list"):
        board.finished("b", Shard(50, 60))
