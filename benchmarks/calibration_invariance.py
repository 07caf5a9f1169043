"""Batch invariance: false alarms of a server that its load does not change, and power.

Each prompt has outputs alone in blocks and outputs under each of several loads. An alarm is any
load of a run whose adjusted p is below .05, as the report's verdict ``parts``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from benchmarks.calibration_cells import FALSE, Case, Outcome, Promise
from evalharness.analysis import stats
from evalharness.analysis.data.encode import Ints
from evalharness.analysis.invariance.block_shuffle import BlockOutputs, block_shuffle_p
from evalharness.process.text import plural

PROMPTS = (6, 12, 48, 200)
LOADS = 4
_DRAWS = 999
_OTHERS = 5  # other outputs that noise may give

#: Makes the outputs of prompts × (blocks alone, then loads) × repeats.
Server = Callable[[np.random.Generator, int, int, int], Ints]


def _noisy(
    rng: np.random.Generator, prompts: int, parts: int, repeats: int, *, rate: float
) -> Ints:
    """A server that gives another output with this chance, whatever its load."""
    shape = (prompts, parts, repeats)
    return np.where(rng.random(shape) < rate, rng.integers(1, 1 + _OTHERS, shape), 0)


def _mixed(rng: np.random.Generator, prompts: int, parts: int, repeats: int) -> Ints:
    """A server on which some prompts are never stable and others always."""
    rate = rng.beta(0.2, 0.8, (prompts, 1, 1))
    shape = (prompts, parts, repeats)
    return np.where(rng.random(shape) < rate, rng.integers(1, 1 + _OTHERS, shape), 0)


def _changes(rng: np.random.Generator, prompts: int, parts: int, repeats: int) -> Ints:
    """A server that is replaced once, at any moment, and answers everything otherwise then.

    Parts are in the order of the run: the first block alone, the loads, the last block alone.
    """
    moment = int(rng.integers(1, parts))
    order = np.r_[0, parts - 1, np.arange(1, parts - 1)]  # outputs are stored alone first
    changed = (order >= moment).astype(np.int64)
    return np.broadcast_to(changed[None, :, None], (prompts, parts, repeats)).copy()


def _depends(
    rng: np.random.Generator, prompts: int, parts: int, repeats: int, *, rate: float
) -> Ints:
    """A server that gives another output with this chance under every load, and never alone."""
    given = _noisy(rng, prompts, parts, repeats, rate=rate)
    given[:, : parts - LOADS] = 0
    return given


SERVERS: dict[str, Server] = {
    "stable": partial(_noisy, rate=0.0),
    "2 % noise": partial(_noisy, rate=0.02),
    "30 % noise": partial(_noisy, rate=0.3),
    "stable and unstable prompts": _mixed,
    "replaced once during the run": _changes,
}


def invariance_alarms(
    rng: np.random.Generator, runs: int, *, server: Server, prompts: int, blocks: int, repeats: int
) -> Outcome:
    """How often a run shows any load whose texts part more than alone.

    Args:
        rng: the source of the data.
        runs: how many.
        server: what gives the outputs.
        prompts: of each run.
        blocks: alone.
        repeats: of each prompt in each block and load.
    """
    alarms = 0
    for _ in range(runs):
        given = server(rng, prompts, blocks + LOADS, repeats)
        p = [_load_p(given, blocks, blocks + load) for load in range(LOADS)]
        alarms += bool((stats.holm(np.array(p))[0] < stats.ALPHA).any())
    return Outcome(alarms, runs)


def _load_p(given: Ints, blocks: int, column: int) -> float:
    some = given[:, [*range(blocks), column]]
    prompts, parts, repeats = some.shape
    p = block_shuffle_p(
        BlockOutputs(
            prompt=np.repeat(np.arange(prompts), parts * repeats),
            code=some.ravel(),
            block=np.tile(np.repeat(np.arange(parts), repeats), prompts),
            prompts=prompts,
            blocks=blocks,
        ),
        draws=_DRAWS,
    )
    assert p is not None
    return p


def invariance_cases() -> list[Case]:
    """Servers that their load does not change, then one that it does."""
    cases: list[Case] = []
    for name, server in SERVERS.items():
        for blocks, repeats in ((2, 1), (2, 2), (1, 3)):
            if server is _changes and blocks == 1:
                continue  # one block cannot tell a change from a load
            row = f"{name}, {plural(blocks, 'block')} alone of {repeats}"
            cases += _cases(row, server, blocks, repeats, FALSE)
    cases += _cases(
        "5 % of texts part under load, 2 blocks of 2", partial(_depends, rate=0.05), 2, 2, None
    )
    return cases


def _cases(
    row: str, server: Server, blocks: int, repeats: int, promise: Promise | None
) -> list[Case]:
    measures = [
        partial(invariance_alarms, server=server, prompts=n, blocks=blocks, repeats=repeats)
        for n in PROMPTS
    ]
    return [
        Case("invariance", row, f"{n} prompts", measure, promise, n * (blocks + 1) * repeats * 400)
        for n, measure in zip(PROMPTS, measures, strict=True)
    ]
