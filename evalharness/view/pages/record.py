"""``/run/{run}/record/{trial_id}``: one record with everything that is known of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from evalharness.store.folder.annotations import Annotation, TrialKey, read_annotations, reader_name
from evalharness.view.context import ViewContext
from evalharness.view.links import record_url, row_id, run_url
from evalharness.view.pages.record_neighbours import TablePlace, prompt_neighbours, table_place
from evalharness.view.queries.record_lookup import trial_attempts
from evalharness.view.record.attempts import attempt_lines
from evalharness.view.record.facts import record_facts
from evalharness.view.record.logprobs import read_heat
from evalharness.view.record.markdown_output import markdown_html
from evalharness.view.record.messages import shown_prompt, tool_calls
from evalharness.view.record.money import record_cost
from evalharness.view.record.other_record import DiffChoices, RecordDifference, choices, difference
from evalharness.view.record.read import FoundRecord, plain_rows, price_book, read_record, siblings
from evalharness.view.record.texts import MAX_OUTPUT, CutText, cut, laid_out, output_json
from evalharness.view.record.waterfall import LEGEND

#: How an output can be shown, with the key that leads there.
TABS = (("raw", "r"), ("markdown", "m"), ("json", None), ("diff", "d"))
_BODIES = {
    "output": "text", "reasoning": "reasoning_text", "request": "request_json",
    "response": "response_json", "logprobs": "logprobs_json", "tools": "tool_calls_json",
}  # fmt: skip


class Tab(NamedTuple):
    """A way to show the output."""

    name: str
    url: str
    key: str | None
    is_shown: bool


class Marks(NamedTuple):
    """What the reader says of the record, and what others say."""

    own: Annotation | None
    others: list[Annotation]


def routes(context: ViewContext) -> list[Route]:
    """The address of a record."""

    def show(request: Request) -> Response:
        key, trial_id = request.path_params["run"], request.path_params["trial_id"]
        record = read_record(context.runs.find(key).open(), trial_id)
        body = request.query_params.get("body")
        if body is not None:
            return _body(record, body)
        return context.page("record.html", **_values(context, key, record, request))

    return [Route("/run/{run:run}/record/{trial_id:path}", show)]


def _values(
    context: ViewContext, key: str, record: FoundRecord, request: Request
) -> dict[str, Any]:
    """What the template shows."""
    run, row, table = record.run, record.row, request.query_params.get("from")
    keys = siblings(run, row["prompt_id"])
    place = None
    neighbours = prompt_neighbours(keys, record.output.trial_id) if table is None else None
    if table is not None:
        place = table_place(context, key, run, table, record.output.trial_id)
        neighbours = None if place is None else place.neighbours

    def own_url(**changes: str | None) -> str:
        return record_url(key, record.output.trial_id, table=table, **changes)

    return {
        "run": key,
        "record": record,
        "row": row,
        "output": record.output,
        "label": row["setting_id"] if record.setting is None else record.setting.label,
        "facts": record_facts(row),
        "marks": _marks(run.root, record.output.trial_id),
        "reader": reader_name(),
        "neighbours": neighbours,
        "table": table,
        "back_url": _back_url(key, table, place, record.output.trial_id),
        "own_url": own_url,
        **_prompt_values(record),
        **_output_values(context, key, record, keys, request.query_params, own_url),
        **_request_values(record),
    }


def _back_url(key: str, table: str | None, place: TablePlace | None, trial_id: str) -> str:
    """The table it is seen from, on the page that has the record now, at its row."""
    query = f"?{table}" if table else ""
    if place is not None:
        query = place.shown.query()
    return f"{run_url(key, 'records')}{query}#{quote(row_id(trial_id), safe='')}"


def _prompt_values(record: FoundRecord) -> dict[str, Any]:
    prompt = record.prompt
    return {
        "prompt": shown_prompt(record.row["request_json"], prompt),
        "target": None if prompt is None else _cut(_pretty(prompt["target_json"])),
        "checks": None if prompt is None else _cut(_pretty(prompt["scoring_json"])),
        "tags": [] if prompt is None else prompt["tags"] or [],
        "system": None if record.setting is None else record.setting.system,
    }


def _output_values(
    context: ViewContext, key: str, record: FoundRecord, keys: list[TrialKey],
    query: QueryParams, own_url: Callable[..., str],
) -> dict[str, Any]:  # fmt: skip
    row, output = record.row, record.output
    shown, against = query.get("as", "raw"), query.get("against")
    if shown not in [name for name, _ in TABS]:
        shown = "raw"
    text = cut(output.shown, MAX_OUTPUT)
    json_text = None if output.text is None else output_json(output.text)
    compared: RecordDifference | None = None
    options: DiffChoices | None = None
    if shown == "diff":
        options = choices(context.runs, key, record, keys, against)
        compared = difference(context.runs, key, record, options.chosen)
    return {
        "shown": shown,
        "tabs": _tabs(own_url, shown, against, has_json=json_text is not None),
        "text": text,
        "markdown": markdown_html(text) if shown == "markdown" else None,
        "pretty": None if json_text is None else cut(json_text, MAX_OUTPUT),
        "choices": options,
        "compared": compared,
        "reasoning": _cut(row["reasoning_text"] or row["reasoning"]),
        "tool_calls": tool_calls(row["tool_calls_json"]),
        "choices_json": _cut(_pretty(row["choices_json"])),
        "heat": read_heat(row["logprobs_json"], whole=query.get("tokens") == "all"),
    }


def _request_values(record: FoundRecord) -> dict[str, Any]:
    run, row = record.run, record.row
    book, price_problem = price_book(run)
    attempts = trial_attempts(run, record.output.trial_id)
    attempt_rows = plain_rows(attempts)
    bodies = [("request", row["request_json"]), ("response", row["response_json"])]
    return {
        "attempts": attempt_lines(run, attempts, row, book),
        "attempt_bodies": _attempt_bodies(attempt_rows),
        "legend": LEGEND,
        "cost": record_cost(row, book, attempt_rows),
        "price_problem": price_problem,
        "bodies": [(name, _cut(_pretty(body))) for name, body in bodies if body is not None],
        "bytes": None if row["response_bytes"] is None else len(row["response_bytes"]),
    }


def _body(record: FoundRecord, name: str) -> Response:
    """One of the texts, whole, as it was recorded; never as a page."""
    if name == "bytes" and record.row["response_bytes"] is not None:
        return Response(record.row["response_bytes"], media_type="application/octet-stream")
    text = record.output.shown if name == "output" else record.row[_BODIES.get(name, "text")]
    if name not in _BODIES or text is None:
        raise HTTPException(404, f"the record has no {name}")
    return PlainTextResponse(str(text).encode("utf-8", "backslashreplace"))


def _tabs(
    own_url: Callable[..., str], shown: str, against: str | None, *, has_json: bool
) -> list[Tab]:
    return [
        Tab(
            name,
            own_url(shown=None if name == "raw" else name, against=against),
            key,
            name == shown,
        )
        for name, key in TABS
        if name != "json" or has_json or shown == "json"
    ]


def _marks(root: Path, trial_id: str) -> Marks:
    rows = [row for row in read_annotations(root).rows if row.trial_id == trial_id]
    reader = reader_name()
    own = next((row for row in rows if row.reader == reader), None)
    return Marks(own, [row for row in rows if row.reader != reader])


def _attempt_bodies(attempts: list[dict[str, Any]]) -> list[tuple[int, CutText]]:
    """The responses of attempts that did not become the record."""
    return [
        (row["attempt"], cut(laid_out(row["response_json"])))
        for row in attempts
        if row["response_json"] is not None
    ]


def _pretty(text: str | None) -> str | None:
    return None if text is None else laid_out(text)


def _cut(text: str | None) -> CutText | None:
    return None if text is None else cut(text)
