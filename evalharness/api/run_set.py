"""Several runs as one: the tables of each, one below the other, with a column ``run``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalharness.api import figures
from evalharness.api.run_frames import RunFrames
from evalharness.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd


class RunSetFrames:
    """Several runs; every table of :class:`RunFrames` begins with a column ``run``, its name.

    Labels and setting ids are unique within a run: group by ``["run", "label"]``. Two runs of one
    name are told apart by the path that was given.
    """

    def __init__(self, runs: dict[str, RunFrames]) -> None:
        self.runs = runs

    @classmethod
    def open(cls, runs: Sequence[str | Path]) -> RunSetFrames:
        """Open each by name under ``results/``, by path or by URL.

        Raises:
            RunNotFoundError: one is not there, or its manifest is damaged.
            ConfigError: none is named, or one twice.
        """
        if not runs:
            raise ConfigError("no run to open", hint='evalharness.load(["quickstart", "mine"])')
        opened = [RunFrames.open(run) for run in runs]
        folders = [run.root.resolve() for run in opened]
        twice = [
            str(run) for run, root in zip(runs, folders, strict=True) if folders.count(root) > 1
        ]
        if twice:
            raise ConfigError(f"the same run is named twice: {', '.join(twice)}")
        names = [run.name for run in opened]
        unique = [
            str(path) if names.count(name) > 1 else name
            for path, name in zip(runs, names, strict=True)
        ]
        return cls(dict(zip(unique, opened, strict=True)))

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

        if options.get("metrics", ()) is None:
            del options["metrics"]
        frames = {name: run.frame for name, run in self.runs.items()}
        if by == "run":
            rows = compare_runs(frames, baseline=baseline, **options)
        else:
            rows = compare(frames, by=by, baseline=baseline, **options)
        return figures.as_table(figures.comparison_rows(rows), figures.COMPARISONS)

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
