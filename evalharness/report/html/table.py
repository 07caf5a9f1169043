"""The table of settings: sortable columns in groups, the best marked where tests support it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from evalharness.report.words.format_numbers import (
    DASH,
    count_text,
    dollars,
    percent,
    seconds,
    share_interval,
)
from evalharness.report.words.headline_answers import is_settled

Row = dict[str, Any]


class Cell(msgspec.Struct, frozen=True):
    """A cell: a text with a smaller ``detail``. ``sort`` is what it sorts by; None sorts last."""

    text: str
    detail: str = ""
    sort: float | str | None = None
    leading: bool = False


class HtmlColumn(msgspec.Struct, frozen=True):
    """One column. ``help`` describes the figure in a sentence.

    A column is left out where no setting has a value, or where ``show_if`` holds for none.
    """

    group: str
    heading: str
    help: str
    fill: Callable[[Row], Cell]
    show_if: Callable[[Row], bool] | None = None


class SettingsTable(msgspec.Struct, frozen=True):
    """The table for the template: ``groups`` are headings with the number of their columns."""

    groups: list[tuple[str, int]]
    columns: list[HtmlColumn]
    rows: list[tuple[Row, list[Cell]]]
    marks: bool


def settings_table(data: Row) -> SettingsTable:
    """Lay out the settings of a report as a table."""
    settings: list[Row] = data["settings"]
    columns = [
        column
        for column in _settings_columns(data["leaders"], settings)
        if any(_is_shown(column, row) for row in settings)
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


def _is_shown(column: HtmlColumn, row: Row) -> bool:
    if column.show_if is not None:
        return column.show_if(row)
    return column.fill(row).sort is not None


def leading_settings(leaders: Row, metric: str) -> set[str]:
    """The settings to mark: the leading group of a metric, if it is small enough to be a result."""
    leader = leaders.get(metric)
    return set() if leader is None or not is_settled(leader) else set(leader["group"])


def _settings_columns(leaders: Row, settings: Sequence[Row]) -> list[HtmlColumn]:
    repeats = max((row["agreement"]["raw"]["n"] or 0 for row in settings), default=0)
    return [
        *_trials(settings),
        *_repeatability(leaders, repeats),
        *_quality(leaders, settings, repeats),
        *_time(leaders),
        *_tokens(),
        *_money(leaders),
    ]


def _trials(settings: Sequence[Row]) -> list[HtmlColumn]:
    names = {
        "ok": ("ok", "complete outputs, share of trials"),
        "truncated": ("cut", "outputs cut at max_tokens, share of trials"),
        "empty": ("empty", "empty outputs, share of trials"),
        "refused": ("refused", "refusals, share of trials"),
        "error": ("errors", "trials without an output, share of trials"),
    }
    columns: list[HtmlColumn] = [
        HtmlColumn(
            "Trials",
            "n",
            "trials recorded",
            lambda r: Cell(count_text(r["trials"]), sort=r["trials"]),
        )
    ]
    for status, (heading, text) in names.items():
        if status == "ok" or any(row["status"][status] for row in settings):
            columns.append(
                HtmlColumn("Trials", heading, text, _plain_share("status_share", status))
            )
    return columns


def _repeatability(leaders: Row, repeats: int) -> list[HtmlColumn]:
    return [
        HtmlColumn(
            "Repeatability", "same text",
            "chance that two repeats of a prompt give the identical text, mean over prompts",
            _agreement("raw", leading_settings(leaders, "agreement")),
        ),
        HtmlColumn(
            "Repeatability", f"all {repeats} alike",
            f"share of prompts whose {repeats} repeats are identical (TARr@{repeats}), "
            "Wilson interval",
            _unanimous,
        ),
        HtmlColumn(
            "Repeatability", "same answer",
            "chance that two repeats give the same parsed answer, mean over prompts",
            _agreement("answer", leading_settings(leaders, "agreement_answer")),
        ),
        HtmlColumn(
            "Repeatability", "effective outputs",
            "how many outputs a prompt behaves like: exp of the entropy, mean over prompts",
            lambda r: _number(r["effective_outputs"], f"{r['effective_outputs'] or 0:.2f}"),
        ),
    ]  # fmt: skip


def _quality(leaders: Row, settings: Sequence[Row], repeats: int) -> list[HtmlColumn]:
    best = leading_settings(leaders, "score")
    others = sorted({name for row in settings for name in row["scores"]})
    columns = [
        HtmlColumn("Score", "mean", "mean score over prompts with a target", _score("score", best)),
        HtmlColumn(
            "Score", f"pass^{repeats}",
            f"chance that all of {repeats} repeats are right", _passing("pass_hat_k", repeats),
        ),
        HtmlColumn(
            "Score", f"pass@{repeats}",
            f"chance that at least one of {repeats} repeats is right",
            _passing("pass_at_k", repeats),
        ),
    ]  # fmt: skip
    columns += [
        HtmlColumn("Score", name, f"mean of the scorer {name}", _other_score(name))
        for name in others
    ]
    return columns if repeats > 1 else [columns[0], *columns[3:]]  # pass^1 and pass@1 are the mean


def _time(leaders: Row) -> list[HtmlColumn]:
    best = leading_settings(leaders, "latency_s")

    def quantile(part: str, name: str, marked: bool = False) -> Callable[[Row], Cell]:
        def fill(row: Row) -> Cell:
            value = row[part][name]
            detail = f"n\u00a0=\u00a0{row[part]['n']:,}" if name == "p99" and row[part]["n"] else ""
            leading = marked and row["setting_id"] in best
            return Cell(seconds(value), detail, value, leading)

        return fill

    where = "seconds to the complete answer, errors and our own queue left out"
    return [
        HtmlColumn("Latency", "mean", f"mean {where}", quantile("latency_s", "mean", True)),
        HtmlColumn("Latency", "p50", f"median {where}", quantile("latency_s", "p50")),
        HtmlColumn("Latency", "p95", f"95th percentile of {where}", quantile("latency_s", "p95")),
        HtmlColumn(
            "Latency", "p99", "99th percentile; withheld below 100 answers",
            quantile("latency_s", "p99"),
            show_if=lambda row: bool(row["latency_s"]["n"]),
        ),
        HtmlColumn("First token", "p50", "median seconds to it", quantile("ttft_s", "p50")),
        HtmlColumn("First token", "p95", "95th percentile", quantile("ttft_s", "p95")),
    ]  # fmt: skip


def _tokens() -> list[HtmlColumn]:
    def mean(part: str) -> Callable[[Row], Cell]:
        def fill(row: Row) -> Cell:
            tokens = row["tokens"][part]
            if tokens["mean"] is None:
                return Cell(DASH)
            return Cell(f"{tokens['mean']:,.1f}", sort=tokens["mean"])

        return fill

    return [
        HtmlColumn("Tokens a request", "in", "prompt tokens, cached too", mean("prompt_tokens")),
        HtmlColumn("Tokens a request", "out", "completion tokens", mean("completion_tokens")),
        HtmlColumn(
            "Tokens a request", "cached", "prompt tokens from a cache", mean("cached_tokens"),
            show_if=lambda row: bool(row["tokens"]["cached_tokens"]["mean"]),
        ),
        HtmlColumn(
            "Tokens a request", "reasoning", "completion tokens spent on reasoning",
            mean("reasoning_tokens"),
            show_if=lambda row: bool(row["tokens"]["reasoning_tokens"]["mean"]),
        ),
    ]  # fmt: skip


def _money(leaders: Row) -> list[HtmlColumn]:
    best = leading_settings(leaders, "cost_usd")

    def dollars_cell(name: str, marked: bool = False) -> Callable[[Row], Cell]:
        def fill(row: Row) -> Cell:
            value = row["cost_usd"][name]
            return Cell(dollars(value), "", value, marked and row["setting_id"] in best)

        return fill

    return [
        HtmlColumn("Cost", "total", "of all requests with a known price", dollars_cell("total")),
        HtmlColumn(
            "Cost", "per 1,000", "1,000 × the mean request", dollars_cell("per_1k_requests", True),
        ),
        HtmlColumn(
            "Cost", "billed", "what the provider says it billed", dollars_cell("billed_total"),
        ),
    ]  # fmt: skip


def _part(row: Row, name: str) -> Row:
    """A part of a setting; empty where it is null or absent."""
    part: Row = row.get(name) or {}
    return part


def _plain_share(part: str, name: str) -> Callable[[Row], Cell]:
    return lambda row: _number(row[part][name], percent(row[part][name]))


def _number(value: float | None, text: str) -> Cell:
    return Cell(DASH if value is None else text, sort=value)


def _agreement(part: str, best: set[str]) -> Callable[[Row], Cell]:
    def fill(row: Row) -> Cell:
        agreement = row["agreement"][part]
        value = agreement["pairwise"]
        return Cell(
            percent(value), share_interval(agreement["ci95"]), value, row["setting_id"] in best
        )

    return fill


def _unanimous(row: Row) -> Cell:
    agreement = row["agreement"]["raw"]
    value = agreement["tar_at_n"]
    return Cell(percent(value), share_interval(agreement["tar_at_n_ci95"]), value)


def _score(part: str, best: set[str]) -> Callable[[Row], Cell]:
    def fill(row: Row) -> Cell:
        score = _part(row, part)
        value, ends = score.get("mean"), share_interval(score.get("ci95"))
        return Cell(percent(value), ends, value, row["setting_id"] in best)

    return fill


def _passing(part: str, k: int) -> Callable[[Row], Cell]:
    def fill(row: Row) -> Cell:
        value = _part(_part(row, "score"), part).get(str(k))
        return _number(value, percent(value))

    return fill


def _other_score(name: str) -> Callable[[Row], Cell]:
    def fill(row: Row) -> Cell:
        score = _part(row["scores"], name)
        return Cell(
            percent(score.get("mean")), share_interval(score.get("ci95")), score.get("mean")
        )

    return fill
