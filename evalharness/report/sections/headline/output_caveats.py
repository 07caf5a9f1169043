"""Caveats about outputs: cut, unparsed, unscored, refused or empty, of several models."""

from __future__ import annotations

from collections.abc import Iterator

from evalharness.parameters import OUTPUT_LIMITS, output_limit
from evalharness.report.section import ReportData
from evalharness.report.sections.headline.caveat import Caveat
from evalharness.report.sections.scoring import (
    ANSWERS,
    REASONING,
    SCORER_WARNINGS,
    SCORERS,
    unscored_text,
)
from evalharness.report.sections.settings.section import SETTINGS
from evalharness.report.words.format_numbers import percent
from evalharness.report.words.names import and_more, join_names
from evalharness.scoring.base import REASON_ERROR_RECORD, REASON_NO_TARGET, REASON_REFUSED

MANY_UNPARSED = 0.05


def truncated(report: ReportData) -> Iterator[Caveat]:
    """Outputs cut at ``max_tokens`` or ``max_completion_tokens``, or at another limit."""
    rows = [row for row in report[SETTINGS] if row.status["truncated"]]
    if not rows:
        return
    cut = sum(row.status["truncated"] for row in rows)
    trials = sum(row.trials for row in report[SETTINGS])
    limits = sorted({int(limit) for row in rows if (limit := output_limit(row.params))})
    stated = [name for name in OUTPUT_LIMITS if any(row.params.get(name) for row in rows)]
    limit_text = f"{' or '.join(stated)} {', '.join(map(str, limits))}"
    yield Caveat(
        f"{cut:,} of {trials:,} outputs ({percent(cut / trials)}) were cut at "
        f"{limit_text if limits else 'a limit of tokens'}: they agree, and score, only that far.",
        cut / trials >= 0.05,
    )


def unknown_finish_reasons(report: ReportData) -> Iterator[Caveat]:
    """Answers that ended with a finish_reason whose meaning is not known."""
    counts: dict[str, int] = {}
    for row in report[SETTINGS]:
        for name, count in row.unknown_finish_reasons.items():
            counts[name] = counts.get(name, 0) + count
    if not counts:
        return
    names = sorted(counts, key=lambda name: (-counts[name], name))
    total, trials = sum(counts.values()), sum(row.trials for row in report[SETTINGS])
    yield Caveat(
        f"{total:,} of {trials:,} answers ended with a finish_reason that is not known here "
        f"({join_names([f'“{name[:40]}”' for name in names], 3)}): they count as whole answers, "
        "and may be cut.",
        total / trials >= 0.05,
    )


def unparsed(report: ReportData) -> Iterator[Caveat]:
    """Outputs from which no answer could be parsed."""
    shares: list[float] = [
        0.0 if row.unparsed is None else row.unparsed.share or 0.0 for row in report[SETTINGS]
    ]
    if shares and max(shares) > MANY_UNPARSED:
        row = report[SETTINGS][shares.index(max(shares))]
        others = sum(share > MANY_UNPARSED for share in shares) - 1
        yield Caveat(
            f"No answer could be parsed from up to {percent(max(shares), 1)} of the outputs "
            f"({and_more(row.label, others)}): they agree with nothing.",
            True,
        )


def reasoning(report: ReportData) -> Iterator[Caveat]:
    """Texts that begin with the model's reasoning."""
    counts = report[REASONING]
    if not counts.with_reasoning:
        return
    scored = "is not scored" if counts.mode == "strip" else "is scored as a part of them"
    text = (
        f"{counts.with_reasoning:,} of {counts.texts:,} texts begin with reasoning "
        f"(<think> and the like), which {scored} (answer.reasoning={counts.mode})"
    )
    if counts.unclosed and counts.mode == "strip":
        text += f"; {counts.unclosed:,} of them end within it, and count as empty"
    yield Caveat(f"{text}.", counts.mode == "strip" and counts.unclosed / counts.texts >= 0.05)


def suspect_scorers(report: ReportData) -> Iterator[Caveat]:
    """Scorers whose arguments are likely a mistake."""
    for scorer in report[SCORER_WARNINGS]:
        yield Caveat(f"Scorer {scorer.name}: {scorer.warning}.", True)


def unscored(report: ReportData) -> Iterator[Caveat]:
    """Scorers that gave some outputs no score, and why. Errors have a caveat of their own."""
    for scorer in report[SCORERS]:
        reasons = [entry for entry in scorer.unscored if entry.reason != REASON_ERROR_RECORD]
        # A dataset may have some prompts without a target; all of them without is a mistake.
        intended = all(entry.reason in (REASON_NO_TARGET, REASON_REFUSED) for entry in reasons)
        if not reasons or (intended and scorer.scored):
            continue
        count = sum(entry.n for entry in reasons)
        yield Caveat(
            f"Scorer {scorer.name} gave no score to {count:,} of "
            f"{scorer.records:,} records: {unscored_text(reasons)}.",
            not intended,
        )
    answers = report[ANSWERS]
    failed = 0 if answers is None else answers["failed"]
    if failed:
        yield Caveat(
            f"The extraction of answers failed on {failed:,} outputs, as on a pattern over its "
            "time: they agree with nothing.",
            True,
        )


def equal_refusals(report: ReportData) -> Iterator[Caveat]:
    """Agreement between repeats that are both refusals, or both empty."""
    rows = report[SETTINGS]
    refused = [(row.sensitivity.equal_refusals or 0.0, row.label) for row in rows]
    empty = [(row.sensitivity.equal_empty or 0.0, row.label) for row in rows]
    for kind, shares in (("refused", refused), ("empty", empty)):
        share, label = max(shares, default=(0.0, ""), key=lambda pair: pair[0])
        if share >= 0.01:
            others = sum(other >= 0.01 for other, _ in shares) - 1
            where = and_more(label, others) + (" up to" if others else "")
            yield Caveat(
                f"Under {where} {percent(share, 1)} of the pairs of repeats agree because both "
                f"are {kind} alike.",
                share >= 0.1,
            )


def several_models(report: ReportData) -> Iterator[Caveat]:
    """Settings answered by several models or backends."""
    for row in report[SETTINGS]:
        if len(row.response_models) > 1:
            yield Caveat(
                f"{row.label} was served by {len(row.response_models)} models: "
                f"{', '.join(row.response_models)}.",
                True,
            )
    several = [row for row in report[SETTINGS] if len(row.system_fingerprints) > 1]
    if several:
        most = max(several, key=lambda row: len(row.system_fingerprints))
        yield Caveat(
            f"The backend changed during the run: up to {len(most.system_fingerprints)} system "
            f"fingerprints in one setting ({and_more(most.label, len(several) - 1)}).",
            False,
        )
