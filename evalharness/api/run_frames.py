"""One run: its tables and what a report computes of them, as DataFrames."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalharness.api import figures
from evalharness.api.figures import as_table
from evalharness.api.identity_tables import IdentityTables
from evalharness.errors import StorageError
from evalharness.store.folder.run import Run

if TYPE_CHECKING:
    import pandas as pd

    from evalharness.analysis.data.frame import RunFrame
    from evalharness.analysis.summary import SettingSummary
    from evalharness.report.build.load_data import LoadData
    from evalharness.report.build_report import Report


class RunFrames(IdentityTables, Run):
    """A run, with its report's figures as DataFrames.

    ``records()``, ``attempts()``, ``prompts()`` and ``settings()`` are the stored tables
    (``docs/schema.md``). The figures are those of ``evalharness report``: the run's own scoring and
    prices, settings and prompts of the newest plan. They are computed once, at the first access;
    open the run again to see what was added since. Missing values are NaN or None: unknown. No two
    settings of a run have the same ``label``.
    """

    @classmethod
    def open(cls, run: str | Path) -> RunFrames:
        """Open by name under ``results/``, by path or by URL.

        Raises:
            RunNotFoundError: there is no such run, or its manifest is damaged.
        """
        stored = Run.open(run)
        return cls(stored.root, stored.manifest)

    def record_scores(self) -> pd.DataFrame:
        """How good each output is: one row a record, a column a scorer.

        Columns: ``setting_id``, ``label``, ``prompt_id``, ``repeat`` and ``status`` of the record;
        then the score by each scorer, in [0, 1], in a column of its name (``score.NAME`` where the
        name is one of these), the first being the score of the tables. NaN is not scored: an error
        never is, a refused record counts 0 where its prompt has a target. Records outside the
        newest plan, and those of a warm-up, are left out.
        """
        return figures.record_scores(self.frame)

    def agreement(self) -> pd.DataFrame:
        """How often repeats agree: one row a setting and ``of`` (``raw``, ``answer``).

        Columns: ``setting_id``, ``label``, ``of``; ``pairwise`` with ``lo`` and ``hi``, its 95 %
        interval over prompts; ``tar_at_n``, the share of prompts whose repeats all agree, with
        ``tar_at_n_lo`` and ``tar_at_n_hi``; ``n`` repeats; ``prompts`` with two or more;
        ``modal_share``, ``distinct`` and ``effective_outputs``, means over prompts. Rows for
        ``answer`` are there when answers are extracted.
        """
        rows = figures.agreement_rows(self._settings, answers=self.frame.answer is not None)
        return as_table(rows, figures.AGREEMENT)

    def tar(self) -> pd.DataFrame:
        """Total agreement rate by k: one row a setting, ``of`` (``raw``, ``answer``) and k.

        Columns: ``setting_id``, ``label``, ``of``; ``k`` repeats, from 2 on; ``tar``, the chance
        that k repeats are all equal, mean over the ``prompts`` with at least k usable repeats.
        """
        rows = figures.tar_rows(self._settings, answers=self.frame.answer is not None)
        return as_table(rows, figures.TAR)

    def scores(self) -> pd.DataFrame:
        """How good the outputs are: one row a setting and scorer.

        Columns: ``setting_id``, ``label``, ``scorer``; ``mean`` over prompts, in [0, 1], with
        ``lo`` and ``hi``, its 95 % interval; ``prompts`` and ``n``, scored prompts and records.
        """
        return as_table(figures.score_rows(self._settings, self._scorers), figures.SCORES)

    def pass_k(self) -> pd.DataFrame:
        """How reliably outputs are right (score 1): one row a setting, scorer and k.

        Columns: ``setting_id``, ``label``, ``scorer``; ``k`` repeats, from 1 on; ``pass_hat_k``,
        the chance that all k are right; ``pass_at_k``, that any is; ``g_pass_half`` and
        ``g_pass_three_quarters``, that at least this share of them is (NaN at most k beyond 32).
        Means over the prompts with k scored repeats, NaN without any.
        """
        return as_table(figures.pass_k_rows(self._settings, self._scorers), figures.PASS_K)

    def latency(self) -> pd.DataFrame:
        """How long answers take, in seconds: one row a setting and ``of``.

        Columns: ``setting_id``, ``label``; ``of``, ``latency_s`` to the complete answer or
        ``ttft_s`` to the first token (streamed answers alone); ``p50``, ``p95`` and ``p99`` (NaN
        below 100 answers) with their 95 % intervals ``p50_lo``, ``p50_hi``, ``p95_lo``, ``p95_hi``,
        ``p99_lo``, ``p99_hi`` (NaN where too few prompts bound them); ``mean``; ``n`` answers.
        Errors and the wait in our own queue are left out.
        """
        return as_table(figures.latency_rows(self._settings), figures.LATENCY)

    def cost(self) -> pd.DataFrame:
        """What was spent: one row a setting.

        Columns: ``setting_id``, ``label``; ``total``, US dollars by the price tables of today over
        ``n`` records with a known cost; ``from_bill``, how many of these have no price, so that
        the provider's bill is their cost; ``per_1k_requests``, 1,000 times their mean;
        ``billed_total``, what the provider says it billed, over ``billed_n`` records;
        ``prompt_tokens``, ``completion_tokens``, ``cached_tokens`` and ``reasoning_tokens``, totals
        as reported. What judges cost is not in it.
        """
        return as_table(figures.cost_rows(self._settings), figures.COST)

    def load(self) -> pd.DataFrame:
        """The load points of a benchmark: one row each; no row in batch evaluation.

        Columns: ``measurement``, its number, which records carry; ``load``, its name;
        ``label`` and ``setting_ids`` of the settings that shared it; ``arrival``, ``rate``
        (requests/s) and ``concurrency`` as configured, NaN where they do not apply; ``searched``,
        a step of a search, and ``holds``, whether it met the SLO; ``state`` (complete or cut) and
        ``reason``; ``valid``, and ``invalid``, why it does not represent its load;
        ``window_s``, the seconds that the load was held; requests ``scheduled``, ``sent``,
        ``delivered`` and ``failed``, and ``retries``; per second ``requested_rate``,
        ``achieved_rate``, ``throughput_per_s`` and ``output_tokens_per_s``; ``in_flight_mean`` and
        ``in_flight_max``; ``goodput``, the share that met the SLO, and ``goodput_per_s``;
        in seconds from the scheduled time ``latency_p50``, ``latency_p95``, ``latency_p99``,
        ``ttft_p50``, ``ttft_p95`` and ``ttft_p99``. Warm-up is in no figure.
        """
        return as_table(figures.load_rows(self._load), figures.LOAD)

    def load_times(self) -> pd.DataFrame:
        """The times of load points with intervals: one row a point, setting, figure and origin.

        Figures that no request has a value of are left out.

        Columns: ``measurement``, ``load``, ``setting_id``, ``label``; ``of``: ``ttft_s``,
        ``ttfo_s``, ``latency_s``, ``tpot_s``, ``inter_chunk_s``, ``tokens_per_s``,
        ``completion_tokens`` (``docs/benchmarking.md``); ``origin``: ``scheduled`` or ``sent``,
        None where it does not apply; ``n`` requests (or gaps); ``mean``; ``p50``, ``p90``, ``p95``
        and ``p99`` with the 95 % intervals ``p50_lo``, ``p50_hi``, ``p90_lo``, ``p90_hi``,
        ``p95_lo``, ``p95_hi``, ``p99_lo``, ``p99_hi``; ``max``; ``unit``, what is taken as
        independent: prompt or time.
        """
        return as_table(figures.load_time_rows(self._load), figures.LOAD_TIMES)

    def across(self, *, by_prompt: bool = False) -> pd.DataFrame:
        """How often two settings give the same output: one row a pair and ``of``.

        Every two of the first 24 settings are compared.

        Args:
            by_prompt: one row a pair, ``of`` and prompt instead: ``prompt_id`` with its ``across``,
                ``own_a`` and ``own_b``.

        Returns:
            Columns: ``a`` and ``b`` (setting ids) with ``a_label``, ``b_label`` and, of several
            runs, ``a_run``, ``b_run``; ``of`` (``text``, ``answer``); ``across``, the chance that
            an output of one equals one of the other, mean over ``prompts``, with ``lo``, ``hi``;
            ``own_a`` and ``own_b``, the agreement of each with itself, and ``own_minus_across``
            with ``own_minus_across_lo`` and ``own_minus_across_hi``, over the
            ``repeated_prompts``; ``parsed_a`` and ``parsed_b``, the shares of the outputs with a
            parsed answer; ``p`` of "no further apart than the repeats of each", and
            ``p_adjusted`` over all pairs; ``verdict``: equal, apart, as repeats, not tested,
            unknown; ``similarity_across``, the edit similarity of the texts, in [0, 1].
        """
        from evalharness.analysis.data.join_runs import JoinedRuns
        from evalharness.report.sections.across.section import ACROSS

        if by_prompt:
            rows = figures.across_prompt_rows(JoinedRuns.of({"": self.frame}))
            return as_table(rows, figures.ACROSS_PROMPTS)
        return as_table(figures.across_rows(self._report.data[ACROSS]), figures.ACROSS)

    def comparisons(self) -> pd.DataFrame:
        """The comparisons of the report, along all axes: one row each; columns as of `compare`.

        ``p_headline`` decides whether a difference is ``detected``; it is adjusted for all lines of
        the report's headline, and NaN of rows that are not in it.
        """
        from evalharness.report.sections.comparisons.section import COMPARISONS

        rows = self._report.data[COMPARISONS]
        return as_table(figures.comparison_rows(rows), figures.COMPARISONS)

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
            metrics: such as ``["score", "agreement", "ttft_s"]``; None is all that have values.
            margin: also test equivalence of shares within ± this much.
            seed: of sign patterns and shuffles.

        Returns:
            Columns: ``metric``; ``by``, the axis; ``a`` and ``b`` (setting ids, or axis values when
            pooled over other axes) with ``a_label``, ``b_label``, ``a_value``, ``b_value`` and, of
            several runs, ``a_run``, ``b_run``; ``pooled``, and ``stratum``, the values of the other
            axes where it is not; ``difference`` a minus b in the metric's unit, with ``lo`` and
            ``hi``; ``p`` of ``test``, ``p_adjusted`` within the family, ``p_headline`` (of
            `comparisons`); ``detected``, whether the adjusted p is below .05; ``n``
            independent units, and their ``unit``: ``prompt``, ``time`` (stretches of a load point)
            or ``search`` (verdicts, no interval); ``mde``, the difference that would be detected
            with 80 % power; ``a_mean``, ``b_mean``; ``wins``, ``losses``, ``ties``, null where the
            unit is no prompt; ``sentence``, all of it in words.

        Raises:
            ConfigError: the axis does not vary, or nothing has the baseline value.
        """
        from evalharness.analysis.comparison.compare import compare
        from evalharness.analysis.data.metrics import ALL_METRICS

        rows = compare(
            self.frame,
            by=by,
            baseline=baseline,
            metrics=ALL_METRICS if metrics is None else metrics,
            margin=margin,
            seed=seed,
        )
        return as_table(figures.comparison_rows(rows), figures.COMPARISONS)

    def plots(
        self, folder: str | Path | None = None, *, formats: Sequence[str] = ("svg", "png", "vega")
    ) -> list[Path]:
        """Write each plot of the report's page as files of its own.

        Args:
            folder: is made where there is none; None is ``plots`` in the run folder.
            formats: ``svg``, ``png``, ``vega`` (Vega-Lite with its data, ``NAME.vl.json``).

        Returns:
            The files, named after the plots (``sweep-score-against-temperature.svg``).

        Raises:
            ConfigError: there is no such format.
            StorageError: a file cannot be written, or the folder not be made.
        """
        from evalharness.report.plot_files import write_plots

        target = self.root / "plots" if folder is None else Path(folder)
        try:
            target.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"cannot make the folder {target}: {error.strerror}") from error
        return write_plots(self._report.data, target, formats=formats)

    @cached_property
    def _report(self) -> Report:
        from evalharness.report.build_report import build_report

        return build_report(self)

    @property
    def frame(self) -> RunFrame:
        """The records that the figures are of, encoded."""
        return self._report.frame

    @property
    def _scorers(self) -> list[str]:
        return list(self.frame.scores)

    @property
    def _settings(self) -> list[SettingSummary]:
        from evalharness.report.sections.settings.section import SETTINGS

        return self._report.data[SETTINGS]

    @property
    def _load(self) -> LoadData | None:
        from evalharness.report.sections.load.section import LOAD

        return self._report.data[LOAD]
