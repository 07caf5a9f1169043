"""The tables of batch invariance."""

from __future__ import annotations

from collections.abc import Sequence

from evalharness.analysis.invariance.first_difference import FirstDifference
from evalharness.analysis.invariance.verdicts import BatchInvariance, ConditionDivergence
from evalharness.report.words.format_numbers import (
    DASH,
    difference_interval,
    metric_difference,
    p_number,
    plain_number,
    share_interval,
    strict_percent,
)
from evalharness.report.words.plain_table import PlainTable

NOTE = (
    "other text: the chance that a request under this load gives another text than the same "
    "request alone. more than alone: that, less the chance that two requests alone, of different "
    "blocks, differ. p: whether it is more, within prompts, adjusted for all loads (Holm). parts "
    "after: median length in common of the prompts that part."
)


def invariance_table(rows: Sequence[BatchInvariance]) -> PlainTable:
    """One row a load."""
    headings = [
        "load", "verdict", "prompts", "prompts\nthat part", "other text\nthan alone",
        "more than\nalone", "p", "parts after\nwords",
    ]  # fmt: skip
    cells = [
        _cells(row.label, each)
        for row in rows
        for each in row.conditions
        if each.verdict != "not measurable"
    ]
    return PlainTable("Batch invariance", headings, cells, text_headings=("verdict",))


def tag_table(rows: Sequence[BatchInvariance]) -> PlainTable | None:
    """The prompts that part by tag, a column a load; None without tags or divergence."""
    conditions = [(row.label, each) for row in rows for each in row.conditions if each.tags]
    if not any(each.divergence.parted for _, each in conditions):
        return None
    names = list(dict.fromkeys(tag.tag for _, each in conditions for tag in each.tags))
    headings = ["prompts that part, by tag", *(_name(label, each) for label, each in conditions)]
    cells = [[name, *(_tag_cell(each, name) for _, each in conditions)] for name in names]
    return PlainTable("Batch invariance by tag", headings, cells)


def _tag_cell(row: ConditionDivergence, name: str) -> str:
    share = next((tag.divergence for tag in row.tags if tag.tag == name), None)
    return DASH if share is None else f"{share.parted} of {share.prompts}"


def _cells(label: str, row: ConditionDivergence) -> list[str]:
    share = row.divergence
    rate = f"{strict_percent(share.rate)} {share_interval(share.rate_ci95, strict=True)}".strip()
    excess = DASH
    if row.excess is not None:
        interval = difference_interval("agreement", row.excess_ci95)
        excess = f"{metric_difference('agreement', row.excess)} {interval}"
    return [
        _name(label, row), row.verdict, str(share.prompts), str(share.parted), rate, excess,
        p_number(row.p_adjusted), _words(row.first_difference),
    ]  # fmt: skip


def _name(label: str, row: ConditionDivergence) -> str:
    return f"{label}, {row.condition}" if label else row.condition


def _words(first: FirstDifference | None) -> str:
    if first is None or first.words.median is None:
        return DASH
    ends = first.words.median_ci95
    interval = "" if ends is None else f" [{plain_number(ends[0])}, {plain_number(ends[1])}]"
    return plain_number(first.words.median) + interval
