"""The view of the page: everything the template shows, made from the report's JSON."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec

from evalharness.process.text import plural
from evalharness.report.build.prompts import MAX_TEXT_CHARS
from evalharness.report.html import excerpts
from evalharness.report.html.comparisons import comparison_row, trend_row
from evalharness.report.html.series import Series, series_of
from evalharness.report.html.table import SettingsTable, settings_table
from evalharness.report.summary_text import SummaryText, summary_text
from evalharness.report.words.breakdown_text import circumstance_tables
from evalharness.report.words.format_numbers import (
    DASH,
    count_text,
    duration,
    instant,
    percent,
    seconds,
)
from evalharness.report.words.judge_text import judge_lines
from evalharness.report.words.load_text import LoadView, load_view
from evalharness.report.words.money_tables import PlainTable, money_tables
from evalharness.report.words.money_text import money_lines, price_origin
from evalharness.report.words.run_text import concurrency_lines
from evalharness.report.words.verdicts import merge_verdicts

Row = dict[str, Any]

MAX_COMPARISONS = 300  # rows of the table; `compare --json` has all
MAX_SHOWN_VARIANTS = 5
_MAX_MONEY_ROWS = 50  # of each table; the JSON has all rows
_MAX_SESSIONS = 6  # the newest ones, whose concurrency is shown
_MAX_NAMES = 12  # served models or fingerprints listed
_GOOD_VERDICTS = ("honoured", "obeyed", "as asked", "no divergence seen")
_BAD_VERDICTS = ("ignored", "partly honoured", "reversed", "not obeyed", "changed", "diverges")


class PromptView(msgspec.Struct, frozen=True):
    """One unstable prompt: the question, the diff of its two commonest outputs, its outputs."""

    prompt_id: str
    question: list[tuple[str, excerpts.Excerpt]]
    target: str | None
    headline: str
    cells: list[Row]
    diff: list[excerpts.Piece]
    diff_of: tuple[str, str]
    under: str
    variants: list[Row]
    more: int
    errors: int


class PageView(msgspec.Struct, frozen=True):
    """Everything on the page of a report."""

    summary: SummaryText
    table: SettingsTable
    series: list[Series]
    left_out: int
    comparisons: list[Row]
    comparisons_left_out: int
    trends: list[Row]
    verdicts: list[tuple[str, str, str, str]]
    routine: list[str]
    prompts: list[PromptView]
    errors: list[Row]
    attempts: list[tuple[str, str]]
    failed: list[Row]
    provenance: list[tuple[str, str]]
    prices: list[tuple[Row, str]]
    money: list[str]
    money_tables: list[PlainTable]
    circumstances: list[PlainTable]
    judges: list[list[str]]
    load: LoadView | None
    config: str | None
    run: Row


def page_view(data: Row) -> tuple[PageView, dict[str, Series]]:
    """Return the view of the page, and how each setting is drawn."""
    first = [leader["setting_id"] for leader in data["leaders"].values() if leader is not None]
    series = series_of(data["settings"], first)
    labels = {row["setting_id"]: row["label"] for row in data["settings"]}
    worst = {row["prompt_id"]: row for row in reversed(data["least_stable"])}
    comparisons = sorted(data["comparisons"], key=lambda row: not row["pooled"])
    view = PageView(
        summary=summary_text(data),
        table=settings_table(data),
        series=list(series.values()),
        left_out=len(labels) - len(series),
        comparisons=[comparison_row(row) for row in comparisons[:MAX_COMPARISONS]],
        comparisons_left_out=max(0, len(comparisons) - MAX_COMPARISONS),
        trends=[trend_row(row) for row in data["trends"][:MAX_COMPARISONS]],
        verdicts=[
            _verdict(e) for e in merge_verdicts(data["effects"]) if e["verdict"] != "as asked"
        ],
        routine=[
            e["sentence"].replace(" as asked: ", " ", 1)
            for e in data["effects"]
            if e["verdict"] == "as asked"
        ],
        prompts=[prompt_view(p, worst.get(p["prompt_id"])) for p in data["unstable_prompts"]],
        errors=[
            {**e, "label": labels.get(e["setting_id"], e["setting_id"])} for e in data["errors"]
        ],
        attempts=_attempts(data["attempts"]),
        failed=data["attempts"]["failed"],
        provenance=_provenance(data),
        prices=[(entry, price_origin(entry)) for entry in data["prices"]["used"]],
        money=money_lines(data),
        money_tables=money_tables(data, brief=False, max_rows=_MAX_MONEY_ROWS),
        circumstances=circumstance_tables(data, max_rows=_MAX_MONEY_ROWS),
        judges=[judge_lines(facts) for facts in data["judges"]],
        load=load_view(data["load"]),
        config=data["provenance"]["config"],
        run=data["run"],
    )
    return view, series


def prompt_view(prompt: Row, worst: Row | None) -> PromptView:
    """One prompt; ``worst`` is its row of ``least_stable``, whose top two outputs are compared."""
    top: list[Row] = [] if worst is None else worst["top"]
    under = "" if worst is None else f" under {worst['label']}"
    return _prompt_view(
        prompt, prompt.get("worst", []), top, under, MAX_SHOWN_VARIANTS, excerpts.AFTER
    )


def prompt_page_view(prompt: Row, settings: list[Row]) -> PromptView:
    """A prompt on a page of its own: all its outputs in full, and its counts by setting.

    ``settings`` are those of :func:`evalharness.report.build.prompts.by_setting`.
    """
    shown = len(prompt["variants"])
    return _prompt_view(prompt, settings, prompt["variants"][:2], "", shown, MAX_TEXT_CHARS)


def _prompt_view(
    prompt: Row, cells: list[Row], top: list[Row], under: str, shown: int, after: int
) -> PromptView:
    diff: list[excerpts.Piece] = []
    names = ("", "")
    if len(top) > 1:
        first, second = top[:2]
        diff = excerpts.word_diff(first["text"][:after], second["text"][:after])
        names = (_times(first), _times(second))
    variants = [_variant(v, after) for v in prompt["variants"][:shown]]
    return PromptView(
        prompt_id=prompt["prompt_id"],
        question=[
            (m["role"], excerpts.excerpt(m["text"], None, m["chars"], after))
            for m in prompt["question"]
        ],
        target=prompt["target"],
        headline=f"{plural(prompt['distinct'], 'different output')} over all settings",
        cells=[
            {
                "label": cell["label"],
                "agreement": percent(cell["agreement"]),
                "split": " + ".join(str(count) for count in cell["counts"]) or DASH,
                "n": cell["n"],
                "errors": cell.get("errors", 0),
            }
            for cell in cells
        ],
        diff=diff,
        diff_of=names,
        under=under,
        variants=variants,
        more=prompt["distinct"] - len(variants),
        errors=prompt["errors"],
    )


def _times(variant: Row) -> str:
    return f"{variant['count']}× ({variant['status']})"


def _variant(variant: Row, after: int) -> Row:
    return {
        "count": variant["count"],
        "status": variant["status"],
        "settings": [f"{s['label']} ({s['count']}×)" for s in variant["settings"]],
        "marked": variant["first_difference_chars"] is not None,
        "text": excerpts.excerpt(
            variant["text"], variant["first_difference_chars"], variant["chars"], after
        ),
        "empty": variant["chars"] == 0,
    }


def _verdict(effect: Row) -> tuple[str, str, str, str]:
    """The parameter, the verdict, its evidence, and the CSS class of the badge."""
    verdict = effect["verdict"]
    badge = "good" if verdict in _GOOD_VERDICTS else "bad" if verdict in _BAD_VERDICTS else "open"
    text = effect["sentence"]
    for prefix in (f"{effect['parameter']} {verdict}: ", f"{effect['parameter']}: "):
        text = text.removeprefix(prefix)
    return effect["parameter"], verdict, text, badge


def _attempts(attempts: Row) -> list[tuple[str, str]]:
    if not attempts["made"]:
        return []
    outcomes = ", ".join(f"{count:,} {name}" for name, count in attempts["outcomes"].items())
    flight, queue = attempts["in_flight"], attempts["queue_s"]
    rows = [
        ("HTTP attempts", f"{attempts['made']:,} ({outcomes.replace('_', ' ')})"),
        ("Trials tried again", count_text(attempts["trials_retried"])),
    ]
    if attempts["wait_s_total"]:
        rows.append(("Paused before retries", f"{duration(attempts['wait_s_total'])} in all"))
    if flight["mean"] is not None:
        rows.append(("In flight", f"{flight['mean']:.1f} on average, {flight['max']} at most"))
    if queue["p50"] is not None:
        wait = f"{seconds(queue['p50'])} median, {seconds(queue['p95'])} p95"
        rows.append(("Wait in our own queue", f"{wait} (not part of latency)"))
    return rows


def _provenance(data: Row) -> list[tuple[str, str]]:
    run, provenance = data["run"], data["provenance"]
    environment = provenance["environment"]
    packages: dict[str, str] = environment.get("packages") or {}
    rows = [
        ("Run", f"{run['name']}, {run['status']}"),
        ("Created", instant(run["created_at"])),
        ("Last change", instant(run["updated_at"])),
        ("evalharness", f"{run['code_version']}, storage schema {run['schema_version']}"),
        ("Machine", _machine(environment)),
        ("Client", _client(provenance["sessions"])),
        ("Packages", ", ".join(f"{name} {version}" for name, version in packages.items())),
        ("Endpoints", ", ".join(provenance["endpoints"])),
        ("Served models", _names_with_counts(data, "response_models")),
        ("System fingerprints", _names_with_counts(data, "system_fingerprints")),
        (
            "Adaptive concurrency",
            "; ".join(concurrency_lines(provenance["throttle"])[-_MAX_SESSIONS:]),
        ),
        ("Files", _files(provenance["files"])),
    ]
    return [(name, value) for name, value in rows if value]


def _machine(environment: Row) -> str:
    if not environment:
        return ""
    parts = [environment.get("platform"), f"{environment.get('cpus')} CPUs"]
    return ", ".join(str(part) for part in [*parts, f"Python {environment.get('python')}"] if part)


def _client(sessions: list[Row]) -> str:
    """How busy the client was while it sent; empty where it was not recorded."""
    sending_s = sum(session.get("seconds") or 0.0 for session in sessions)
    if not sending_s:
        return ""
    cpu_s = sum(session.get("cpu_s") or 0.0 for session in sessions)
    times = plural(len(sessions), "session")
    return (
        f"{percent(cpu_s / sending_s)} of a core while sending for {duration(sending_s)}, {times}"
    )


def _names_with_counts(data: Row, part: str) -> str:
    total: Counter[str] = Counter()
    for row in data["settings"]:
        total.update(row[part])
    rest = len(total) - _MAX_NAMES
    names = [f"{name} ({count:,}×)" for name, count in total.most_common(_MAX_NAMES)]
    return ", ".join(names) + (f" and {rest} more" if rest > 0 else "")


def _files(parts: list[Row]) -> str:
    if not parts:
        return ""
    size = sum(part["bytes"] for part in parts) / 1e6
    return f"{plural(len(parts), 'Parquet part')}, {size:,.1f} MB"
