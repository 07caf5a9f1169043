"""The table of settings: grouped columns, sortable, the best marked only where it is proven."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from evalharness.report.words import format_numbers as n
from evalharness.report.words.answers import is_settled

Row = dict[str, Any]


class Cell(msgspec.Struct, frozen=True):
    """What a cell shows. ``sort`` is the number or text it sorts by; None sorts last."""

    text: str
    beside: str = ""
    sort: float | str | None = None
    leading: bool = False


class Column(msgspec.Struct, frozen=True):
    """One column. ``help`` says in a sentence what the figure is.

    A column is left out where no setting has a value, or where ``keep`` holds for none.
    """

    group: str
    heading: str
    help: str
    fill: Callable[[Row], Cell]
    keep: Callable[[Row], bool] | None = None


class SettingsTable(msgspec.Struct, frozen=True):
    """Ready for a template: ``groups`` are headings with the columns they span."""

    groups: list[tuple[str, int]]
    columns: list[Column]
    rows: list[tuple[Row, list[Cell]]]
    marks: bool


def settings_table(data: Row) -> SettingsTable:
    """Lay the settings of a report out as a table."""
    settings: list[Row] = data["settings"]
    columns = [
        column
        for column in _columns(data["leaders"], settings)
        if any(_shows(column, row) for row in settings)
    ]
    rows = [(row, [column.fill(row) for column in columns]) for row in settings]
    groups: list[tuple[str, int]] = []
    for column in columns:
        if groups and groups[-1][0] == column.group:
            groups[-1] = (column.group, groups[-1][1] + 1)
        else:
            groups.append((column.group, 1))
    marks = any(cell.leading for _, cells in rows for cell in cells)
    return SettingsTable(groups, columns, rows, marks)


def _shows(column: Column, row: Row) -> bool:
    if column.keep is not None:
        return column.keep(row)
    return column.fill(row).sort is not None


def leading_settings(leaders: Row, metric: str) -> set[str]:
    """Settings to mark: the leading group of a metric, where enough is outside it to say so."""
    found = leaders.get(metric)
    return set() if found is None or not is_settled(found) else set(found["group"])


def _columns(leaders: Row, settings: Sequence[Row]) -> list[Column]:
    most = max((row["agreement"]["raw"]["n"] or 0 for row in settings), default=0)
    return [
        *_trials(settings),
        *_repeatability(leaders, most),
        *_quality(leaders, settings, most),
        *_time(leaders),
        *_tokens(),
        *_money(leaders),
    ]


def _trials(settings: Sequence[Row]) -> list[Column]:
    names = {
        "ok": ("ok", "complete outputs, share of trials"),
        "truncated": ("cut", "outputs cut at max_tokens, share of trials"),
        "empty": ("empty", "empty outputs, share of trials"),
        "refused": ("refused", "refusals, share of trials"),
        "error": ("errors", "trials without an output, share of trials"),
    }
    found: list[Column] = [
        Column(
            "Trials", "n", "trials recorded", lambda r: Cell(n.count(r["trials"]), sort=r["trials"])
        )
    ]
    for status, (heading, text) in names.items():
        if status == "ok" or any(row["status"][status] for row in settings):
            found.append(Column("Trials", heading, text, _plain_share("status_share", status)))
    return found


def _repeatability(leaders: Row, most: int) -> list[Column]:
    return [
        Column(
            "Repeatability", "same text",
            "chance that two repeats of a prompt give the identical text, mean over prompts",
            _agreement("raw", leading_settings(leaders, "agreement")),
        ),
        Column(
            "Repeatability", f"all {most} alike",
            f"share of prompts whose {most} repeats are identical (TARr@{most}), Wilson interval",
            _unanimous,
        ),
        Column(
            "Repeatability", "same answer",
            "chance that two repeats give the same parsed answer, mean over prompts",
            _agreement("answer", leading_settings(leaders, "agreement_answer")),
        ),
        Column(
            "Repeatability", "effective outputs",
            "how many outputs a prompt behaves like: exp of the entropy, mean over prompts",
            lambda r: _number(r["effective_outputs"], f"{r['effective_outputs'] or 0:.2f}"),
        ),
    ]  # fmt: skip


def _quality(leaders: Row, settings: Sequence[Row], most: int) -> list[Column]:
    best = leading_settings(leaders, "score")
    others = sorted({name for row in settings for name in row["scores"]})
    found = [
        Column("Score", "mean", "mean score over prompts with a target", _score("score", best)),
        Column(
            "Score", f"pass^{most}",
            f"chance that all of {most} repeats are right", _passing("pass_hat_k", most),
        ),
        Column(
            "Score", f"pass@{most}",
            f"chance that at least one of {most} repeats is right", _passing("pass_at_k", most),
        ),
    ]  # fmt: skip
    found += [
        Column("Score", name, f"mean of the scorer {name}", _other_score(name)) for name in others
    ]
    return found if most > 1 else [found[0], *found[3:]]  # pass^1 and pass@1 are the mean


def _time(leaders: Row) -> list[Column]:
    best = leading_settings(leaders, "latency_s")

    def quantile(part: str, name: str, marked: bool = False) -> Callable[[Row], Cell]:
        def fill(row: Row) -> Cell:
            value = row[part][name]
            beside = f"n\u00a0=\u00a0{row[part]['n']:,}" if name == "p99" and row[part]["n"] else ""
            leading = marked and row["setting_id"] in best
            return Cell(n.seconds(value), beside, value, leading)

        return fill

    where = "seconds to the complete answer, errors and our own queue left out"
    return [
        Column("Latency", "mean", f"mean {where}", quantile("latency_s", "mean", True)),
        Column("Latency", "p50", f"median {where}", quantile("latency_s", "p50")),
        Column("Latency", "p95", f"95th percentile of {where}", quantile("latency_s", "p95")),
        Column(
            "Latency", "p99", "99th percentile; withheld below 100 answers",
            quantile("latency_s", "p99"),
            keep=lambda row: bool(row["latency_s"]["n"]),
        ),
        Column("First token", "p50", "median seconds to it", quantile("ttft_s", "p50")),
        Column("First token", "p95", "95th percentile", quantile("ttft_s", "p95")),
    ]  # fmt: skip


def _tokens() -> list[Column]:
    def mean(part: str) -> Callable[[Row], Cell]:
        def fill(row: Row) -> Cell:
            found = row["tokens"][part]
            if found["mean"] is None:
                return Cell(n.DASH)
            return Cell(f"{found['mean']:,.1f}", sort=found["mean"])

        return fill

    return [
        Column("Tokens a request", "in", "prompt tokens, cached too", mean("prompt_tokens")),
        Column("Tokens a request", "out", "completion tokens", mean("completion_tokens")),
        Column(
            "Tokens a request", "cached", "prompt tokens from a cache", mean("cached_tokens"),
            keep=lambda row: bool(row["tokens"]["cached_tokens"]["mean"]),
        ),
        Column(
            "Tokens a request", "reasoning", "completion tokens spent on reasoning",
            mean("reasoning_tokens"),
            keep=lambda row: bool(row["tokens"]["reasoning_tokens"]["mean"]),
        ),
    ]  # fmt: skip


def _money(leaders: Row) -> list[Column]:
    best = leading_settings(leaders, "cost_usd")

    def dollars(name: str, marked: bool = False) -> Callable[[Row], Cell]:
        def fill(row: Row) -> Cell:
            value = row["cost_usd"][name]
            return Cell(n.dollars(value), "", value, marked and row["setting_id"] in best)

        return fill

    return [
        Column("Cost", "total", "of all requests with a known price", dollars("total")),
        Column("Cost", "per 1,000", "1,000 × the mean request", dollars("per_1k_requests", True)),
        Column("Cost", "billed", "what the provider says it billed", dollars("billed_total")),
    ]  # fmt: skip


def _part(row: Row, name: str) -> Row:
    """A part of a setting that may be null or absent."""
    found: Row = row.get(name) or {}
    return found


def _plain_share(part: str, name: str) -> Callable[[Row], Cell]:
    return lambda row: _number(row[part][name], n.percent(row[part][name]))


def _number(value: float | None, text: str) -> Cell:
    return Cell(n.DASH if value is None else text, sort=value)


def _agreement(part: str, best: set[str]) -> Callable[[Row], Cell]:
    def fill(row: Row) -> Cell:
        found = row["agreement"][part]
        value = found["pairwise"]
        return Cell(
            n.percent(value), n.share_interval(found["ci95"]), value, row["setting_id"] in best
        )

    return fill


def _unanimous(row: Row) -> Cell:
    found = row["agreement"]["raw"]
    value = found["tar_at_n"]
    return Cell(n.percent(value), n.share_interval(found["tar_at_n_ci95"]), value)


def _score(part: str, best: set[str]) -> Callable[[Row], Cell]:
    def fill(row: Row) -> Cell:
        found = _part(row, part)
        value, ends = found.get("mean"), n.share_interval(found.get("ci95"))
        return Cell(n.percent(value), ends, value, row["setting_id"] in best)

    return fill


def _passing(part: str, k: int) -> Callable[[Row], Cell]:
    def fill(row: Row) -> Cell:
        value = _part(_part(row, "score"), part).get(str(k))
        return _number(value, n.percent(value))

    return fill


def _other_score(name: str) -> Callable[[Row], Cell]:
    def fill(row: Row) -> Cell:
        found = _part(row["scores"], name)
        return Cell(
            n.percent(found.get("mean")), n.share_interval(found.get("ci95")), found.get("mean")
        )

    return fill
