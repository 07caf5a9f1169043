"""The caveats of a report: everything that makes a figure mean less than it seems."""

from __future__ import annotations

from evalharness.report.section import ReportData
from evalharness.report.sections.breakdowns.circumstances import notable_contrasts
from evalharness.report.sections.breakdowns.section import BREAKDOWNS
from evalharness.report.sections.comparisons.section import NOT_COMPARABLE
from evalharness.report.sections.headline import evidence_caveats as evidence
from evalharness.report.sections.headline import output_caveats as outputs
from evalharness.report.sections.headline import run_caveats as run
from evalharness.report.sections.headline.caveat import Caveat
from evalharness.report.sections.load.section import LOAD
from evalharness.report.sections.run import RUN
from evalharness.report.sections.settings.section import SETTINGS
from evalharness.report.words.sanitize import one_line

MAX_CHARS = 280  # names that a server sends may be of any length


def caveats(report: ReportData) -> list[Caveat]:
    """All caveats of a run, serious ones first."""
    unsorted = [
        *run.unfinished(report[RUN]), *run.unverified(report), *run.load_points(report[LOAD]),
        *run.errors(report), *run.saturated_client(report),
        *evidence.effects(report), *evidence.unequal_losses(report),
        *evidence.left_out_prompts(report),
        *outputs.truncated(report), *outputs.unknown_finish_reasons(report),
        *outputs.suspect_scorers(report), *outputs.reasoning(report),
        *outputs.unparsed(report), *outputs.unscored(report),
        *outputs.equal_refusals(report), *outputs.several_models(report),
        *(Caveat(text, False) for text in notable_contrasts(report[SETTINGS], report[BREAKDOWNS])),
        *evidence.small_samples(report), *evidence.few_clusters(report),
        *run.unknown_costs(report),
        *(Caveat(note, False) for note in report[RUN].notes),
        *evidence.not_comparable(report[NOT_COMPARABLE]),
    ]  # fmt: skip
    short = [Caveat(one_line(caveat.text, MAX_CHARS), caveat.serious) for caveat in unsorted]
    return sorted(short, key=lambda caveat: not caveat.serious)
