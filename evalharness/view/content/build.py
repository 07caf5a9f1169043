"""Make the content of a page from stored records; run as ``python -m``, it answers one job."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from evalharness.analysis.across.agreement_across import AgreementAcross
from evalharness.analysis.comparison.comparison import Comparison
from evalharness.errors import EvalharnessError
from evalharness.view.content.jobs import (
    Answer,
    CompareJob,
    Content,
    ContentPart,
    Failure,
    Job,
    RegressionsJob,
    ReportJob,
    ScoresJob,
    Written,
)
from evalharness.view.links import prompt_url, records_url


class Links(NamedTuple):
    """The addresses of what a comparison names; ``keys`` are those of its runs."""

    keys: Mapping[str, str]

    def prompt(self, prompt_id: str, before: str, after: str) -> str:
        """As :meth:`CompareLinks.prompt`."""
        return prompt_url(self.keys[before], prompt_id, against=self.keys[after])

    def records(self, prompt_id: str, run: str) -> str:
        """As :meth:`CompareLinks.records`."""
        return records_url(self.keys[run], prompt=prompt_id)

    def regressed(self, run: str, baseline: str) -> str:
        """As :meth:`CompareLinks.regressed`."""
        return records_url(self.keys[run], regressed=self.keys[baseline])


def build_content(job: Job) -> Content | Written:
    """The content of a page, or a file for it.

    Raises:
        EvalharnessError: a run cannot be read, or the runs cannot be compared.
    """
    if isinstance(job, ReportJob):
        return _report(job)
    if isinstance(job, CompareJob):
        return _comparison(job)
    return _file(job)


def _report(job: ReportJob) -> Content:
    from evalharness.report.build.scoring import ReportOverrides
    from evalharness.report.build_report import build_report
    from evalharness.report.html_report import render_parts
    from evalharness.report.json import read_summary
    from evalharness.report.section import ReportData
    from evalharness.report.sections.run import RUN
    from evalharness.store.folder.run import Run

    opened = Run.open(Path(job.run.root))
    data: ReportData | None = None
    summary = opened.root / "summary.json"
    if summary.exists() and not job.settings:
        data = read_summary(summary.read_bytes(), location=job.run.location)
    # A report from before the newest records does not count.
    if data is None or data[RUN].updated_at != opened.manifest.updated_at:
        data = build_report(opened, ReportOverrides(settings=job.settings)).data
    return Content(
        [
            ContentPart(part.anchor, part.link, part.heading, str(html))
            for part, html in render_parts(data)
        ]
    )


def _comparison(job: CompareJob) -> Content:
    from evalharness.analysis.comparison.compare import across_by, compare_runs
    from evalharness.analysis.data.join_runs import JoinedRuns
    from evalharness.report.build.compared_runs import RunComparison
    from evalharness.report.build.scoring import ReportOverrides
    from evalharness.report.sections.comparisons.run_page import run_page_content

    runs = RunComparison([run.root for run in job.runs], ReportOverrides())
    base = runs.facts.baseline
    rows: list[Comparison] = []
    across: list[AgreementAcross] = []
    if runs.have_common_settings:
        rows = compare_runs(runs.frames, baseline=base, metrics=runs.metrics)
        across = across_by(JoinedRuns.of(runs.frames), "run", base)
    by_root = {str(Path(run.root).resolve()): run.key for run in job.runs}
    keys = {name: by_root[str(s.run.root.resolve())] for name, s in runs.sources.items()}
    content = run_page_content(runs.facts, rows, runs.changes(), across, Links(keys))
    return Content([ContentPart("", "", None, str(content))])


def _file(job: ScoresJob | RegressionsJob) -> Written:
    from evalharness.store.folder.run import Run
    from evalharness.view.queries.scores_file import write_regressions, write_scores

    run, target = Run.open(Path(job.run.root)), Path(job.target)
    if isinstance(job, ScoresJob):
        scores = write_scores(run, job.parts, job.unsealed, target)
        return Written(scorers=scores.scorers, has_answers=scores.has_answers)
    return Written(obstacles=write_regressions(run, Run.open(Path(job.baseline.root)), target))


def main() -> None:
    """Read a job from stdin, and write the answer to stdout."""
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=Job)
    answer: Answer
    try:
        answer = build_content(job)
    except EvalharnessError as error:
        answer = Failure(error.message, error.hint)
    sys.stdout.buffer.write(msgspec.json.encode(answer))


if __name__ == "__main__":
    main()
