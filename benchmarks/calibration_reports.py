"""Whole reports: how often the headline tells a difference where none is."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from benchmarks.calibration_cells import FALSE, Case, Outcome
from evalharness.analysis import stats
from evalharness.analysis.comparison.all_axes import RunComparisons, compare_all_axes
from evalharness.analysis.data.frame import RunFrame
from evalharness.analysis.data.frame_builder import build_frame
from evalharness.columnar.record_store import RecordStore
from evalharness.schema import arrow_type

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_WORK = 66_000  # at most 303 reports a cell
TEMPERATURES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
_MODELS = tuple(f"model {number}" for number in range(20))


class Sweep(NamedTuple):
    """A run.

    Attributes:
        axes: values by axis; settings are all combinations.
        prompts: how many.
        repeats: of each prompt under each setting.
        clustered: whether four prompts form a cluster.
    """

    axes: dict[str, tuple[Any, ...]]
    prompts: int
    repeats: int = 2
    clustered: bool = False

    @property
    def settings(self) -> list[dict[str, Any]]:
        """The values of each setting."""
        rows: list[dict[str, Any]] = [{}]
        for axis, values in self.axes.items():
            rows = [{**row, axis: value} for row in rows for value in values]
        return rows


def simulate_run(rng: np.random.Generator, sweep: Sweep, gain: float = 0.0) -> RunFrame:
    """A run whose settings do not differ, but the last one by ``gain`` in its scores.

    Prompts differ in ability, outputs, seconds and tokens.
    """
    settings, prompts, repeats = len(sweep.settings), sweep.prompts, sweep.repeats
    shape = (settings, prompts, repeats)
    chance = np.broadcast_to(rng.beta(2.0, 1.0, (1, prompts, 1)), shape).copy()
    chance[-1] *= 1.0 - gain / (2.0 / 3.0)
    outputs = np.cumsum(rng.dirichlet([1.0, 0.4, 0.2], prompts), axis=1)
    output = (rng.random(shape)[..., None] > outputs[:, None, :-1]).sum(axis=-1)
    long = rng.standard_normal((1, prompts, 1))
    tokens = np.ceil(50 * np.exp(0.6 * long + 0.2 * rng.standard_normal(shape)))
    seconds = np.exp(0.4 * long + 0.4 * rng.standard_normal(shape))
    names = {"setting_id": "s", "prompt_id": "p", "text": "answer "}
    setting, prompt, repeat = np.indices(shape)
    texts = {"setting_id": setting, "prompt_id": prompt, "text": output}
    columns = {
        name: pa.array([f"{names[name]}{code}" for code in codes.ravel()], arrow_type("text"))
        for name, codes in texts.items()
    }
    columns |= {
        "status": pa.array(["ok"] * setting.size, arrow_type("text")),
        "repeat": pa.array(repeat.ravel(), arrow_type("int")),
        "score": pa.array((rng.random(shape) < chance).ravel().astype(float), arrow_type("float")),
        "latency_s": pa.array(seconds.ravel(), arrow_type("float")),
        "completion_tokens": pa.array(tokens.ravel().astype(int), arrow_type("int")),
    }
    return build_frame(
        RecordStore.of_table(pa.table(columns)),
        _prompt_table(sweep),
        _setting_table(sweep),
        cost_usd=1e-6 * (20.0 + 3.0 * tokens.ravel()),
    )


def _prompt_table(sweep: Sweep) -> pa.Table:
    clusters = [f"c{i // 4}" if sweep.clustered else None for i in range(sweep.prompts)]
    return pa.table(
        {
            "prompt_id": pa.array([f"p{i}" for i in range(sweep.prompts)]),
            "target_json": pa.array(['"x"'] * sweep.prompts),
            "cluster": pa.array(clusters, pa.string()),
        }
    )


def _setting_table(sweep: Sweep) -> pa.Table:
    rows: list[dict[str, Any]] = []
    for number, values in enumerate(sweep.settings):
        params = {key: value for key, value in values.items() if key != "model"}
        rows.append(
            {
                "setting_id": f"s{number}",
                "label": f"s{number}",
                "endpoint": "http://127.0.0.1:1",
                "provider": "one",
                "model": values.get("model", "one"),
                "system": None,
                "template": None,
                "params_json": msgspec.json.encode(params).decode(),
                "axes_json": "{}",
            }
        )
    return pa.Table.from_pylist(rows)


def tells_a_difference(report: RunComparisons) -> bool:
    """Whether the headline says that anything differs."""
    p = [row.p_headline for row in (*report.comparisons, *report.trends)]
    if any(value is not None and value < stats.ALPHA for value in p):
        return True
    leaders = (leader for leader in report.leaders.values() if leader is not None)
    return any(len(leader.group) <= len(leader.others) for leader in leaders)


def headline(rng: np.random.Generator, runs: int, *, sweep: Sweep, gain: float = 0.0) -> Outcome:
    """In how many reports the headline tells a difference."""
    hits = 0
    for _ in range(runs):
        report = compare_all_axes(simulate_run(rng, sweep, gain), list(sweep.axes))
        hits += tells_a_difference(report)
    return Outcome(hits, runs)


def report_cases() -> list[Case]:
    """Reports without a difference; the last row is for information."""
    two = {"model": _MODELS[:3], "top_p": (0.5, 1.0)}
    ordered = {"temperature": TEMPERATURES}
    rows = [
        ("20 models", Sweep({"model": _MODELS}, 12)),
        *(("3 models × 2 values", Sweep(two, prompts)) for prompts in (12, 30, 300)),
        ("6 temperatures", Sweep(ordered, 30)),
        ("6 temperatures, clusters of 4", Sweep(ordered, 48, clustered=True)),
    ]
    cases: list[Case] = []
    for name, sweep in rows:
        measure = partial(headline, sweep=sweep)
        cases.append(Case("reports", name, f"{sweep.prompts} prompts", measure, FALSE, _WORK))
    sweep = Sweep({"model": _MODELS[:3]}, 100, repeats=3)
    cases.append(
        Case("reports", "3 models, one 15 points worse", "100 prompts",
             partial(headline, sweep=sweep, gain=0.15), None, _WORK)
    )  # fmt: skip
    return cases
