"""Are verdicts on parameters, and warnings of contrasts, false in at most 5 % of runs? Simulations.

    python -m benchmarks.calibration_verdicts [--quick] [--runs 400] [--seed 1]

Prints Markdown: for each case the share of runs with a false verdict (at most 5 % promised), with
the right one (the rest is "undetectable"), and, for seeds, of runs whose interval holds the true
share of requests that follow the seed (93 % promised). Exits with 1 where a promise is broken by
more than three binomial standard errors. The figures in docs/statistics.md come from here; a quick
form is a test.

A prompt has up to 20 outputs with chances from a Dirichlet distribution, of which a third of the
prompts hardly vary (concentration .02), a third vary somewhat (.1) and a third widely (1). Seeds
and temperatures have two values each; repeats are those of one seed.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from evalharness.analysis.agreement.breakdowns import breakdowns
from evalharness.analysis.data.frame import RunFrame
from evalharness.analysis.data.frame_builder import build_frame
from evalharness.analysis.parameters.effect import FollowedShare, ParameterEffect
from evalharness.analysis.parameters.effects import spread_effect
from evalharness.analysis.parameters.seeds import seed_effect
from evalharness.columnar.record_store import RecordStore
from evalharness.report.sections.breakdowns.circumstances import is_notable
from evalharness.schema import arrow_type

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

OUTPUTS = 20
CONCENTRATIONS = (0.02, 0.1, 1.0)
SEEDS = (1, 2)
TEMPERATURES = (0.5, 1.5)
PROMPTS = (6, 12, 30)
REPEATS = (2, 5)
DRAWS = 999  # shuffles and sign patterns of a run: ten times fewer than in a report
FALSE = 0.05  # promised: at most
HELD = 0.93  # promised: at least
ERRORS = 3  # binomial standard errors that a promise may be missed by


class Outcome(NamedTuple):
    """What became of one simulated run; ``held`` is None where there is no interval to hold."""

    wrong: bool
    right: bool
    held: bool | None = None


Simulation = Callable[[np.random.Generator, int, int], Outcome]


class Tally(NamedTuple):
    """What became of all runs of a case with so many prompts and repeats."""

    case: str
    prompts: int
    repeats: int
    outcomes: list[Outcome]

    def rates(self) -> tuple[float, float, float | None]:
        """Shares of runs with a false and with the right verdict, and of intervals that hold."""
        held = [outcome.held for outcome in self.outcomes if outcome.held is not None]
        return (
            float(np.mean([outcome.wrong for outcome in self.outcomes])),
            float(np.mean([outcome.right for outcome in self.outcomes])),
            float(np.mean(held)) if held else None,
        )

    def broken(self) -> list[str]:
        """Promises that do not hold, in words."""
        wrong, _, held = self.rates()
        where = f"{self.case}, {self.prompts} prompts × {self.repeats} repeats"
        known = sum(outcome.held is not None for outcome in self.outcomes)
        found: list[str] = []
        if wrong > FALSE + ERRORS * standard_error(FALSE, len(self.outcomes)):
            found.append(f"{where}: {100 * wrong:.1f} % false verdicts")
        if held is not None and held < HELD - ERRORS * standard_error(HELD, known):
            found.append(f"{where}: {100 * held:.1f} % of intervals hold the true share")
        return found


def standard_error(share: float, runs: int) -> float:
    """Binomial standard error of a share over ``runs`` runs."""
    return math.sqrt(share * (1.0 - share) / runs)


# --- data ----------------------------------------------------------------------------------------


def chances(rng: np.random.Generator, prompts: int) -> Floats:
    """The chance of each output of each prompt: prompts × outputs."""
    concentration = rng.choice(CONCENTRATIONS, (prompts, 1))
    weights = rng.gamma(np.repeat(concentration, OUTPUTS, axis=1)) + 1e-300
    return weights / weights.sum(axis=1, keepdims=True)


def drawn(chance: Floats, uniform: Floats) -> Ints:
    """Outputs drawn from uniform numbers, whose first axis is the prompt."""
    limits = np.cumsum(chance, axis=1)[:, :-1]
    limits = limits.reshape(len(chance), *(1,) * (uniform.ndim - 1), OUTPUTS - 1)
    return (uniform[..., None] > limits).sum(axis=-1)


def followed(rng: np.random.Generator, uniform: Floats, share: float, of_seed: Floats) -> Floats:
    """Uniform numbers of requests, of which a share takes the number of its seed instead."""
    return np.where(rng.random(uniform.shape) < share, of_seed, uniform)


def frame(settings: list[dict[str, Any]], output: Ints, **columns: Ints) -> RunFrame:
    """A run of some settings: ``output`` and further columns are settings × prompts × repeats."""
    count, prompts, _ = output.shape
    setting, prompt, repeat = (axis.ravel() for axis in np.indices(output.shape))
    setting_ids = np.array([f"s{index}" for index in range(count)])
    prompt_ids = np.array([f"p{index}" for index in range(prompts)])
    records = pa.table(
        {
            "setting_id": setting_ids[setting],
            "prompt_id": prompt_ids[prompt],
            "repeat": pa.array(repeat, arrow_type("int")),
            "status": np.full(output.size, "ok"),
            "text": output.ravel().astype(str),
            **{name: values.ravel().astype(str) for name, values in columns.items()},
        }
    )
    rows = [
        {"setting_id": name, "label": name, "params_json": json.dumps(params), "axes_json": "{}"}
        for name, params in zip(setting_ids.tolist(), settings, strict=True)
    ]
    nothing = pa.nulls(prompts, pa.string())
    named = pa.table({"prompt_id": prompt_ids, "target_json": nothing, "cluster": nothing})
    return build_frame(RecordStore.of_table(records), named, pa.Table.from_pylist(rows))


# --- cases ---------------------------------------------------------------------------------------


def seed_case(
    rng: np.random.Generator,
    prompts: int,
    repeats: int,
    *,
    share: float,
    wrong: tuple[str, ...],
    right: str,
) -> Outcome:
    """A seed that a share of the requests follows."""
    uniform = rng.random((prompts, len(SEEDS), repeats))
    uniform = followed(rng, uniform, share, rng.random((prompts, len(SEEDS), 1)))
    output = drawn(chances(rng, prompts), uniform).swapaxes(0, 1)
    run = frame([{"temperature": 1.0, "seed": seed} for seed in SEEDS], output)
    effect = seed_effect(run, draws=DRAWS)
    assert effect is not None
    estimate = effect.evidence.followed
    held = None
    if isinstance(estimate, FollowedShare) and estimate.ci95 is not None:
        held = estimate.ci95[0] <= share <= estimate.ci95[1]
    return Outcome(effect.verdict in wrong, effect.verdict == right, held)


def temperature_case(
    rng: np.random.Generator, prompts: int, repeats: int, *, share: float, honoured: bool
) -> Outcome:
    """A temperature that does nothing, or one that makes outputs three times as sharp when low."""
    chance = chances(rng, prompts)
    sharp = chance**3 / (chance**3).sum(axis=1, keepdims=True)
    of_seed = rng.random((prompts, len(SEEDS), 1))
    blocks: list[Ints] = []
    for low in (True, False):
        uniform = followed(rng, rng.random((prompts, len(SEEDS), repeats)), share, of_seed)
        blocks.append(drawn(sharp if honoured and low else chance, uniform).swapaxes(0, 1))
    settings = [{"temperature": t, "seed": seed} for t in TEMPERATURES for seed in SEEDS]
    effect = spread_effect(frame(settings, np.concatenate(blocks)), "temperature", draws=DRAWS)
    assert effect is not None
    return _outcome(effect, honoured)


def _outcome(effect: ParameterEffect, honoured: bool) -> Outcome:
    wrong = ("ignored", "reversed") if honoured else ("honoured", "reversed")
    right = "honoured" if honoured else "ignored"
    return Outcome(effect.verdict in wrong, effect.verdict == right)


def contrast_case(
    rng: np.random.Generator, prompts: int, repeats: int, *, by: str, other: float
) -> Outcome:
    """Fingerprints or served models that do nothing: a share of the requests has the other one."""
    count = repeats * len(SEEDS)
    output = drawn(chances(rng, prompts), rng.random((prompts, count)))[None]
    value = (rng.random(output.shape) < other).astype(np.int64)
    [part] = breakdowns(frame([{"temperature": 1.0}], output, **{by: value}))
    warned = any(is_notable(contrast) for contrast in part.contrasts if contrast.by == by)
    return Outcome(warned, not warned)


CASES: dict[str, Simulation] = {
    "seed does nothing": partial(
        seed_case, share=0.0, wrong=("honoured", "partly honoured"), right="ignored"
    ),
    "seed followed by 25 %": partial(
        seed_case, share=0.25, wrong=("honoured",), right="partly honoured"
    ),
    "seed followed by half": partial(
        seed_case, share=0.5, wrong=("honoured", "ignored"), right="partly honoured"
    ),
    "seed followed by 75 %": partial(
        seed_case, share=0.75, wrong=("ignored",), right="partly honoured"
    ),
    "seed followed by 90 %": partial(
        seed_case, share=0.9, wrong=("ignored",), right="partly honoured"
    ),
    "seed followed by all": partial(seed_case, share=1.0, wrong=("ignored",), right="honoured"),
    "temperature does nothing": partial(temperature_case, share=0.0, honoured=False),
    "temperature does nothing, half follow the seed": partial(
        temperature_case, share=0.5, honoured=False
    ),
    "temperature does nothing, 95 % follow the seed": partial(
        temperature_case, share=0.95, honoured=False
    ),
    "temperature does nothing, all follow the seed": partial(
        temperature_case, share=1.0, honoured=False
    ),
    "temperature honoured": partial(temperature_case, share=0.0, honoured=True),
    "temperature honoured, all follow the seed": partial(
        temperature_case, share=1.0, honoured=True
    ),
    "fingerprint does nothing": partial(contrast_case, by="system_fingerprint", other=0.5),
    "served model does nothing": partial(contrast_case, by="response_model", other=0.2),
}


# --- all of it -----------------------------------------------------------------------------------


def tally(case: str, prompts: int, repeats: int, *, runs: int, seed: int) -> Tally:
    """Simulate a case; the same seed gives the same outcomes, whatever else is simulated."""
    rng = np.random.default_rng([seed, list(CASES).index(case), prompts, repeats])
    simulation = CASES[case]
    return Tally(case, prompts, repeats, [simulation(rng, prompts, repeats) for _ in range(runs)])


def tallies(runs: int, seed: int, prompts: tuple[int, ...] = PROMPTS) -> list[Tally]:
    """All cases with all numbers of prompts and repeats, on all processors."""
    sizes = [(case, n, k) for case in CASES for n in prompts for k in REPEATS]
    with ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        waiting = [pool.submit(tally, *size, runs=runs, seed=seed) for size in sizes]
        return [future.result() for future in waiting]


def markdown(rows: list[Tally]) -> str:
    """A line a case and number of prompts; the two numbers of repeats stand in a cell."""
    lines = [
        f"| per cent, at {' / '.join(map(str, REPEATS))} repeats | prompts | false verdicts "
        "(≤ 5) | right verdict | interval holds the share (≥ 93) |",
        "|---|---|---|---|---|",
    ]
    groups: dict[tuple[str, int], list[Tally]] = {}
    for row in rows:
        groups.setdefault((row.case, row.prompts), []).append(row)
    for (case, prompts), group in groups.items():
        columns = zip(*(row.rates() for row in group), strict=True)
        cells = [
            " / ".join("–" if rate is None else f"{100 * rate:.1f}" for rate in column)
            for column in columns
        ]
        lines.append(f"| {case} | {prompts} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> int:
    """Print the table; 1 where a promise is broken."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="40 runs of 6 and 12 prompts")
    parser.add_argument("--runs", type=int, default=None, help="simulated runs a figure")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    runs = options.runs or (40 if options.quick else 400)
    rows = tallies(runs, options.seed, PROMPTS[:2] if options.quick else PROMPTS)
    print(
        f"{runs} simulated runs a figure; binomial standard error "
        f"{100 * standard_error(FALSE, runs):.1f} points at 5 %\n\n{markdown(rows)}"
    )
    broken = [promise for row in rows for promise in row.broken()]
    for promise in broken:
        print(f"broken: {promise}", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
