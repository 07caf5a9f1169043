"""Several runs as one: the tables of each, one below the other, with a column ``run``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalharness.api import figures, identity_figures
from evalharness.api.run_frames import RunFrames
from evalharness.errors import ConfigError
from evalharness.store.folder.run_names import runs_by_name
from evalharness.store.folder.run_patterns import expand_runs

if TYPE_CHECKING:
    import pandas as pd

    from evalharness.analysis.data.frame import RunFrame
    from evalharness.analysis.equality.kernel import Unit


class RunSetFrames:
    """Several runs; every table of :class:`RunFrames` begins with a column ``run``, its name.

    Labels and setting ids are unique within a run: group by ``["run", "label"]``. Two runs of one
    name are told apart by the path that was given.
    """

    def __init__(self, runs: dict[str, RunFrames]) -> None:
        self.runs = runs

    @classmethod
    def open(cls, runs: Sequence[str | Path]) -> RunSetFrames:
        """Open each by name under ``results/``, by path or by URL; ``nightly-*`` is several.

        Raises:
            RunNotFoundError: one is not there, or its manifest is damaged.
            ConfigError: none is named, or one twice.
        """
        if not runs:
            raise ConfigError("no run to open", hint='evalharness.load(["quickstart", "mine"])')
        runs = expand_runs([str(run) for run in runs])
        return cls(runs_by_name([(run, RunFrames.open(run)) for run in runs]))

    def __getitem__(self, name: str) -> RunFrames:
        """One of the runs, by name."""
        return self.runs[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.runs)

    def __len__(self) -> int:
        return len(self.runs)

    def records(self) -> pd.DataFrame:
        """One row a trial (``docs/schema.md``)."""
        return self._joined(RunFrames.records)

    def attempts(self) -> pd.DataFrame:
        """One row an HTTP attempt (``docs/schema.md``)."""
        return self._joined(RunFrames.attempts)

    def prompts(self) -> pd.DataFrame:
        """One row a prompt of a run (``docs/schema.md``)."""
        return self._joined(RunFrames.prompts)

    def settings(self) -> pd.DataFrame:
        """One row a setting of a run (``docs/schema.md``)."""
        return self._joined(RunFrames.settings)

    def record_scores(self) -> pd.DataFrame:
        """As :meth:`RunFrames.record_scores`; NaN also where a run has no such scorer."""
        return self._joined(RunFrames.record_scores)

    def agreement(self) -> pd.DataFrame:
        """As :meth:`RunFrames.agreement`."""
        return self._joined(RunFrames.agreement)

    def tar(self) -> pd.DataFrame:
        """As :meth:`RunFrames.tar`."""
        return self._joined(RunFrames.tar)

    def scores(self) -> pd.DataFrame:
        """As :meth:`RunFrames.scores`."""
        return self._joined(RunFrames.scores)

    def pass_k(self) -> pd.DataFrame:
        """As :meth:`RunFrames.pass_k`."""
        return self._joined(RunFrames.pass_k)

    def latency(self) -> pd.DataFrame:
        """As :meth:`RunFrames.latency`."""
        return self._joined(RunFrames.latency)

    def cost(self) -> pd.DataFrame:
        """As :meth:`RunFrames.cost`."""
        return self._joined(RunFrames.cost)

    def load(self) -> pd.DataFrame:
        """As :meth:`RunFrames.load`."""
        return self._joined(RunFrames.load)

    def load_times(self) -> pd.DataFrame:
        """As :meth:`RunFrames.load_times`."""
        return self._joined(RunFrames.load_times)

    def comparisons(self) -> pd.DataFrame:
        """As :meth:`RunFrames.comparisons`: those within each run. :meth:`compare` joins them."""
        return self._joined(RunFrames.comparisons)

    def compare(self, *, by: str = "run", baseline: Any = None, **options: Any) -> pd.DataFrame:
        """As ``evalharness compare RUN…``: the runs, joined by prompt, or settings of all of them.

        Args:
            by: ``run`` compares runs with each other; else an axis.
            baseline: the value to compare with; of runs a name, None is the first.
            options: ``metrics``, ``margin`` and ``seed`` as of :meth:`RunFrames.compare`.

        Returns:
            The columns of :meth:`RunFrames.compare`.

        Raises:
            ConfigError: the axis does not vary, or nothing has the baseline value.
        """
        from evalharness.analysis.comparison.compare import compare, compare_runs
        from evalharness.analysis.data.metrics import ALL_METRICS

        if options.get("metrics") is None:
            options["metrics"] = ALL_METRICS
        frames = self._matched_frames(baseline if by == "run" else None)
        if by == "run":
            rows = compare_runs(frames, baseline=baseline, **options)
        else:
            rows = compare(frames, by=by, baseline=baseline, **options)
        return figures.as_table(figures.comparison_rows(rows), figures.COMPARISONS)

    def prompt_changes(self, *, baseline: str | None = None) -> pd.DataFrame:
        """The prompts that changed, as ``evalharness compare RUN… --prompts``.

        Args:
            baseline: name of the run that the others are compared with; None is the first.

        Returns:
            One row a prompt and setting: ``run``, ``prompt_id``, ``label``; ``kinds``, a list of
            ``regressed``, ``improved``, ``unstable`` and ``new_error``; ``score_before`` and
            ``score_after`` with their ``difference``; ``agreement_before`` and
            ``agreement_after``; ``errors_before`` and ``errors_after``; ``every_repeat``, whether
            no repeat of one run scores as high as any of the other; ``p``, ``p_adjusted`` and
            ``beyond_chance``; ``text_before`` and ``text_after``, the commonest outputs.

        Raises:
            ConfigError: no setting of a run has a counterpart in the baseline run, or no run has
                this name.
        """
        from evalharness.analysis.comparison.matching import RUN, find_pairs
        from evalharness.analysis.comparison.prompt_changes import prompt_changes
        from evalharness.analysis.data.join_runs import JoinedRuns
        from evalharness.report.build.run_differences import common_scorers

        frames = self._matched_frames(baseline)
        joined = JoinedRuns.of(frames)
        pairs = find_pairs(joined.columns, RUN, baseline or next(iter(self.runs)))
        changes = prompt_changes(joined, pairs, scored=common_scorers(frames) is None)
        return figures.as_table(figures.change_rows(changes), figures.CHANGES)

    def _matched_frames(self, baseline: Any) -> dict[str, RunFrame]:
        """The runs' records, each prompt under its id in the baseline run."""
        from evalharness.report.build.compared_runs import CONTENT_COLUMNS, match_runs

        frames = {name: run.frame for name, run in self.runs.items()}
        prompts = {n: run.table("prompts", [*CONTENT_COLUMNS]) for n, run in self.runs.items()}
        base = baseline if baseline in frames else next(iter(frames))
        return match_runs(frames, prompts, base)[1]

    def across(self, *, by_prompt: bool = False) -> pd.DataFrame:
        """As :meth:`RunFrames.across`, of every two settings of all the runs, joined by prompt.

        Prompts are matched as ``evalharness compare`` does: by id, else by content.
        """
        from evalharness.analysis.across.agreement_across import agreement_across, all_pairs
        from evalharness.analysis.data.join_runs import JoinedRuns

        joined = JoinedRuns.of(self._matched_frames(None))
        if by_prompt:
            rows = figures.across_prompt_rows(joined)
            return figures.as_table(rows, figures.ACROSS_PROMPTS)
        rows = figures.across_rows(agreement_across(joined, all_pairs(joined)))
        return figures.as_table(rows, figures.ACROSS)

    def equality(
        self,
        *,
        by: str = "run",
        baseline: Any = None,
        unit: Unit = "character",
        seed: int = 0,
    ) -> pd.DataFrame:
        """As :meth:`RunFrames.equality`, of runs, or along an axis of the settings of all runs.

        Args:
            by: ``run`` tests runs against each other; else an axis.
            baseline: the value to compare with; of runs a name, None is the first.
            unit: as of :meth:`RunFrames.equality`.
            seed: of the permutations.
        """
        from evalharness.analysis.comparison.compare import equality_by
        from evalharness.analysis.data.join_runs import JoinedRuns

        joined = JoinedRuns.of(self._matched_frames(baseline if by == "run" else None))
        rows = equality_by(joined, by, baseline, unit=unit, seed=seed)
        return figures.as_table(identity_figures.equality_rows(rows), identity_figures.EQUALITY)

    def logprob_distance(
        self, *, by: str = "run", baseline: Any = None, seed: int = 0
    ) -> pd.DataFrame:
        """As :meth:`RunFrames.logprob_distance`, of runs, or along an axis of all settings.

        Args:
            by: ``run`` compares runs with each other; else an axis.
            baseline: the value to compare with; of runs a name, None is the first.
            seed: of the permutations.
        """
        from evalharness.analysis.comparison.compare import logprob_distance_by
        from evalharness.analysis.data.join_runs import JoinedRuns

        joined = JoinedRuns.of(self._matched_frames(baseline if by == "run" else None))
        rows = logprob_distance_by(joined, by, baseline, seed=seed)
        return figures.as_table(identity_figures.logprob_rows(rows), identity_figures.LOGPROBS)

    def tool_calls(self, *, by: str = "run", baseline: Any = None, seed: int = 0) -> pd.DataFrame:
        """As :meth:`RunFrames.tool_calls`, of runs, or along an axis of all settings.

        Args:
            by: ``run`` checks runs against each other; else an axis.
            baseline: the reference; of runs a name, None is the first.
            seed: of the permutations.
        """
        from evalharness.analysis.comparison.compare import tool_call_check_by
        from evalharness.analysis.data.join_runs import JoinedRuns

        joined = JoinedRuns.of(self._matched_frames(baseline if by == "run" else None))
        rows = tool_call_check_by(joined, by, baseline, seed=seed)
        return figures.as_table(identity_figures.tool_call_rows(rows), identity_figures.TOOL_CALLS)

    def plots(self, folder: str | Path | None = None, **options: Any) -> list[Path]:
        """As :meth:`RunFrames.plots`, each run's in a folder of its name."""
        paths: list[Path] = []
        names = [run.name for run in self.runs.values()]
        for number, run in enumerate(self.runs.values(), 1):
            name = run.name if names.count(run.name) == 1 else f"{run.name}-{number}"
            paths += run.plots(None if folder is None else Path(folder) / name, **options)
        return paths

    def _joined(self, table: Callable[[RunFrames], pd.DataFrame]) -> pd.DataFrame:
        import pandas as pd

        tables: list[pd.DataFrame] = []
        for name, run in self.runs.items():
            rows = table(run)
            rows.insert(0, "run", name)
            tables.append(rows)
        # An empty table, or a column that one run lacks, must not decide the type of a column.
        filled = [rows for rows in tables if len(rows)] or tables[:1]
        return pd.concat(filled, ignore_index=True)
