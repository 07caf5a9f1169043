"""Several workers and one server of limits in virtual time: limits hold for the whole."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from evalharness.config.models import LimitsConfig, Profile
from evalharness.distributed.limits.budget_client import SharedBudget
from evalharness.distributed.limits.budget_server import BudgetServer
from evalharness.distributed.limits.limiter import SharedLimiter
from evalharness.distributed.limits.slot_messages import Broadcast
from evalharness.distributed.limits.slot_server import SlotRequest, SlotResponse, SlotServer
from evalharness.errors import BudgetReachedError
from evalharness.records import ErrorKind
from tests.throttle.manual_clock import ManualClock
from tests.throttle.replies import delivered, failed
from tests.throttle.simulation import Simulation, Trial
from tests.throttle.windows import most_in_window


class FakeCoordinator:
    """A slot server behind a message delay; it counts messages and held slots."""

    def __init__(self, limits: LimitsConfig, clock: ManualClock, delay_s: float = 0.002) -> None:
        self.slots = SlotServer(limits, Profile(), clock.monotonic())
        self.limiters: dict[str, SharedLimiter] = {}
        self.messages = 0
        self.most_held = 0
        self._clock = clock
        self._delay_s = delay_s

    def at(self, name: str) -> FakeSlotClient:
        return FakeSlotClient(self, name)

    async def request_slots(
        self, name: str, request: SlotRequest, broadcasts: Sequence[Broadcast]
    ) -> SlotResponse:
        await self._clock.sleep_until(self._clock.monotonic() + self._delay_s)
        self.messages += 1
        now = self._clock.monotonic()
        for broadcast in broadcasts:
            if broadcast.pause_s is not None:
                self.slots.pause.begin(now, broadcast.pause_s, broadcast.reason)
            if broadcast.serving is not None:
                self.slots.outage.end() if broadcast.serving else self.slots.outage.begin(now)
            for other, limiter in self.limiters.items():
                if other != name:
                    limiter.on_broadcast(broadcast)
        response = self.slots.request_slots(name, request, now)
        self.most_held = max(self.most_held, self.slots.slots_held)
        return response


class FakeSlotClient:
    """How one worker reaches the fake coordinator."""

    def __init__(self, coordinator: FakeCoordinator, name: str) -> None:
        self._coordinator, self._name = coordinator, name

    async def request_slots(
        self, request: SlotRequest, broadcasts: Sequence[Broadcast]
    ) -> SlotResponse:
        return await self._coordinator.request_slots(self._name, request, broadcasts)


def simulate(server, shares, tasks=8, delay_s=0.002, **limits):
    """Run each worker's trials; (all that was sent in order of time, the coordinator, simulations)."""

    async def scenario():
        clock = ManualClock()
        whole = LimitsConfig(**limits)
        coordinator = FakeCoordinator(whole, clock, delay_s)
        done = []

        async def worker(name: str, trials: list[Trial]) -> None:
            limiter = SharedLimiter(
                "test", whole, Profile(), clock, len(name),
                client=coordinator.at(name), needs_grant=coordinator.slots.needs_grant,
            )  # fmt: skip
            coordinator.limiters[name] = limiter
            simulation = Simulation(limiter, clock, server, trials)
            done.append(simulation)
            async with limiter:
                await simulation.run(tasks)
            assert limiter.in_flight == 0

        work = [worker(f"w{n}", trials) for n, trials in enumerate(shares)]
        await clock.run(asyncio.gather(*work))
        assert coordinator.slots.slots_held == 0
        sent = sorted((s for simulation in done for s in simulation.sent), key=lambda s: s.at)
        return sent, coordinator, done

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
    sent, coordinator, _ = simulate(lambda *_: delivered(), shares, tasks=20, concurrency=20)
    assert coordinator.most_held <= 20
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
    sent, coordinator, _ = simulate(lambda *_: delivered(), shares, tasks=8, concurrency=8)
    assert len(sent) == 2_000
    assert coordinator.messages < 100


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32), limited=st.booleans())
def test_a_pause_seen_by_one_holds_for_all(seed, limited):
    """P9 across workers: after a Retry-After nobody sends before it is over."""
    rng = random.Random(seed)
    paused_at: list[float] = []

    def server(now: float, trial: Trial):
        if not paused_at and now > 3.0:
            paused_at.append(now)
            return failed(ErrorKind.RATE_LIMITED, retry_after="20")
        return delivered()

    shares = [[Trial(latency_s=rng.choice([0.2, 1.0])) for _ in range(120)] for _ in range(3)]
    limits = {"rpm": 6_000} if limited else {}
    sent, _, _ = simulate(server, shares, tasks=4, concurrency=12, **limits)
    # A message is under way for 2 ms, and the next one to say it may be 12 ms off.
    assert not [s.at for s in sent if paused_at[0] + 0.02 < s.at < paused_at[0] + 20.0]
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
    server = SlotServer(LimitsConfig(concurrency=4, tpm=1_000), Profile(), 0.0)
    assert (
        len(server.request_slots("a", SlotRequest(tokens=[60] * 4), 100.0).grants) == 2
    )  # paced: 5 s ahead
    assert server.request_slots("a", SlotRequest(tokens=[10] * 3), 104.0).slots == 2
    assert server.request_slots("b", SlotRequest(tokens=[10]), 104.0).reason == "a free slot"
    server.remove_worker("a", 105.0)
    assert server.slots_held == 0
    assert server.request_slots("b", SlotRequest(tokens=[900]), 120.0).reason == "tokens per minute"
    assert len(server.request_slots("b", SlotRequest(tokens=[10]), 120.0).grants) == 1


# ── budget ───────────────────────────────────────────────────────────────────────────────────────


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_allowances_never_exceed_the_limit(data):
    """P12 across workers, whatever the order of asking, spending and giving back."""
    limit = Decimal(data.draw(st.integers(1, 500)))
    before = Decimal(data.draw(st.integers(0, 50)))
    server = BudgetServer(limit, committed_usd=before)
    names = ["a", "b", "c"]
    allowance = dict.fromkeys(names, Decimal(0))
    committed = dict.fromkeys(names, Decimal(0))
    for _ in range(data.draw(st.integers(1, 60))):
        name = data.draw(st.sampled_from(names))
        unused = allowance[name] - committed[name]
        what = data.draw(st.sampled_from(["more", "spend", "back", "die"]))
        if what == "more":
            need = Decimal(data.draw(st.integers(1, 30)))
            server.report(name, committed_usd=committed[name], available_usd=unused)
            raised = server.request(name, need)
            assert raised.limit_usd >= allowance[name]
            allowance[name] = raised.limit_usd
            if raised.exhausted:
                everything = (
                    server.unallocated_usd + sum(allowance.values()) - sum(committed.values())
                )
                assert need > everything
        elif what == "spend" and unused:
            committed[name] += min(unused, Decimal(data.draw(st.integers(0, 30))))
            server.report(
                name, committed_usd=committed[name], available_usd=allowance[name] - committed[name]
            )
        elif what == "back" and unused:
            allowance[name] = server.release(name, unused)
        elif what == "die":
            server.write_off(name)
            if data.draw(st.booleans()):
                server.settle(name, committed[name])
                before += committed[name]
            else:
                before += allowance[name]
            del allowance[name], committed[name]
            free = limit - before - sum(allowance.values())
            assert abs(server.unallocated_usd - free) < Decimal("1e-20")  # 28 digits are kept
            names[names.index(name)] = name = f"{name}'"  # no name is used twice
            allowance[name] = committed[name] = Decimal(0)
        if limit >= before:
            assert before + sum(allowance.values()) <= limit


def test_what_a_dead_worker_did_not_spend_is_free_again():
    """Until that is known nobody is told that the limit is reached for good."""
    server = BudgetServer(Decimal(10))
    assert server.request("a", Decimal(6)).limit_usd >= 6
    server.report("a", committed_usd=Decimal(2), available_usd=Decimal(4))
    server.write_off("a")
    assert not server.request("b", Decimal(7)).exhausted
    server.settle("a", Decimal(3))
    assert server.unallocated_usd == 7
    assert server.request("b", Decimal(7)).limit_usd == 7
    server.write_off("b")
    server.settle("b", Decimal(9))  # more than it was allowed: attempts that it took along
    assert server.request("c", Decimal(1)).exhausted


def test_near_the_limit_nobody_keeps_the_last_dollars():
    """The last request that fits is let go, also when others hold allowances they do not need."""
    server = BudgetServer(Decimal(10))
    assert server.request("a", Decimal(1)).limit_usd == 5
    assert server.request("b", Decimal(1)).limit_usd > 1
    assert server.wants_release
    short = server.request("b", Decimal(6))
    assert not short.exhausted
    server.report("a", committed_usd=Decimal(1), available_usd=Decimal(4))
    server.release("a", Decimal(4))
    assert server.request("b", Decimal(6)).limit_usd >= 6


def test_what_is_not_used_is_wanted_back_while_somebody_found_too_little():
    """Also where more is left than allowances hold."""
    server = BudgetServer(Decimal("1.4"))
    assert server.request("a", Decimal("0.5")).limit_usd == server.unallocated_usd == Decimal("0.7")
    assert not server.wants_release
    assert not server.request("b", Decimal(1)).exhausted
    assert server.wants_release
    server.release("a", Decimal("0.7"))
    assert server.request("b", Decimal(1)).limit_usd == 1
    server.report("b", committed_usd=Decimal(1), available_usd=Decimal(0))
    assert not server.wants_release


class Priced:
    """A fixed worst case."""

    def highest_cost(self, usage):
        return Decimal(1)

    def worst_case(self, prompt_tokens, max_tokens, n=1):
        return Decimal(1)


class FakeBudgetClient:
    """How a worker reaches a budget server, without a coordinator between them."""

    def __init__(self, server: BudgetServer, name: str) -> None:
        self._server, self._name = server, name

    async def request_budget(self, need, committed_usd, available_usd):
        self._server.report(self._name, committed_usd=committed_usd, available_usd=available_usd)
        return self._server.request(self._name, need)

    async def report_budget(self, committed_usd, available_usd):
        self._server.report(self._name, committed_usd=committed_usd, available_usd=available_usd)
        return self._server.wants_release

    async def release_budget(self, amount):
        return self._server.release(self._name, amount)


async def reserved(budget: SharedBudget, freed: asyncio.Event, key: str, worst: str) -> None:
    """Wait until so much is set aside."""
    while not budget.reserve(key, Decimal(worst), model="m"):
        await freed.wait()
        freed.clear()


async def test_rests_of_allowances_are_put_together_for_whoever_needs_them():
    """Each has too little for a request, and both together enough for one; then it is over."""
    server = BudgetServer(Decimal("1.2"))
    holding, bought = [], []

    async def worker(name: str) -> None:
        freed = asyncio.Event()
        async with SharedBudget({}, FakeBudgetClient(server, name)) as budget:
            budget.on_freed = freed.set
            await reserved(budget, freed, "less", "0.6")
            holding.append(name)
            while len(holding) < 2:
                await asyncio.sleep(0)
            budget.cancel("less")
            await reserved(budget, freed, "one", "1")
            budget._budget.settle("one", Decimal(1))
            bought.append(name)
            await reserved(budget, freed, "another", "1")

    async with asyncio.timeout(60):
        ended = await asyncio.gather(worker("a"), worker("b"), return_exceptions=True)
    assert all(isinstance(error, BudgetReachedError) for error in ended)
    assert len(bought) == 1


async def test_workers_spend_one_limit_and_stop_where_it_ends():
    """P12 with the guards of real workers: three of them buy what the limit holds, and no more."""
    server, sent, bought = BudgetServer(Decimal(100)), [], []

    async def worker(name: str, pause_s: float) -> None:
        freed = asyncio.Event()
        async with SharedBudget({"s": Priced()}, FakeBudgetClient(server, name)) as budget:
            budget.on_freed = freed.set
            for number in range(200):
                freed.clear()
                while not budget.reserve(f"{name}{number}", Decimal(1), model="m"):
                    await freed.wait()
                    freed.clear()
                sent.append(name)
                await asyncio.sleep(pause_s)
                budget._budget.settle(f"{name}{number}", Decimal(1))
                bought.append(1)

    ended = await asyncio.gather(
        worker("a", 0.0), worker("b", 0.002), worker("c", 0.02), return_exceptions=True
    )
    assert all(isinstance(error, BudgetReachedError) for error in ended)
    assert 95 <= len(bought) <= 100
    assert len(set(sent)) == 3
