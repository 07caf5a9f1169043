"""From the report's JSON to what the template shows; nothing is computed there."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec

from evalharness.report.build.judges import judge_lines
from evalharness.report.build.prompts import TEXT_CHARS
from evalharness.report.build.provenance import concurrency_lines
from evalharness.report.html import excerpts
from evalharness.report.html.comparisons import comparison_row, trend_row
from evalharness.report.html.series import Series, series_of
from evalharness.report.html.table import SettingsTable, settings_table
from evalharness.report.words import format_numbers as n
from evalharness.report.words.breakdown_text import circumstance_tables
from evalharness.report.words.load_text import LoadView, load_view
from evalharness.report.words.money_text import PlainTable, money_lines, money_tables, price_origin
from evalharness.report.words.summary_text import Story, tell
from evalharness.report.words.verdicts import together

Row = dict[str, Any]

COMPARISONS = 300  # rows in the table; `compare --json` has them all
SHOWN_VARIANTS = 5
_MONEY_ROWS = 50  # of each table; the JSON has all
_SESSIONS = 6  # newest ones whose concurrency is told
_GOOD = ("honoured", "obeyed", "as asked", "no divergence seen")
_BAD = ("ignored", "partly honoured", "reversed", "not obeyed", "changed", "diverges")


class PromptView(msgspec.Struct, frozen=True):
    """One unstable prompt: the question, the diff of its top two, its outputs and who gave them."""

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


class View(msgspec.Struct, frozen=True):
    """The whole page."""

    story: Story
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


def view_of(data: Row) -> tuple[View, dict[str, Series]]:
    """Describe the page, and how each setting is drawn."""
    first = [found["setting_id"] for found in data["leaders"].values() if found is not None]
    series = series_of(data["settings"], first)
    labels = {row["setting_id"]: row["label"] for row in data["settings"]}
    worst = {row["prompt_id"]: row for row in reversed(data["least_stable"])}
    chosen = sorted(data["comparisons"], key=lambda row: not row["pooled"])
    view = View(
        story=tell(data),
        table=settings_table(data),
        series=list(series.values()),
        left_out=len(labels) - len(series),
        comparisons=[comparison_row(row) for row in chosen[:COMPARISONS]],
        comparisons_left_out=max(0, len(chosen) - COMPARISONS),
        trends=[trend_row(row) for row in data["trends"][:COMPARISONS]],
        verdicts=[_verdict(e) for e in together(data["effects"]) if e["verdict"] != "as asked"],
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
        money_tables=money_tables(data, brief=False, most=_MONEY_ROWS),
        circumstances=circumstance_tables(data, most=_MONEY_ROWS),
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
    return _prompt_view(prompt, prompt.get("worst", []), top, under, SHOWN_VARIANTS, excerpts.AFTER)


def prompt_page_view(prompt: Row, settings: list[Row]) -> PromptView:
    """A prompt on a page of its own: every output kept, whole, and what each setting made of it.

    ``settings`` are those of :func:`evalharness.report.build.prompts.by_setting`.
    """
    shown = len(prompt["variants"])
    return _prompt_view(prompt, settings, prompt["variants"][:2], "", shown, TEXT_CHARS)


def _prompt_view(
    prompt: Row, cells: list[Row], top: list[Row], under: str, shown: int, after: int
) -> PromptView:
    diff: list[excerpts.Piece] = []
    names = ("", "")
    if len(top) > 1:
        one, two = top[:2]
        diff = excerpts.word_diff(one["text"][:after], two["text"][:after])
        names = (_times(one), _times(two))
    variants = [_variant(v, after) for v in prompt["variants"][:shown]]
    return PromptView(
        prompt_id=prompt["prompt_id"],
        question=[
            (m["role"], excerpts.excerpt(m["text"], None, m["chars"], after))
            for m in prompt["question"]
        ],
        target=prompt["target"],
        headline=f"{n.plural(prompt['distinct'], 'different output')} over all settings",
        cells=[
            {
                "label": cell["label"],
                "agreement": n.percent(cell["agreement"]),
                "split": " + ".join(str(count) for count in cell["counts"]) or n.DASH,
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
    """Parameter, verdict, what it rests on, and the class of the badge."""
    verdict = effect["verdict"]
    look = "good" if verdict in _GOOD else "bad" if verdict in _BAD else "open"
    text = effect["sentence"]
    for prefix in (f"{effect['parameter']} {verdict}: ", f"{effect['parameter']}: "):
        text = text.removeprefix(prefix)
    return effect["parameter"], verdict, text, look


def _attempts(found: Row) -> list[tuple[str, str]]:
    if not found["made"]:
        return []
    outcomes = ", ".join(f"{count:,} {name}" for name, count in found["outcomes"].items())
    flight, queue = found["in_flight"], found["queue_s"]
    rows = [
        ("HTTP attempts", f"{found['made']:,} ({outcomes.replace('_', ' ')})"),
        ("Trials tried again", n.count(found["trials_retried"])),
    ]
    if found["wait_s_total"]:
        rows.append(("Paused before retries", f"{n.span(found['wait_s_total'])} in all"))
    if flight["mean"] is not None:
        rows.append(("In flight", f"{flight['mean']:.1f} on average, {flight['max']} at most"))
    if queue["p50"] is not None:
        wait = f"{n.seconds(queue['p50'])} median, {n.seconds(queue['p95'])} p95"
        rows.append(("Wait in our own queue", f"{wait} (not part of latency)"))
    return rows


def _provenance(data: Row) -> list[tuple[str, str]]:
    run, found = data["run"], data["provenance"]
    environment = found["environment"]
    packages: dict[str, str] = environment.get("packages") or {}
    rows = [
        ("Run", f"{run['name']}, {run['status']}"),
        ("Created", n.instant(run["created_at"])),
        ("Last change", n.instant(run["updated_at"])),
        ("evalharness", f"{run['code_version']}, storage schema {run['schema_version']}"),
        ("Machine", _machine(environment)),
        ("Client", _client(found["sessions"])),
        ("Packages", ", ".join(f"{name} {version}" for name, version in packages.items())),
        ("Endpoints", ", ".join(found["endpoints"])),
        ("Served models", _seen(data, "served_models")),
        ("System fingerprints", _seen(data, "system_fingerprints")),
        ("Adaptive concurrency", "; ".join(concurrency_lines(found["throttle"])[-_SESSIONS:])),
        ("Files", _files(found["files"])),
    ]
    return [(name, value) for name, value in rows if value]


def _machine(environment: Row) -> str:
    if not environment:
        return ""
    parts = [environment.get("platform"), f"{environment.get('cpus')} CPUs"]
    return ", ".join(str(part) for part in [*parts, f"Python {environment.get('python')}"] if part)


def _client(sessions: list[Row]) -> str:
    """How busy the client was while it sent; empty where nobody noted it."""
    seconds = sum(session.get("seconds") or 0.0 for session in sessions)
    if not seconds:
        return ""
    cpu = sum(session.get("cpu_s") or 0.0 for session in sessions)
    times = n.plural(len(sessions), "session")
    return f"{n.percent(cpu / seconds)} of a core while sending for {n.span(seconds)}, {times}"


def _seen(data: Row, part: str) -> str:
    total: Counter[str] = Counter()
    for row in data["settings"]:
        total.update(row[part])
    most = 12
    named = [f"{name} ({count:,}×)" for name, count in total.most_common(most)]
    return ", ".join(named) + (f" and {len(total) - most} more" if len(total) > most else "")


def _files(parts: list[Row]) -> str:
    if not parts:
        return ""
    size = sum(part["bytes"] for part in parts) / 1e6
    return f"{n.plural(len(parts), 'Parquet part')}, {size:,.1f} MB"
