"""``/``: the list of runs, to search, filter, sort, and to pick those that are compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from evalharness.errors import EvalharnessError
from evalharness.listing.run_row import ListedRun
from evalharness.listing.table import cost_text, records_text, share_text
from evalharness.process.text import plural
from evalharness.report.words.format_numbers import dollars
from evalharness.view.context import ViewContext
from evalharness.view.live.running_rows import RunningRows
from evalharness.view.pages.record_cells import FilterPart, FilterWords, each_in_words
from evalharness.view.run_filter import RunFilter
from evalharness.view.runs import RunRow
from evalharness.view.sparkline import bars, line

if TYPE_CHECKING:
    from markupsafe import Markup

#: Heading and sort key of the columns; a column without a key is not sorted by.
COLUMNS = (
    ("run", "name"), ("begun (UTC)", "date"), ("status", "status"), ("models", None),
    ("settings × prompts × repeats", None), ("records", "records"), ("score", "score"),
    ("agreement", "agreement"), ("cost", "cost"), ("tags", None), ("note", None),
)  # fmt: skip
NUMBERS = {"settings × prompts × repeats", "records", "score", "agreement", "cost"}
_UNKNOWN = "—"
_MAX_FOLLOWED = 20  # runs that a page asks for again


class RunLine(NamedTuple):
    """A row of the table: the run, its cells as texts, and whether the page asks for it again."""

    key: str
    row: ListedRun
    is_followed: bool
    begun: str
    sizes: str
    records: str
    score: str
    score_bars: Markup | None
    agreement: str
    cost: str
    cost_bars: Markup | None


class FigureLine(NamedTuple):
    """A figure of the runs that are shown, oldest to newest."""

    name: str
    drawing: Markup | None
    text: str


def routes(context: ViewContext) -> list[Route]:
    """The address of the list, and of what is new in it."""
    following = RunningRows()

    def show(request: Request) -> Response:
        rows = context.runs.rows()
        shown = RunFilter.of_query(request.query_params)
        selected = shown.select(rows)
        everything = [row for _, row in rows]
        return context.page(
            "runs.html",
            filter=shown,
            columns=COLUMNS,
            numbers=NUMBERS,
            lines=[_line(run, is_local=context.runs.is_local(run.key)) for run in selected],
            trends=_trends(selected),
            count=_count(len(rows), len(selected)),
            words=_words(shown),
            chosen_status=[shown.status] if shown.status else [],
            models=sorted({model for row in everything for model in row.models}),
            tags=sorted({tag for row in everything for tag in row.tags}),
            statuses=sorted({row.status for row in everything}),
        )

    def running(request: Request) -> Response:
        """The rows of runs that go on, or have just ended: ``?run=KEY&run=KEY``."""
        shown, rows = RunFilter.of_query(_without_runs(request.query_params)), dict[str, str]()
        for key in request.query_params.getlist("run")[:_MAX_FOLLOWED]:
            with suppress(EvalharnessError):  # gone meanwhile: its row stays as it was
                run = context.runs.find(key)
                if run.files.root is not None:
                    row = following.row(run.files.root, partial(context.runs.row, run))
                    line = _line(RunRow(key, row), is_local=True)
                    rows[key] = context.render("runs_row.html", r=line, filter=shown)
        return JSONResponse(rows)

    return [Route("/", show), Route("/running", running)]


def _without_runs(query: QueryParams) -> QueryParams:
    """The filter of the page in the query of ``/running``, which also names the rows."""
    return QueryParams([(name, value) for name, value in query.multi_items() if name != "run"])


def _line(run: RunRow, *, is_local: bool) -> RunLine:
    row = run.row
    sizes = (row.settings, row.prompts, row.repeats)
    return RunLine(
        key=run.key,
        row=row,
        is_followed=is_local and row.status == "running",
        begun=_UNKNOWN if row.created_at is None else row.created_at[:16].replace("T", " "),
        sizes=" × ".join(_UNKNOWN if size is None else f"{size:,}" for size in sizes),
        records=records_text(row),
        score=share_text(row.score),
        score_bars=bars(row.setting_scores, _spoken("score", row.setting_scores), 1.0),
        agreement=share_text(row.agreement),
        cost=cost_text(row),
        cost_bars=bars(row.setting_costs_usd, _spoken("cost", row.setting_costs_usd)),
    )


def _words(shown: RunFilter) -> list[FilterWords]:
    """Every part of the filter, with the address without it."""
    parts: list[FilterPart] = [(f"with “{shown.text}”", {"text": ""})] if shown.text else []
    parts += each_in_words("model", "or", "models", shown.models)
    parts += each_in_words("tag", "and", "tags", shown.tags)
    parts += [(f"status {shown.status}", {"status": ""})] if shown.status else []
    return [
        FilterWords(words, msgspec.structs.replace(shown, **without).url().removeprefix("/"))
        for words, without in parts
    ]


def _spoken(figure: str, values: Sequence[float | None]) -> str:
    return f"{figure} of {plural(len(values), 'setting')}, one bar each"


def _trends(rows: Sequence[RunRow]) -> list[FigureLine]:
    """Score and cost over the dates of the runs; nothing below two that have one."""
    dated = sorted((row for _, row in rows if row.created_at), key=lambda r: r.created_at or "")
    scores = [row.score.max for row in dated if row.score is not None]
    costs = [row.cost_usd for row in dated if row.cost_usd is not None]
    trends = [
        _trend("best score", scores, lambda score: f"{100 * score:.0f} %"),
        _trend("cost", costs, dollars),
    ]
    return [trend for trend in trends if trend.drawing is not None]


def _trend(name: str, values: Sequence[float], text_of: Callable[[float], str]) -> FigureLine:
    if not values:
        return FigureLine(name, None, "")
    text = f"{text_of(min(values))} to {text_of(max(values))}"
    spoken = f"{name} of {plural(len(values), 'run')}, oldest to newest: {text}"
    return FigureLine(name, line(values, spoken), text)


def _count(everything: int, selected: int) -> str:
    if selected == everything:
        return plural(everything, "run")
    return f"{selected:,} of {plural(everything, 'run')}"
