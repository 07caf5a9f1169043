"""Sentences on batch invariance."""

from __future__ import annotations

from collections.abc import Sequence

from evalharness.analysis.invariance.first_difference import PrefixLength
from evalharness.analysis.invariance.verdicts import (
    BatchInvariance,
    ConditionDivergence,
    DivergenceShare,
)
from evalharness.process.text import plural
from evalharness.report.sections.run import RunFacts
from evalharness.report.words.format_numbers import (
    difference_interval,
    instant,
    metric_difference,
    p_value,
    percent,
    plain_number,
    share_interval,
    strict_percent,
)
from evalharness.report.words.names import join_names
from evalharness.report.words.sanitize import one_line

_MAX_NAME = 60  # characters of a condition
_MAX_NAMES = 8  # conditions named in a statement


def alone_sentence(row: BatchInvariance) -> str:
    """The noise that no load of the run is behind."""
    if row.why is not None:
        return f"Batch invariance is not measurable here, because {row.why}."
    share = row.alone
    if not share.prompts:
        return (
            "Alone against alone: not known, because alone was sent once: that needs repeats=2 or "
            "a second block alone."
        )
    of = f"{plural(row.blocks, 'block')} of {plural(row.repeats, 'repeat')}"
    text = f"Alone against alone ({of}): {_noise_text(share)}."
    if row.blocks_differ:
        text += f" {_blocks_text(row)}, so that what the loads do cannot be told from that."
    return text


def _blocks_text(row: BatchInvariance) -> str:
    """The blocks alone differ from each other, and what that may come from."""
    return (
        f"Within a block {strict_percent(row.within.rate)} do: the blocks differ "
        f"({p_value(row.blocks_p_adjusted)}). Either the server changed in between, or the loads "
        "left something behind, such as a cache of prompts"
    )


def condition_sentence(row: ConditionDivergence, alone: DivergenceShare) -> str:
    """The verdict on one load."""
    name = one_line(row.condition, _MAX_NAME)
    if row.verdict == "not measurable":
        return f"{name}: not measurable here, because {row.why}."
    share = row.divergence
    size = f"{plural(share.prompts, 'prompt')} × {plural(row.repeats, 'repeat')}"
    if row.verdict == "no divergence":
        text = f"no divergence from alone in {size}; rate below {_bound(share)} of prompts"
        return f"{name}: {text} (95 % confidence){_held_text(row)}."
    seen = (
        f"{share.parted} of {plural(share.prompts, 'prompt')} part from alone; "
        f"{_rate_text(share)} of requests give another text"
    )
    where = _where_text(row)
    if row.verdict == "not tested":
        missing = "whether more than alone is not known, because alone was sent once"
        return f"{name}: {seen}; {missing}{where}{_held_text(row)}."
    more = "more than alone" if row.verdict == "parts" else "not detectably more than alone"
    difference = metric_difference("agreement", row.excess)
    interval = difference_interval("agreement", row.excess_ci95)
    figures = f"{difference} {interval} against {strict_percent(alone.rate)}, {_p(row)}"
    return f"{name}: {seen}, {more} ({figures}){where}{_held_text(row)}."


def statement(row: BatchInvariance, run: RunFacts) -> str | None:
    """A paragraph for the documentation of one's own server; None where nothing is measurable."""
    known = [each for each in row.conditions if each.verdict != "not measurable"]
    if row.why is not None or not known:
        return None
    day = instant(run.created_at).split(",")[0]
    prompts = max(each.divergence.prompts for each in known)
    repeats = max(each.repeats for each in known)
    what = " ".join(filter(None, [row.model or "the model", f"({row.label})" * bool(row.label)]))
    start = (
        f"Batch invariance of {what}, measured on {day} with evalharness {run.code_version}, "
        f"{plural(prompts, 'prompt')} × {plural(repeats, 'repeat')} at temperature 0, each load "
        "against one request at a time."
    )
    parts = [f"One at a time, {_noise_text(row.alone)}."] if row.alone.prompts else []
    equal = [each for each in known if each.verdict == "no divergence"]
    if equal:
        bound = max(each.divergence.rate_below or 0.0 for each in equal)
        parts.append(
            f"No divergence was seen with {_names(equal)} (rate below {percent(bound, 1)} of "
            "prompts, 95 % confidence)."
        )
    for each in known:
        if each.verdict == "parts":
            share = each.divergence
            parts.append(
                f"With {one_line(each.condition, _MAX_NAME)}, {_rate_text(share)} of requests gave "
                f"another text than one at a time{_where_text(each)}."
            )
    unclear = [each for each in known if each.verdict == "unclear"]
    if unclear:
        parts.append(
            f"With {_names(unclear)}, texts differed, and so did those one at a time before and "
            "after the loads."
        )
    similar = [each for each in known if each.verdict == "as alone"]
    if similar:
        parts.append(
            f"With {_names(similar)}, texts differed, but not detectably more than one at a time."
        )
    untested = [each for each in known if each.verdict == "not tested"]
    if untested:
        parts.append(
            f"With {_names(untested)}, texts differed; how often one at a time is not known."
        )
    return " ".join([start, *parts])


def _noise_text(share: DivergenceShare) -> str:
    size = plural(share.prompts, "prompt")
    if not share.parted:
        return f"no divergence in {size}, rate below {_bound(share)} of prompts (95 % confidence)"
    return f"{_rate_text(share)} of two outputs of a prompt differ ({share.parted} of {size} part)"


def _rate_text(share: DivergenceShare) -> str:
    return f"{strict_percent(share.rate)} {share_interval(share.rate_ci95, strict=True)}".strip()


def _bound(share: DivergenceShare) -> str:
    return percent(share.rate_below, 1)


def _p(row: ConditionDivergence) -> str:
    return "p unknown" if row.p_adjusted is None else p_value(row.p_adjusted)


def _where_text(row: ConditionDivergence) -> str:
    if row.first_difference is None:
        return ""
    first = row.first_difference
    unit, length = ("token", first.tokens) if first.tokens else ("word", first.words)
    return f"; texts part after {_length_text(length, unit)}"


def _length_text(length: PrefixLength, unit: str) -> str:
    if length.median is None or length.earliest is None:
        return "an unknown length"
    ends = length.median_ci95
    interval = "" if ends is None else f" [{plain_number(ends[0])}, {plain_number(ends[1])}]"
    median = plain_number(length.median)
    noun = unit if length.median == 1 else f"{unit}s"
    return f"{median} {noun} in the median{interval}, {length.earliest} at the earliest"


def _held_text(row: ConditionDivergence) -> str:
    """What to know of the measurement before relying on it."""
    text = ""
    if row.held is False:
        mean = "" if row.in_flight_mean is None else f", {row.in_flight_mean:.1f} in flight"
        text = f"; this load was not held{mean} (see Load)"
    if row.between_blocks is False:
        text += "; no block alone came before and after it: a change over time may look the same"
    return text


def _names(rows: Sequence[ConditionDivergence]) -> str:
    return join_names([one_line(row.condition, _MAX_NAME) for row in rows], _MAX_NAMES)
