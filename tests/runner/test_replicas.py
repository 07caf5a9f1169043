"""Which of several servers a request goes to."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from evalharness.records import ErrorKind, Outcome, Prompt, Reply, Setting, Status, Trial
from evalharness.runner.queue import Job
from evalharness.runner.replica_health import ReplicaHealth
from evalharness.runner.replicas import Affinity, Replicas, Routing
from evalharness.throttle.clock import Clock, SystemClock
from tests.throttle.manual_clock import ManualClock

GOOD = Reply(outcome=Outcome.DELIVERED, status=Status.OK)
BAD = Reply(outcome=Outcome.REJECTED, status=Status.ERROR)
REFUSED = Reply(outcome=Outcome.NOT_SENT, status=Status.ERROR, error_kind=ErrorKind.CONNECT)


class Server:
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()
        self.reply = GOOD
        self.requests: list[str] = []

    async def complete(
        self, body: bytes, client_request_id: str, *, prompt: Prompt | None = None,
        keep_chunk_times: bool = False,
    ) -> Reply:  # fmt: skip
        self.requests.append(client_request_id)
        await self.open.wait()
        return self.reply


def job(name: str, *, conversation: str | None = None, repeat: int = 0) -> Job:
    prompt = Prompt(prompt_id=name, messages=[], conversation=conversation)
    setting = Setting(
        setting_id="s", label="", provider="p", endpoint="e", model="m", params={}, system=None,
        template=None, axes={},
    )  # fmt: skip
    return Job(Trial(f"{name}-{repeat}", prompt, setting, repeat, 0), b"{}", 0)


def servers(
    count: int,
    routing: Routing = "round_robin",
    affinity: Affinity = "session",
    *,
    clock: Clock | None = None,
    say: Callable[[str], None] = print,
) -> tuple[list[Server], Replicas]:
    each = {f"http://s{n}": Server() for n in range(count)}
    health = ReplicaHealth("p", each, clock or SystemClock(), say)
    return list(each.values()), Replicas(each, routing, affinity, health)


async def send(replicas: Replicas, sent: Job) -> str | None:
    reply = await replicas.complete(sent, sent.trial.trial_id, keep_chunk_times=False)
    return reply.replica


@given(count=st.integers(2, 7), requests=st.integers(0, 60))
def test_in_turn_each_gets_as_many(count: int, requests: int) -> None:
    async def run() -> None:
        each, replicas = servers(count)
        await asyncio.gather(*(send(replicas, job(str(n))) for n in range(requests)))
        sizes = [len(server.requests) for server in each]
        assert max(sizes) - min(sizes) <= 1
        assert sum(sizes) == requests

    asyncio.run(run())


def test_the_one_with_fewest_in_flight() -> None:
    async def run() -> None:
        (slow, fast), replicas = servers(2, "least_in_flight")
        slow.open.clear()
        held = [asyncio.create_task(send(replicas, job(f"h{n}"))) for n in range(2)]
        await asyncio.sleep(0)
        assert (len(slow.requests), len(fast.requests)) == (1, 1)
        for n in range(10):  # what is fast is free again at once
            assert await send(replicas, job(str(n))) == "http://s1"
        slow.open.set()
        assert Counter(await asyncio.gather(*held)) == {"http://s0": 1, "http://s1": 1}

    asyncio.run(run())


@given(
    turns=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2)), max_size=40),
    count=st.integers(2, 4),
)
def test_turns_of_a_session_stay_together(turns: list[tuple[int, int]], count: int) -> None:
    async def run() -> None:
        _, replicas = servers(count)
        where: dict[tuple[int, int], set[str | None]] = {}
        for number, (conversation, repeat) in enumerate(turns):
            turn = job(f"t{number}", conversation=f"c{conversation}", repeat=repeat)
            where.setdefault((conversation, repeat), set()).add(await send(replicas, turn))
        assert all(len(addresses) == 1 for addresses in where.values())

    asyncio.run(run())


def test_without_affinity_turns_go_in_turn() -> None:
    async def run() -> None:
        _, replicas = servers(2, affinity="none")
        turns = [job(f"t{n}", conversation="c") for n in range(4)]
        found = [await send(replicas, turn) for turn in turns]
        assert found == ["http://s0", "http://s1"] * 2

    asyncio.run(run())


def test_a_retry_and_the_rest_of_its_session_go_elsewhere() -> None:
    async def run() -> None:
        (first, second), replicas = servers(2)
        first.reply = BAD
        turn = job("t1", conversation="c")
        assert await send(replicas, turn) == "http://s0"
        assert await send(replicas, turn) == "http://s1"
        assert await send(replicas, job("t2", conversation="c")) == "http://s1"
        assert (len(first.requests), len(second.requests)) == (1, 2)

    asyncio.run(run())


def test_repeats_of_a_prompt_stay_together() -> None:
    async def run() -> None:
        _, replicas = servers(2, affinity="prompt")
        for repeat in range(3):
            assert await send(replicas, job("a", repeat=repeat)) == "http://s0"
            assert await send(replicas, job("b", repeat=repeat)) == "http://s1"
        # A conversation is one prompt, whatever its turn.
        turns = [job(f"t{n}", conversation="c", repeat=n) for n in range(3)]
        assert {await send(replicas, turn) for turn in turns} == {"http://s0"}

    asyncio.run(run())


def test_a_server_that_fails_at_once_does_not_draw_all() -> None:
    async def run() -> None:
        clock, said = ManualClock(), []
        (down, up), replicas = servers(2, "least_in_flight", clock=clock, say=said.append)
        down.reply = REFUSED
        up.open.clear()
        held = [asyncio.create_task(send(replicas, job(f"h{n}"))) for n in range(8)]
        await asyncio.sleep(0)
        for n in range(20):
            held.append(asyncio.create_task(send(replicas, job(str(n)))))
            await asyncio.sleep(0)
        tried = len(down.requests)
        assert tried < 8  # those of the first moment: what failed was not known yet
        await clock.advance(ReplicaHealth.PASS_OVER_S)
        held.append(asyncio.create_task(send(replicas, job("later"))))
        await asyncio.sleep(0)
        assert len(down.requests) == tried + 1
        up.open.set()
        await asyncio.gather(*held)

    asyncio.run(run())


def test_that_a_server_stopped_answering_is_said_once() -> None:
    async def run() -> None:
        said: list[str] = []
        (first, _), replicas = servers(2, say=said.append)
        first.reply = REFUSED
        for n in range(20):
            await send(replicas, job(str(n)))
        assert len(said) == 1
        assert "http://s0 failed 3 times in a row" in said[0]
        first.reply = GOOD
        for n in range(4):
            await send(replicas, job(f"again{n}"))
        assert said[1:] == ["p: http://s0 answers again"]

    asyncio.run(run())
