"""What outputs are not: whole, readable, scored, answers rather than refusals, of one model."""

from __future__ import annotations

from collections.abc import Iterator

from evalharness.report.build.scoring import unscored as why_unscored
from evalharness.report.caveats.base import Caveat, Row
from evalharness.report.words import format_numbers as n
from evalharness.scoring.base import NO_TARGET, NOT_DUE, NOTHING_ANSWERED

MANY_UNPARSED = 0.05


def truncated(data: Row) -> Iterator[Caveat]:
    """Outputs cut at ``max_tokens``."""
    rows = [row for row in data["settings"] if row["status"]["truncated"]]
    if not rows:
        return
    cut = sum(row["status"]["truncated"] for row in rows)
    trials = sum(row["trials"] for row in data["settings"])
    limits = sorted({row["params"].get("max_tokens") for row in rows} - {None})
    at = f" {', '.join(map(str, limits))}" if limits else ""
    yield Caveat(
        f"{cut:,} of {trials:,} outputs ({n.percent(cut / trials)}) were cut at max_tokens{at}: "
        "they agree, and score, only that far.",
        cut / trials >= 0.05,
    )


def unparsed(data: Row) -> Iterator[Caveat]:
    """Outputs in which no answer was found."""
    shares: list[float] = [
        0.0 if row["unparsed"] is None else row["unparsed"]["share"] or 0.0
        for row in data["settings"]
    ]
    if shares and max(shares) > MANY_UNPARSED:
        row = data["settings"][shares.index(max(shares))]
        yield Caveat(
            f"No answer could be parsed from up to {n.percent(max(shares), 1)} of the outputs "
            f"({row['label']}): they agree with nothing.",
            True,
        )


def unscored(data: Row) -> Iterator[Caveat]:
    """Scorers that left outputs without a score, and why. Errors have a caveat of their own."""
    for scorer in data["scorers"]:
        reasons = [one for one in scorer["unscored"] if one["reason"] != NOTHING_ANSWERED]
        # Some prompts without a target are how a dataset is made; none with one is a mistake.
        meant = all(one["reason"] in (NO_TARGET, NOT_DUE) for one in reasons)
        if not reasons or (meant and scorer["scored"]):
            continue
        yield Caveat(
            f"Scorer {scorer['name']} gave no score to {sum(one['n'] for one in reasons):,} of "
            f"{scorer['records']:,} records: {why_unscored(reasons)}.",
            not meant,
        )
    failed = 0 if data["answers"] is None else data["answers"]["failed"]
    if failed:
        yield Caveat(
            f"The extraction of answers failed on {failed:,} outputs, as on a pattern over its "
            "time: they agree with nothing.",
            True,
        )


def alike(data: Row) -> Iterator[Caveat]:
    """Agreement that is not an answer: refusals, or empty outputs, that are alike."""
    for key, what in (("equal_refusals", "refused"), ("equal_empty", "empty")):
        shares = [(row["sensitivity"][key] or 0.0, row["label"]) for row in data["settings"]]
        share, label = max(shares, default=(0.0, ""))
        if share >= 0.01:
            yield Caveat(
                f"Under {label} {n.percent(share, 1)} of the pairs of repeats agree because both "
                f"are {what} alike.",
                share >= 0.1,
            )


def served(data: Row) -> Iterator[Caveat]:
    """Settings answered by several models or backends."""
    for row in data["settings"]:
        if len(row["served_models"]) > 1:
            yield Caveat(
                f"{row['label']} was served by {len(row['served_models'])} models: "
                f"{', '.join(row['served_models'])}.",
                True,
            )
    several = [row for row in data["settings"] if len(row["system_fingerprints"]) > 1]
    if several:
        most = max(len(row["system_fingerprints"]) for row in several)
        yield Caveat(
            f"The backend changed during the run: up to {most} system fingerprints in one setting.",
            False,
        )
