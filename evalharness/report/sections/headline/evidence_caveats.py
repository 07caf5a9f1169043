"""Caveats about the evidence: too few or unequal report, parameters that were not honoured."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from evalharness.analysis.stats import MIN_UNITS
from evalharness.analysis.summary import SettingSummary
from evalharness.process.text import plural
from evalharness.report.section import ReportData
from evalharness.report.sections.comparisons.section import COMPARISONS
from evalharness.report.sections.effects import EFFECTS
from evalharness.report.sections.headline.caveat import Caveat
from evalharness.report.sections.run import RUN, RunFacts
from evalharness.report.sections.settings.section import SETTINGS
from evalharness.report.words.format_numbers import parameter_text, percent
from evalharness.report.words.names import and_more

FEW_PROMPTS = 20
FEW_CLUSTERS = 6  # of equal size: fewer can never give p below .05
_BAD_VERDICTS = ("ignored", "partly honoured", "reversed", "not obeyed", "changed")
_UNSAMPLED = ("seed", "temperature", "top_p")


def effects(report: ReportData) -> Iterator[Caveat]:
    """Parameters that were not honoured, or whose effect the outputs cannot show."""
    for effect in report[EFFECTS]:
        if effect.verdict in _BAD_VERDICTS:
            yield Caveat(_sentence(effect.sentence), True)
        elif effect.verdict == "undetectable" and effect.parameter in _UNSAMPLED:
            yield Caveat(_sentence(effect.sentence), False)


def _sentence(text: str) -> str:
    first = text.partition(" ")[0]  # a name as it is typed is not a word
    return (text if "_" in first else text[:1].upper() + text[1:]).rstrip(".") + "."


def unequal_losses(report: ReportData) -> Iterator[Caveat]:
    """Comparisons whose sides lost different shares of trials: that may be the whole difference."""
    seen: set[str] = set()
    for row in report[COMPARISONS]:
        missing = row.missing
        if not missing.differs or row.metric not in ("score", "agreement"):
            continue
        text = (
            f"{row.by} {parameter_text(row.a_value)} lost {percent(missing.a, 1)} of "
            f"its trials, {row.by} {parameter_text(row.b_value)} lost "
            f"{percent(missing.b, 1)}: what is missing may be the difference between them."
        )
        if text not in seen:
            seen.add(text)
            yield Caveat(text, True)


def left_out_prompts(report: ReportData) -> Iterator[Caveat]:
    """Prompts that figures leave out, because repeats or values to pair with are missing."""
    rows = [row for row in report[SETTINGS] if (row.agreement.raw.n or 0) >= 2]
    missing = _worst_first(rows, _agreement_shortfall)
    if missing:
        most, n_prompts = _agreement_shortfall(missing[0]), missing[0].prompts
        several = len(missing) > 1
        yield Caveat(
            f"Under {and_more(missing[0].label, len(missing) - 1)} {'up to ' if several else ''}"
            f"{most:,} of {plural(n_prompts, 'prompt')} have fewer than two usable repeats: "
            "they are in no agreement.",
            most >= 0.05 * n_prompts,
        )
    short = _worst_first(rows, _repeats_shortfall)
    if short:
        raw, several = short[0].agreement.raw, len(short) > 1
        yield Caveat(
            f"Under {and_more(short[0].label, len(short) - 1)} "
            f"{'as few as' if several else 'only'} {raw.tar_prompts[str(raw.n)]:,} of "
            f"{plural(short[0].prompts, 'prompt')} have all {raw.n} repeats: "
            "“all N same” is about those.",
            False,
        )
    yield from _without_partner(report)


def _worst_first(
    rows: Sequence[SettingSummary], shortfall: Callable[[SettingSummary], int]
) -> list[SettingSummary]:
    """The settings that leave prompts out, those that leave out most first."""
    return sorted((row for row in rows if shortfall(row) > 0), key=shortfall, reverse=True)


def _agreement_shortfall(row: SettingSummary) -> int:
    """How many prompts are left out of the agreement."""
    return row.prompts - row.agreement.raw.prompts


def _repeats_shortfall(row: SettingSummary) -> int:
    """How many prompts have two repeats, but not all N."""
    raw = row.agreement.raw
    return raw.prompts - raw.tar_prompts[str(raw.n)]


def _without_partner(report: ReportData) -> Iterator[Caveat]:
    """Prompts with a score on one side of a comparison only."""
    rows = [r for r in report[COMPARISONS] if r.metric == "score" and r.unmatched.total]
    if not rows:
        return
    worst = max(rows, key=lambda row: row.unmatched.total)
    sides = f"{worst.by} {parameter_text(worst.a_value)} against {parameter_text(worst.b_value)}"
    several = len(rows) > 1
    yield Caveat(
        f"{and_more(sides, len(rows) - 1, 'comparison')}: {'up to ' if several else ''}"
        f"{plural(worst.unmatched.total, 'prompt')} with a score on one side only, left out; "
        f"{'as few as ' if several else ''}{min(row.n for row in rows):,} compared.",
        False,
    )


def not_comparable(reasons: Mapping[str, str]) -> Iterator[Caveat]:
    """Axes along which nothing could be compared, and why."""
    for axis, why in reasons.items():
        yield Caveat(f"nothing is compared along {axis}: {why}", False)


def small_samples(report: ReportData) -> Iterator[Caveat]:
    """Too few prompts for narrow intervals, or too few repeats for repeatability."""
    run = report[RUN]
    if run.prompts < FEW_PROMPTS:
        few = "no difference can be detected, and few figures have an interval"
        wide = "intervals are wide, and only large differences can be detected"
        yield Caveat(
            f"{plural(run.prompts, 'prompt')}: {few if run.prompts < MIN_UNITS else wide}.", False
        )
    largest = max((row.agreement.raw.n or 0 for row in report[SETTINGS]), default=0)
    open_repeats = (run.planned or 0) > run.prompts * run.settings
    if largest < 2 and is_unfinished(run) and open_repeats:
        yield Caveat("Nothing is known about repeatability yet: finish the run.", True)
    elif largest < 2 and max_trials_per_prompt(report) < 2:
        yield Caveat("One repeat a prompt says nothing about repeatability: use repeats=3.", True)
    elif largest < 2:
        yield Caveat(
            "No prompt has two usable repeats: nothing is known about repeatability.", True
        )


def is_unfinished(run: RunFacts) -> bool:
    """Whether trials of the plan are not recorded yet."""
    return run.planned is not None and run.records < run.planned


def max_trials_per_prompt(report: ReportData) -> int:
    """The largest number of trials of a prompt under one setting, errors included."""
    prompts = report[RUN].prompts or 1
    return max((-(-row.trials // prompts) for row in report[SETTINGS]), default=0)


def few_clusters(report: ReportData) -> Iterator[Caveat]:
    """Fewer effective clusters than intervals can be relied on: see docs/statistics.md."""
    run = report[RUN]
    if run.clusters is None or run.effective_clusters is None:
        return
    if run.effective_clusters < FEW_CLUSTERS:
        unequal = run.effective_clusters < 0.75 * run.clusters
        why = (
            f", which tell as much as {run.effective_clusters:.1f} of equal size" if unequal else ""
        )
        yield Caveat(
            f"The prompts form {plural(run.clusters, 'cluster')}{why}: under {FEW_CLUSTERS} "
            "independent clusters are too few for intervals and differences to be relied on.",
            True,
        )
