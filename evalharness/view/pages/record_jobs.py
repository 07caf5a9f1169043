"""What the table of records has to wait for: scores, and what regressed against another run."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

from evalharness.errors import ConfigError
from evalharness.store.folder.run import Run
from evalharness.view.content.cache import ContentCache
from evalharness.view.content.jobs import (
    Failure,
    RegressionsJob,
    ScoresJob,
    Written,
)
from evalharness.view.context import ViewContext
from evalharness.view.queries.record_columns import ColumnSet, needs_scores
from evalharness.view.queries.record_filter import RecordFilter
from evalharness.view.queries.record_index import Version
from evalharness.view.runs import ViewedRun


class RecordJobs(NamedTuple):
    """The files that are computed for a table.

    Attributes:
        run: the run.
        scores: None where they are there already.
        version: of the records that the scores are of.
        regression: None where the filter is not about another run.
        needs_scores: whether the filter means nothing without scores.
    """

    run: Run
    scores: ScoresJob | None
    version: Version
    regression: RegressionsJob | None
    needs_scores: bool

    @property
    def needed(self) -> list[ScoresJob | RegressionsJob]:
        """What the filter cannot do without."""
        scores = [self.scores] if self.scores is not None and self.needs_scores else []
        return [*scores, *([] if self.regression is None else [self.regression])]

    @property
    def regressions(self) -> Path | None:
        """The file with what regressed."""
        return None if self.regression is None else Path(self.regression.target)

    def are_done(self, contents: ContentCache) -> bool:
        """Whether what is needed is there."""
        return all(isinstance(contents.find(job, None), Written) for job in self.needed)

    async def compute(self, contents: ContentCache) -> Failure | None:
        """Compute everything; what kept it from being computed."""
        for job in self._all():
            answer = await contents.make(job, None)
            if isinstance(answer, Failure):
                return answer
        return None

    def obstacles(self, contents: ContentCache) -> list[str]:
        """What keeps the runs from being compared."""
        answer = None if self.regression is None else contents.find(self.regression, None)
        return answer.obstacles if isinstance(answer, Written) else []

    def _all(self) -> list[ScoresJob | RegressionsJob]:
        jobs = (self.scores, self.regression)
        return [job for job in jobs if job is not None]


def prepare_jobs(
    context: ViewContext, viewed: ViewedRun, run: Run, shown: RecordFilter
) -> RecordJobs:
    """What has to be computed for a filter of a run.

    Raises:
        ConfigError: the run to compare with is this one.
        RunNotFoundError: it is not there.
        StorageError: a file is damaged.
    """
    named = viewed.named(run)
    with context.records.opened(run) as index:
        scores = None
        if index.scored != index.version:
            parts = [part.stamp.path for part in index.parts]
            unsealed = None if index.unsealed is None else str(index.unsealed)
            sealed = tuple(path for path in parts if path != unsealed)
            scores = ScoresJob(named, sealed, unsealed, str(index.file("scores")))
        version, folder = index.version, index.folder
    regression = None
    if shown.regressed:
        regression = _regression(context, viewed, run, shown.regressed, folder)
    return RecordJobs(run, scores, version, regression, _needs_scores(shown))


def _regression(
    context: ViewContext, viewed: ViewedRun, run: Run, key: str, folder: Path
) -> RegressionsJob:
    baseline = context.runs.find(key)
    opened = baseline.open()
    if opened.root.resolve() == run.root.resolve():
        raise ConfigError(f"`regressed` names the run itself: `{key}`", hint="name another run")
    states = (str(each.root.resolve()) + each.manifest.updated_at for each in (run, opened))
    name = hashlib.sha256("\n".join(states).encode()).hexdigest()[:24]
    target = folder / f"regressed-{name}.parquet"
    return RegressionsJob(viewed.named(run), baseline.named(opened), str(target))


def take_in(context: ViewContext, jobs: RecordJobs) -> None:
    """Take the scores into the index where they were computed."""
    answer = None if jobs.scores is None else context.contents.find(jobs.scores, None)
    if jobs.scores is None or not isinstance(answer, Written):
        return
    with context.records.opened(jobs.run) as index:
        pass
    columns = ColumnSet(tuple(answer.scorers), answer.has_answers)
    index.add_scores(Path(jobs.scores.target), columns, jobs.version)


def _needs_scores(shown: RecordFilter) -> bool:
    limits = (shown.min_score, shown.max_score)
    names = (shown.sort, *shown.columns)
    return bool(shown.unstable or shown.scorer or any(map(needs_scores, names))) or any(
        limit is not None for limit in limits
    )
