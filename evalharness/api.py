"""``evalharness.load(RUN)``: a run's tables and what a report computes of them, as DataFrames."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from msgspec.structs import asdict

from evalharness.store.folder.run import Run

if TYPE_CHECKING:
    from decimal import Decimal
    from pathlib import Path

    import pandas as pd

    from evalharness.analysis.data.frame import RunFrame
    from evalharness.analysis.summary import SettingSummary
    from evalharness.report.build_report import Report


class RunFrames(Run):
    """A run, with its report's figures as DataFrames of one row a setting or comparison.

    ``records()``, ``attempts()``, ``prompts()`` and ``settings()`` are the stored tables
    (``docs/schema.md``). The figures are those of ``evalharness report``: the run's own scoring and
    prices, settings and prompts of the newest plan. They are computed once, at the first access;
    open the run again to see what was added since. Missing values are NaN or None: unknown.
    """

    @classmethod
    def open(cls, run: str | Path) -> RunFrames:
        """Open by name under ``results/``, by path or by URL.

        Raises:
            RunNotFoundError: there is no such run, or its manifest is damaged.
        """
        stored = Run.open(run)
        return cls(stored.root, stored.manifest)

    def agreement(self) -> pd.DataFrame:
        """How often repeats agree: one row a setting and ``of`` (``raw``, ``answer``).

        Columns: ``setting_id``, ``label``, ``of``; ``pairwise`` with ``lo`` and ``hi``, its 95 %
        interval over prompts; ``tar_at_n``, the share of prompts whose repeats all agree, with
        ``tar_at_n_lo`` and ``tar_at_n_hi``; ``n`` repeats; ``prompts`` with two or more;
        ``modal_share``, ``distinct`` and ``effective_outputs``, means over prompts. Rows for
        ``answer`` are there when answers are extracted.
        """
        rows: list[dict[str, Any]] = []
        for setting in self._rows:
            pair = setting.agreement
            for of, figures in (("raw", pair.raw), ("answer", pair.answer)):
                if figures.pairwise is None and of == "answer" and self._frame.answer is None:
                    continue
                lo, hi = _bounds(figures.ci95)
                tar_lo, tar_hi = _bounds(figures.tar_at_n_ci95)
                bounds = {"lo": lo, "hi": hi, "tar_at_n_lo": tar_lo, "tar_at_n_hi": tar_hi}
                rows.append({**_setting_key(setting), "of": of, **asdict(figures), **bounds})
        return _table(rows, _AGREEMENT)

    def scores(self) -> pd.DataFrame:
        """How good the outputs are: one row a setting and scorer.

        Columns: ``setting_id``, ``label``, ``scorer``; ``mean`` over prompts, in [0, 1], with
        ``lo`` and ``hi``, its 95 % interval; ``prompts`` and ``n``, scored prompts and records.
        """
        rows: list[dict[str, Any]] = []
        names = list(self._frame.scores)
        for setting in self._rows:
            for name in names:
                figures = setting.score if name == names[0] else setting.scores[name]
                lo, hi = _bounds(figures.ci95)
                key = _setting_key(setting)
                rows.append({**key, "scorer": name, **asdict(figures), "lo": lo, "hi": hi})
        return _table(rows, _SCORES)

    def cost(self) -> pd.DataFrame:
        """What was spent: one row a setting.

        Columns: ``setting_id``, ``label``; ``total``, US dollars by the price tables of today over
        ``n`` records with a known cost; ``from_bill``, how many of these have no price, so that
        the provider's bill is their cost; ``per_1k_requests``, 1,000 times their mean;
        ``billed_total``, what the provider says it billed, over ``billed_n`` records;
        ``prompt_tokens``, ``completion_tokens``, ``cached_tokens`` and ``reasoning_tokens``, totals
        as reported. What judges cost is not in it.
        """
        rows: list[dict[str, Any]] = []
        for setting in self._rows:
            tokens = {name: counts.total for name, counts in setting.tokens.items()}
            cost = setting.cost_usd
            dollars = {"total": _float(cost.total), "billed_total": _float(cost.billed_total)}
            rows.append({**_setting_key(setting), **asdict(cost), **dollars, **tokens})
        return _table(rows, _COST)

    def compare(
        self,
        *,
        by: str,
        baseline: Any = None,
        metrics: Sequence[str] | None = None,
        margin: float | None = None,
        seed: int = 0,
    ) -> pd.DataFrame:
        """Compare settings along an axis, paired by prompt: one row a comparison.

        Args:
            by: the axis, such as ``temperature``.
            baseline: the value to compare with; None takes the lowest number or the first value.
            metrics: such as ``["score", "agreement"]``; None is all that have values.
            margin: also test equivalence of shares within ± this much.
            seed: of sign patterns and shuffles.

        Returns:
            Columns: ``metric``, ``a`` and ``b`` (setting ids, or axis values when pooled over other
            axes), ``pooled``; ``difference`` a minus b in the metric's unit, with ``lo`` and
            ``hi``; ``p`` of ``test``, ``p_adjusted`` within the family; ``n`` prompts; ``mde``,
            the difference that would be detected with 80 % power; ``a_mean``, ``b_mean``;
            ``wins``, ``losses``, ``ties``; ``sentence``, all of it in words.

        Raises:
            ConfigError: the axis does not vary, or nothing has the baseline value.
        """
        from evalharness.analysis.comparison.compare import compare
        from evalharness.analysis.data.metrics import METRICS

        comparisons = compare(
            self._frame,
            by=by,
            baseline=baseline,
            metrics=METRICS if metrics is None else metrics,
            margin=margin,
            seed=seed,
        )
        rows: list[dict[str, Any]] = []
        for row in comparisons:
            lo, hi = _bounds(row.ci95)
            rows.append({**asdict(row), "lo": lo, "hi": hi})
        return _table(rows, _COMPARE)

    @cached_property
    def _report(self) -> Report:
        from evalharness.report.build_report import build_report

        return build_report(self)

    @property
    def _frame(self) -> RunFrame:
        return self._report.frame

    @property
    def _rows(self) -> list[SettingSummary]:
        from evalharness.report.sections.settings.section import SETTINGS

        return self._report.data[SETTINGS]


_AGREEMENT = (
    "setting_id", "label", "of", "pairwise", "lo", "hi", "tar_at_n", "tar_at_n_lo",
    "tar_at_n_hi", "n", "prompts", "modal_share", "distinct", "effective_outputs",
)  # fmt: skip
_SCORES = ("setting_id", "label", "scorer", "mean", "lo", "hi", "prompts", "n")
_COST = (
    "setting_id", "label", "total", "n", "from_bill", "per_1k_requests", "billed_total", "billed_n",
    "prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens",
)  # fmt: skip
_COMPARE = (
    "metric", "a", "b", "pooled", "difference", "lo", "hi", "p", "p_adjusted", "test", "n", "mde",
    "a_mean", "b_mean", "wins", "losses", "ties", "sentence",
)  # fmt: skip


def _setting_key(setting: SettingSummary) -> dict[str, str]:
    return {"setting_id": setting.setting_id, "label": setting.label}


def _float(amount: Decimal | None) -> float | None:
    return None if amount is None else float(amount)


def _bounds(ci95: list[float] | None) -> tuple[float | None, float | None]:
    return (None, None) if ci95 is None else (ci95[0], ci95[1])


def _table(rows: list[dict[str, Any]], columns: Sequence[str]) -> pd.DataFrame:
    import pandas as pd

    values = [{name: row.get(name) for name in columns} for row in rows]
    table = pd.DataFrame(values, columns=list(columns))
    # A column of only None would have the type object, which pandas cannot compute with.
    unknown = [name for name in columns if values and table[name].isna().all()]
    return table.astype(dict.fromkeys(unknown, "float64"))
