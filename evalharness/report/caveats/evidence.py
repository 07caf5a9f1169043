"""What the data are too few, or too unequal, to say; and parameters that were not honoured."""

from __future__ import annotations

from collections.abc import Iterator

from evalharness.report.caveats.base import Caveat, Row
from evalharness.report.words import format_numbers as n

FEW_PROMPTS = 20
FEW_DIFFER = 10
_BAD_VERDICTS = ("ignored", "partly honoured", "reversed", "not obeyed", "changed")
_UNSAMPLED = ("seed", "temperature", "top_p")


def effects(data: Row) -> Iterator[Caveat]:
    """Parameters that were not honoured, or of which the outputs cannot tell."""
    for effect in data["effects"]:
        if effect["verdict"] in _BAD_VERDICTS:
            yield Caveat(_sentence(effect["sentence"]), True)
        elif effect["verdict"] == "undetectable" and effect["parameter"] in _UNSAMPLED:
            yield Caveat(_sentence(effect["sentence"]), False)


def _sentence(text: str) -> str:
    first = text.partition(" ")[0]  # a name as it is typed is not a word
    return (text if "_" in first else text[:1].upper() + text[1:]).rstrip(".") + "."


def unequal_losses(data: Row) -> Iterator[Caveat]:
    """Sides of a comparison that lost trials differently: what is missing may be the difference."""
    seen: set[str] = set()
    for row in data["comparisons"]:
        missing = row["missing"]
        if not missing["differs"] or row["metric"] not in ("score", "agreement"):
            continue
        text = (
            f"{row['by']} {n.parameter(row['a_value'])} lost {n.percent(missing['a'], 1)} of its "
            f"trials, {row['by']} {n.parameter(row['b_value'])} lost {n.percent(missing['b'], 1)}: "
            "what is missing may be the difference between them."
        )
        if text not in seen:
            seen.add(text)
            yield Caveat(text, True)


def left_out(data: Row) -> Iterator[Caveat]:
    """Prompts that figures had to leave out, because repeats or partners are missing."""
    rows = [row for row in data["settings"] if (row["agreement"]["raw"]["n"] or 0) >= 2]
    fewest = min(rows, key=_compared, default=None)
    if fewest is not None and _compared(fewest) < 0:
        raw, n_prompts = fewest["agreement"]["raw"], fewest["prompts"]
        yield Caveat(
            f"Under {fewest['label']} {n_prompts - raw['prompts']:,} of "
            f"{n.plural(n_prompts, 'prompt')} have fewer than two usable repeats: "
            "they are in no agreement.",
            n_prompts - raw["prompts"] >= 0.05 * n_prompts,
        )
    shortest = min(rows, key=_whole, default=None)
    if shortest is not None and _whole(shortest) < 0:
        raw = shortest["agreement"]["raw"]
        yield Caveat(
            f"Under {shortest['label']} only {raw['tar_prompts'][str(raw['n'])]:,} of "
            f"{n.plural(shortest['prompts'], 'prompt')} have all {raw['n']} repeats: "
            "“all N same” is about those.",
            False,
        )
    yield from _without_partner(data)


def _compared(row: Row) -> int:
    """How many prompts agreement could be measured on, less all prompts."""
    return row["agreement"]["raw"]["prompts"] - row["prompts"]


def _whole(row: Row) -> int:
    """How many prompts have all N repeats, less those that have two."""
    raw = row["agreement"]["raw"]
    return raw["tar_prompts"][str(raw["n"])] - raw["prompts"]


def _without_partner(data: Row) -> Iterator[Caveat]:
    """Prompts with a score on one side of a comparison only."""
    rows = [row for row in data["comparisons"] if row["metric"] == "score"]
    worst = max(rows, key=_alone, default=None)
    if worst is not None and _alone(worst):
        yield Caveat(
            f"{worst['by']} {n.parameter(worst['a_value'])} against "
            f"{n.parameter(worst['b_value'])}: {n.plural(_alone(worst), 'prompt')} with a score on "
            f"one side only, left out; {worst['n']:,} compared.",
            False,
        )


def _alone(row: Row) -> int:
    return row["unmatched"]["a"] + row["unmatched"]["b"]


def few(data: Row) -> Iterator[Caveat]:
    """Prompts and repeats too few for what is asked of them."""
    run = data["run"]
    if run["prompts"] < FEW_PROMPTS:
        yield Caveat(
            f"{n.plural(run['prompts'], 'prompt')}: intervals are wide, and only large differences "
            "can be detected.",
            False,
        )
    largest = max((row["agreement"]["raw"]["n"] or 0 for row in data["settings"]), default=0)
    if largest < 2 and is_unfinished(run) and run["planned"] > run["prompts"] * run["settings"]:
        yield Caveat("Nothing is known about repeatability yet: finish the run.", True)
    elif largest < 2 and asked_repeats(data) < 2:
        yield Caveat("One repeat a prompt says nothing about repeatability: use repeats=3.", True)
    elif largest < 2:
        yield Caveat(
            "No prompt has two usable repeats: nothing is known about repeatability.", True
        )


def is_unfinished(run: Row) -> bool:
    """Whether trials of the plan are still to come."""
    return run["planned"] is not None and run["records"] < run["planned"]


def asked_repeats(data: Row) -> int:
    """The most trials a prompt that a setting has, whatever became of them."""
    prompts = data["run"]["prompts"] or 1
    return max((-(-row["trials"] // prompts) for row in data["settings"]), default=0)


def few_differ(data: Row) -> Iterator[Caveat]:
    """Bootstrap intervals that rest on a handful of prompts: too narrow, see docs/statistics.md."""
    rows = [
        row
        for row in data["comparisons"]
        if n.is_share(row["metric"])
        and row["n"] >= FEW_PROMPTS
        and 0 < row["wins"] + row["losses"] < FEW_DIFFER
    ]
    if rows:
        few = min(row["wins"] + row["losses"] for row in rows)
        yield Caveat(
            f"{n.plural(len(rows), 'interval')} of differences "
            f"{'rests' if len(rows) == 1 else 'rest'} on few prompts that differ at all (down to "
            f"{few}): such intervals hold the true difference about nine times in ten, not "
            "nineteen in twenty.",
            False,
        )
