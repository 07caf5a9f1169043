"""The table and the heat map of the agreement across settings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from evalharness.analysis.across.agreement_across import AgreementAcross
from evalharness.analysis.summary import SettingSummary
from evalharness.report.html import palette
from evalharness.report.html.charts import chart_parts
from evalharness.report.html.charts.chart_parts import Chart, Spec
from evalharness.report.sections.comparisons.across_words import (
    are_of_several_runs,
    share_text,
    side_names,
)
from evalharness.report.words.format_numbers import (
    DASH,
    p_number,
    strict_hundredths,
    strict_percent,
)
from evalharness.report.words.plain_table import PlainTable

if TYPE_CHECKING:
    from rich.table import Table

MAX_CELLS = 14  # settings on an axis of the heat map
MAX_ROWS = 15
NOTE = (
    "across: the chance that an output of one setting equals one of the other. within: the same of "
    "two repeats of one setting. p: whether across is below within by more than the noise of "
    "repeats, adjusted for all pairs."
)


def across_table(rows: Sequence[AgreementAcross], limit: int = MAX_ROWS) -> PlainTable:
    """One row a pair, the least alike first; rows and columns without any figure are left out."""
    known = [(row.text.across, row) for row in rows if row.text.across is not None]
    with_runs = are_of_several_runs(rows)
    cells = [_cells(row, with_runs) for _, row in sorted(known, key=lambda pair: pair[0])]
    headings = [
        "settings", "same text\nacross", "within\nfirst", "within\nsecond", "p",
        "same answer\nacross", "p of\nanswers", "edit\nsimilarity",
    ]  # fmt: skip
    shown = [i for i in range(len(headings)) if any(row[i] != DASH for row in cells)]
    return PlainTable(
        "Agreement across settings",
        [headings[i] for i in shown],
        [[row[i] for i in shown] for row in cells[:limit]],
        max(0, len(cells) - limit),
    )


def _cells(row: AgreementAcross, with_runs: bool) -> list[str]:
    a, b = side_names(row, with_runs)
    text, answer = row.text, row.answer
    if answer is not None and answer.verdict == "unknown":  # none was parsed
        answer = None
    mark = "~" if row.similarity_across_sampled and row.similarity_across is not None else ""
    return [
        f"{a} / {b}",
        share_text(text),
        strict_percent(text.own_a),
        strict_percent(text.own_b),
        p_number(text.p_adjusted),
        DASH if answer is None else share_text(answer),
        DASH if answer is None else p_number(answer.p_adjusted),
        f"{mark}{strict_percent(row.similarity_across)}",
    ]


def console_tables(rows: Sequence[AgreementAcross], width: int) -> tuple[list[Table], int]:
    """The table of a terminal, and how many rows it leaves out."""
    from evalharness.report.console.table_layout import fit_plain_table

    table = across_table(rows)
    return fit_plain_table(table, width), table.more


def across_chart(
    rows: Sequence[AgreementAcross], settings: Sequence[SettingSummary]
) -> Chart | None:
    """Settings × settings: the agreement across two, and of each with itself on the diagonal."""
    paired = {name for row in rows for name in (row.a, row.b)}
    shown = [s for s in settings if s.setting_id in paired][:MAX_CELLS]
    labels = chart_parts.names_for([s.label for s in shown], 18)
    name_of = {s.setting_id: label for s, label in zip(shown, labels, strict=True)}
    values: list[Spec] = [
        _cell(name_of[s.setting_id], name_of[s.setting_id], s.agreement.raw.pairwise)
        for s in shown
        if s.agreement.raw.pairwise is not None
    ]
    for row in rows:
        if row.a in name_of and row.b in name_of and row.text.across is not None:
            a, b = name_of[row.a], name_of[row.b]
            values += [_cell(a, b, row.text.across), _cell(b, a, row.text.across)]
    if len(shown) < 2 or not values:
        return None
    step = max(34, min(76, 2 * chart_parts.WIDTH // len(shown)))
    spec: Spec = {
        "width": {"step": step},
        "height": {"step": 40 if len(shown) <= 5 else 28},
        "data": {"values": values},
        "encoding": {"x": _names("x", labels), "y": _names("y", labels)},
        "resolve": {"scale": {"color": "independent"}},
        "layer": [
            {"mark": {"type": "rect"}, "encoding": {"color": chart_parts.heat("value", 0.0, 1.0)}},
            {
                "mark": {"type": "text", "fontSize": 12 if step >= 44 else 10.5},
                "encoding": {
                    "text": {"field": "shown"},
                    "color": {"field": "ink", "type": "nominal", "scale": None},
                },
            },
        ],
    }
    left = len(settings) - len(shown)
    rest = f"; the first {len(shown)} of {len(settings)} settings" if left > 0 else ""
    sizes = chart_parts.prompts_caption(row.text.prompts for row in rows)
    caption = (
        f"same text (%) across two settings; on the diagonal, of two repeats of one; {sizes}{rest}"
    )
    return Chart("Same text across settings", caption, spec, wide=len(shown) > 4)


def _cell(x: str, y: str, value: float) -> Spec:
    dark = chart_parts.heat_step(value, 0.0, 1.0) >= palette.HEAT_DARK_FROM
    ink = palette.ON_DEEP if dark else palette.ON_PALE
    return {"x": x, "y": y, "value": value, "shown": strict_hundredths(value), "ink": ink}


def _names(field: str, labels: Sequence[str]) -> Spec:
    names = list(labels)
    return {
        "field": field,
        "type": "nominal",
        "title": None,
        "sort": names,
        "scale": {"domain": names, "paddingInner": 0.04},
        "axis": {"labelAngle": 0 if len(names) <= 4 else -40, "domain": False},
    }
