"""Whether runs are of one plan, so that they can be reported as one.

Docs/over-time.md says what that means; what differs is said in one sentence.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np

from evalharness.pricing.cost_columns import cost_columns
from evalharness.report.build.open_run import open_run
from evalharness.report.build.scoring import ReportOverrides, read_price_book
from evalharness.scoring import parse_scoring
from evalharness.scoring.scorers.judge import JudgeScorer
from evalharness.store.folder.run import Run

#: What of a prompt shapes its requests and its scores; its tags and source do not.
_PROMPT = ("prompt_id", "content_hash", "target_json", "cluster", "scoring_json")


def why_not_one_plan(runs: Sequence[Run], overrides: ReportOverrides) -> str | None:
    """What keeps runs from being reported as one, in one sentence; None where nothing does.

    Args:
        runs: two or more, the newest last.
        overrides: of scoring, answers and prices.

    Raises:
        ConfigError: a configuration or a price table cannot be read.
        StorageError: a file is damaged.
    """
    for run in runs:
        if _is_benchmark(run):
            return f"{run.name} is a benchmark, whose load points are figures of their own"
        if _is_judged(run, overrides):
            return f"a judge scores {run.name}, and its grades are of that run alone"
    parts: list[tuple[str, Callable[[Run], Hashable]]] = [
        ("other settings", _settings),
        ("other prompts, targets or clusters", _prompts),
    ]
    if overrides.scoring is None:
        parts.append(("other scorers", lambda run: _config_text(run, "scoring")))
    if overrides.answer is None:
        parts.append(("another extraction of answers", lambda run: _config_text(run, "answer")))
    for difference, part in parts:
        values = [part(run) for run in runs]
        for run, value in zip(runs[1:], values[1:], strict=True):
            if value != values[0]:
                return f"{run.name} has {difference} than {runs[0].name}"
    return _unlike_prices(runs, overrides)


def _is_benchmark(run: Run) -> bool:
    loads = run.table("settings", ["load_json"])["load_json"]
    return loads.null_count < len(loads)


def _is_judged(run: Run, overrides: ReportOverrides) -> bool:
    config = next(run.configs())
    scoring = config.scoring if overrides.scoring is None else overrides.scoring
    if any(isinstance(scorer, JudgeScorer) for scorer in parse_scoring(scoring)):
        return True
    checks = run.table("prompts", ["scoring_json"])["scoring_json"].to_pylist()
    return any(text is not None and '"judge"' in text for text in checks)


def _settings(run: Run) -> Hashable:
    table = run.table("settings", ["setting_id", "in_current_plan"])
    return frozenset(table.filter(table["in_current_plan"])["setting_id"].to_pylist())


def _prompts(run: Run) -> Hashable:
    table = run.table("prompts", [*_PROMPT, "in_current_plan"])
    table = table.filter(table["in_current_plan"])
    columns: list[list[Any]] = [table[name].to_pylist() for name in _PROMPT]
    return frozenset(zip(*columns, strict=True))


def _config_text(run: Run, key: str) -> str:
    return json.dumps(getattr(next(run.configs()), key), sort_keys=True, default=str)


def _unlike_prices(runs: Sequence[Run], overrides: ReportOverrides) -> str | None:
    """A run that would cost something else by the prices of the newest one's configuration.

    A price that a later configuration adds with its day costs an earlier run nothing.
    """
    newest = runs[-1]
    prices = _price_text(newest)
    unlike = [run for run in runs[:-1] if _price_text(run) != prices]
    if not unlike:
        return None
    book = read_price_book(overrides, next(newest.configs()))
    for run in unlike:
        data = open_run(run, overrides)
        costs = cost_columns(data.records, book)
        if not np.array_equal(costs.pico, data.costs.pico) or not np.array_equal(
            costs.known, data.costs.known
        ):
            return (
                f"by the prices in the configuration of {newest.name}, {run.name} would cost "
                "something else (a price with `valid_from` holds from its day on)"
            )
    return None


def _price_text(run: Run) -> str:
    config = next(run.configs())
    parts = (
        config.pricing, config.price_aliases(), config.usage_rules(), config.batch_discounts(),
    )  # fmt: skip
    return json.dumps(parts, sort_keys=True, default=str)
