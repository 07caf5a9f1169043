"""Caveats about the evidence: too few or unequal report, parameters that were not honoured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from evalharness.analysis.data.metrics import is_share
from evalharness.analysis.summary import SettingSummary
from evalharness.process.text import plural
from evalharness.report.section import ReportData
from evalharness.report.sections.comparisons.section import COMPARISONS
from evalharness.report.sections.effects import EFFECTS
from evalharness.report.sections.headline.caveat import Caveat
from evalharness.report.sections.run import RUN, RunFacts
from evalharness.report.sections.settings.section import SETTINGS
from evalharness.report.words.format_numbers import parameter_text, percent

FEW_PROMPTS = 20
FEW_DIFFER = 10
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
    fewest = min(rows, key=_agreement_shortfall, default=None)
    if fewest is not None and _agreement_shortfall(fewest) < 0:
        raw, n_prompts = fewest.agreement.raw, fewest.prompts
        yield Caveat(
            f"Under {fewest.label} {n_prompts - raw.prompts:,} of "
            f"{plural(n_prompts, 'prompt')} have fewer than two usable repeats: "
            "they are in no agreement.",
            n_prompts - raw.prompts >= 0.05 * n_prompts,
        )
    shortest = min(rows, key=_repeats_shortfall, default=None)
    if shortest is not None and _repeats_shortfall(shortest) < 0:
        raw = shortest.agreement.raw
        yield Caveat(
            f"Under {shortest.label} only {raw.tar_prompts[str(raw.n)]:,} of "
            f"{plural(shortest.prompts, 'prompt')} have all {raw.n} repeats: "
            "“all N same” is about those.",
            False,
        )
    yield from _without_partner(report)


def _agreement_shortfall(row: SettingSummary) -> int:
    """Prompts in the agreement less all prompts: negative where some are left out."""
    return row.agreement.raw.prompts - row.prompts


def _repeats_shortfall(row: SettingSummary) -> int:
    """Prompts with all N repeats less those with two: negative where repeats are missing."""
    raw = row.agreement.raw
    return raw.tar_prompts[str(raw.n)] - raw.prompts


def _without_partner(report: ReportData) -> Iterator[Caveat]:
    """Prompts with a score on one side of a comparison only."""
    rows = [row for row in report[COMPARISONS] if row.metric == "score"]
    worst = max(rows, key=lambda row: row.unmatched.total, default=None)
    if worst is not None and worst.unmatched.total:
        yield Caveat(
            f"{worst.by} {parameter_text(worst.a_value)} against "
            f"{parameter_text(worst.b_value)}: {plural(worst.unmatched.total, 'prompt')} with a "
            f"score on one side only, left out; {worst.n:,} compared.",
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
        yield Caveat(
            f"{plural(run.prompts, 'prompt')}: intervals are wide, and only large differences "
            "can be detected.",
            False,
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


def few_differing_prompts(report: ReportData) -> Iterator[Caveat]:
    """Bootstrap intervals based on a few differing prompts: too narrow, see docs/statistics.md."""
    rows = [
        row
        for row in report[COMPARISONS]
        if is_share(row.metric) and row.n >= FEW_PROMPTS and 0 < row.wins + row.losses < FEW_DIFFER
    ]
    if rows:
        fewest = min(row.wins + row.losses for row in rows)
        yield Caveat(
            f"{plural(len(rows), 'interval')} of differences "
            f"{'rests' if len(rows) == 1 else 'rest'} on few prompts that differ at all (down to "
            f"{fewest}): such intervals hold the true difference about nine times in ten, not "
            "nineteen in twenty.",
            False,
        )
