"""Tables of the money of a run, the same on a terminal, in HTML and in Markdown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from evalharness.analysis.cost.cost_figures import CostFigures
from evalharness.analysis.cost.cost_tables import (
    ModelMoney,
    PromptMoney,
    SettingProjection,
    TagMoney,
)
from evalharness.analysis.cost.usage import TOKENS
from evalharness.report.build.money import Money, Projection
from evalharness.report.words.cost_origin import cost_mark, with_mark
from evalharness.report.words.format_numbers import DASH, count_text, dollars, percent
from evalharness.report.words.plain_table import PlainTable

_MAX_PROMPTS = 5  # rows of the table of prompts in brief
_PRICED = "priced"


class _Column(msgspec.Struct, frozen=True):
    heading: str
    fill: Callable[[CostFigures], str]
    brief: bool = True


class _CostRow(NamedTuple):
    name: str
    figures: CostFigures


def money_tables(money: Money, *, brief: bool, max_rows: int) -> list[PlainTable]:
    """Tokens and dollars by setting, model, tag and prompt, and the projection to a volume.

    Args:
        money: of the run.
        brief: fewer columns, for a terminal.
        max_rows: rows of each table.

    Returns:
        No table of costs where everything is free or unknown.
    """
    tables: list[PlainTable] = []
    if money.total.total_usd or money.total.estimate_usd:
        models = money.models if len(money.models) > 1 else []
        parts = (
            ("setting", [_CostRow(row.label, row) for row in money.settings]),
            ("model", [_CostRow(_model_name(row), row) for row in models]),
            ("tag", [_CostRow(_tag_name(row), row) for row in money.tags]),
        )
        tables = [_table(title, rows, brief, max_rows) for title, rows in parts if rows]
        if money.prompts.most_expensive:
            tables.append(_prompts_table(money.prompts.most_expensive, brief, max_rows))
    if money.projection is not None:
        tables.append(_projection_table(money.projection, max_rows))
    return tables


def _model_name(row: ModelMoney) -> str:
    return " at ".join(name for name in (row.model, row.provider) if name is not None)


def _tag_name(row: TagMoney) -> str:
    return "(no tag)" if row.tag is None else row.tag


def _prompts_table(prompts: Sequence[PromptMoney], brief: bool, max_rows: int) -> PlainTable:
    rows = [_CostRow(row.prompt_id, row) for row in prompts]
    table = _table("dearest\nprompts", rows, brief, max_rows)
    if brief:
        return PlainTable(table.title, table.headings, table.rows[:_MAX_PROMPTS])
    shares = [percent(row.share) for row in prompts]
    return PlainTable(
        table.title,
        [*table.headings[:2], "share", *table.headings[2:]],
        [[*cells[:2], share, *cells[2:]] for cells, share in zip(table.rows, shares, strict=False)],
        table.more,
    )


def _table(title: str, rows: Sequence[_CostRow], brief: bool, max_rows: int) -> PlainTable:
    columns = [c for c in _columns() if c.brief or not brief]
    columns = [c for c in columns if any(c.fill(row.figures) not in ("", DASH) for row in rows)]
    if brief and all(row.figures.known == row.figures.trials for row in rows):
        columns = [c for c in columns if c.heading != _PRICED]
    return PlainTable(
        title,
        [title, *(c.heading for c in columns)],
        [[row.name, *(c.fill(row.figures) for c in columns)] for row in rows[:max_rows]],
        max(0, len(rows) - max_rows),
    )


def _columns() -> list[_Column]:
    return [
        _Column(_PRICED, lambda row: f"{row.known:,}/{row.trials:,}"),
        _Column("mean tokens in/\ncached/out/reas.", _tokens),
        _Column("total", lambda row: with_mark(dollars(row.total_usd), _mark(row))),
        _Column("estimated\nbeside", lambda row: dollars(row.estimate_usd), brief=False),
        _Column("mean", lambda row: with_mark(dollars(row.mean_usd), _mark(row)), brief=False),
        _Column("1,000 requests\n[95 % CI]", _per_1k),
        _Column("a correct\nanswer", lambda row: dollars(row.per_correct_usd)),
        _Column("correct in\nall repeats", lambda row: dollars(row.per_reliably_correct_usd)),
        _Column("cached", lambda row: percent(row.cache.share), brief=False),
        _Column("saved by\ncache", lambda row: dollars(row.cache.saved_usd), brief=False),
        *(_tokens_in_all(name) for name in TOKENS),
    ]


def _mark(row: CostFigures | SettingProjection) -> str:
    return cost_mark(row.from_bill, row.known)


def _tokens(row: CostFigures) -> str:
    means = [row.tokens[name].mean for name in TOKENS]
    return DASH if means == [None] * len(means) else "/".join(_mean(mean) for mean in means)


def _tokens_in_all(name: str) -> _Column:
    heading = f"{name.replace('_', ' ')}\nin all"
    return _Column(heading, lambda row: count_text(row.tokens[name].total), brief=False)


def _per_1k(row: CostFigures) -> str:
    ends = None if row.ci95 is None else [1000 * end for end in row.ci95]
    return with_mark(_with_interval(row.per_1k_requests, ends), _mark(row))


def _projection_table(projection: Projection, max_rows: int) -> PlainTable:
    title = f"at {projection.volume:,.0f} requests"
    rows = projection.settings
    return PlainTable(
        title,
        [title, "cost [95 % CI]", "prompt tokens", "completion tokens"],
        [
            [
                row.label,
                with_mark(_with_interval(row.usd, row.ci95), _mark(row)),
                count_text(row.prompt_tokens),
                count_text(row.completion_tokens),
            ]
            for row in rows[:max_rows]
        ],
        max(0, len(rows) - max_rows),
    )


def _mean(value: float | None) -> str:
    if value is None:
        return DASH
    return f"{value:,.0f}" if value >= 10 or value == 0 else f"{value:.1f}"


def _with_interval(value: float | None, ends: Sequence[float] | None) -> str:
    if value is None or ends is None:
        return dollars(value)
    return f"{dollars(value)} [{_without_sign(ends[0])}, {_without_sign(ends[1])}]"


def _without_sign(value: float) -> str:
    return dollars(value).replace("$", "")
