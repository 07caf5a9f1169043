"""All figures of a setting, in the order of the columns of console, Markdown and page.

A new figure is an entry here, for all three, beside its value in
:class:`~evalharness.analysis.summary.SettingSummary`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal

from evalharness.analysis.latency import Durations
from evalharness.analysis.quality import ScoreSummary
from evalharness.analysis.summary import SettingSummary
from evalharness.report.sections.settings.figure import ConsoleColumn, Figure
from evalharness.report.sections.settings.number_format import (
    COUNT,
    DOLLARS,
    ONE_DIGIT,
    SHARE,
    SHORT_COUNT,
    TIME,
    TWO_DIGITS,
)
from evalharness.report.words.cost_origin import cost_mark
from evalharness.report.words.format_numbers import percentile_interval


def setting_figures(rows: Sequence[SettingSummary]) -> list[Figure]:
    """The figures to show of some settings."""
    repeats = max((row.agreement.raw.n for row in rows), default=0)
    scorers = sorted({name for row in rows for name in list(row.scores)[1:]})  # after the first
    return [
        *_trials(),
        *_repeatability(repeats),
        *_scores(repeats, scorers),
        *_times(),
        *_tokens(),
        *_costs(),
    ]


_OTHER_STATUSES = ConsoleColumn(heading="{parts} %")
_LATENCY = ConsoleColumn(
    heading="latency {unit}\np50/p95", show_if=lambda rows: any(row.latency_s.n for row in rows)
)
_TOKENS = ConsoleColumn(heading="tokens\nin/out")


def _trials() -> list[Figure]:
    statuses = {
        "truncated": ("cut", "outputs cut at max_tokens, share of trials", "cut", "cut"),
        "empty": ("empty", "empty outputs, share of trials", "empty", ""),
        "refused": ("refused", "refusals, share of trials", "refused", ""),
        "error": ("errors", "trials without an output, share of trials", "error", "errors"),
    }
    return [
        Figure(
            group="Trials", heading="n", help="trials recorded", value=lambda row: row.trials,
            format=COUNT, markdown="trials",
            console=ConsoleColumn(
                heading="trials", show_if=lambda rows: len({row.trials for row in rows}) > 1
            ),
        ),
        Figure(
            group="Trials", heading="ok", help="complete outputs, share of trials",
            value=_status_share("ok"), format=SHARE, markdown="ok",
            console=ConsoleColumn(heading="ok %"),
        ),
        *(
            Figure(
                group="Trials", heading=heading, help=text, value=_status_share(status),
                format=SHARE, show_if=_has_status(status), markdown=markdown,
                console=_OTHER_STATUSES, console_part=part,
            )
            for status, (heading, text, part, markdown) in statuses.items()
        ),
    ]  # fmt: skip


def _status_share(status: str) -> Callable[[SettingSummary], float | None]:
    return lambda row: row.status_share[status]


def _has_status(status: str) -> Callable[[SettingSummary], bool]:
    return lambda row: row.status[status] > 0


def _repeatability(repeats: int) -> list[Figure]:
    return [
        Figure(
            group="Repeatability", heading="same text",
            help="chance that two repeats of a prompt give the identical text, mean over prompts",
            value=lambda row: row.agreement.raw.pairwise, format=SHARE,
            interval=lambda row: row.agreement.raw.ci95, leaders="agreement", markdown="same text",
            console=ConsoleColumn(
                heading="same text\n[95% CI]", has_interval=True,
                footnote="same text: chance that two repeats of a prompt give the identical text "
                "(pairwise, mean over prompts)",
            ),
        ),
        Figure(
            group="Repeatability", heading=f"all {repeats} alike",
            help=f"share of prompts whose {repeats} repeats are identical (TARr@{repeats})",
            value=lambda row: row.agreement.raw.tar_at_n, format=SHARE,
            interval=lambda row: row.agreement.raw.tar_at_n_ci95,
            console=ConsoleColumn(
                heading="all N\nsame",
                footnote=f"all N same: share of prompts whose {repeats} repeats are all identical "
                f"(TARr@{repeats})" if repeats > 1 else "",
            ),
        ),
        Figure(
            group="Repeatability", heading="same answer",
            help="chance that two repeats give the same parsed answer, mean over prompts",
            value=lambda row: row.agreement.answer.pairwise, format=SHARE,
            interval=lambda row: row.agreement.answer.ci95, leaders="agreement_answer",
            show_if=lambda row: row.agreement.answer.pairwise is not None, markdown="same answer",
            console=ConsoleColumn(heading="same\nanswer"),
        ),
        Figure(
            group="Repeatability", heading="effective outputs",
            help="how many outputs a prompt behaves like: exp of the entropy, mean over prompts",
            value=lambda row: row.effective_outputs, format=TWO_DIGITS,
        ),
    ]  # fmt: skip


def _scores(repeats: int, scorers: Sequence[str]) -> list[Figure]:
    """The score, and those of the scorers after the first, which are ``scorers``."""
    mean = Figure(
        group="Score", heading="mean", help="mean score over scored prompts",
        value=lambda row: row.score.mean, format=SHARE, interval=lambda row: row.score.ci95,
        leaders="score", markdown="score",
        console=ConsoleColumn(heading="score\n[95% CI]", has_interval=True),
    )  # fmt: skip
    k = str(repeats)
    passing = [
        Figure(
            group="Score", heading=f"pass^{k}", help=f"chance that all of {k} repeats are right",
            value=lambda row: row.score.pass_hat_k.get(k), format=SHARE,
        ),
        Figure(
            group="Score", heading=f"pass@{k}",
            help=f"chance that at least one of {k} repeats is right",
            value=lambda row: row.score.pass_at_k.get(k), format=SHARE,
        ),
    ]  # fmt: skip
    others = [_other_score(name) for name in scorers]
    return [mean, *(passing if repeats > 1 else []), *others]  # pass^1 and pass@1 are the mean


def _other_score(name: str) -> Figure:
    def score(row: SettingSummary) -> ScoreSummary | None:
        return row.scores.get(name)

    return Figure(
        group="Score", heading=name, help=f"mean of the scorer {name}",
        value=lambda row: None if (part := score(row)) is None else part.mean, format=SHARE,
        interval=lambda row: None if (part := score(row)) is None else part.ci95, markdown=name,
    )  # fmt: skip


def _times() -> list[Figure]:
    where = "seconds to the complete answer, errors and our own queue left out"
    return [
        Figure(
            group="Latency", heading="mean", help=f"mean {where}",
            value=lambda row: row.latency_s.mean, format=TIME, leaders="latency_s",
        ),
        Figure(
            group="Latency", heading="p50", help=f"median {where}",
            value=lambda row: row.latency_s.p50, format=TIME, markdown="p50", console=_LATENCY,
            detail=lambda row: _bounds(row.latency_s, "p50"),
        ),
        Figure(
            group="Latency", heading="p95",
            help=f"95th percentile of {where}; a dash: too few prompts to bound that end",
            value=lambda row: row.latency_s.p95, format=TIME, markdown="p95", console=_LATENCY,
            detail=lambda row: _bounds(row.latency_s, "p95"),
        ),
        Figure(
            group="Latency", heading="p99",
            help="99th percentile; withheld below 100 answers; a dash: not bounded",
            value=lambda row: row.latency_s.p99, format=TIME,
            detail=lambda row: f"{_bounds(row.latency_s, 'p99')} {_size(row.latency_s)}".strip(),
            show_if=lambda row: row.latency_s.n > 0,
        ),
        Figure(
            group="First token", heading="p50", help="median seconds to it",
            value=lambda row: row.ttft_s.p50, format=TIME,
        ),
        Figure(
            group="First token", heading="p95", help="95th percentile",
            value=lambda row: row.ttft_s.p95, format=TIME,
        ),
    ]  # fmt: skip


def _bounds(times: Durations, name: str) -> str:
    """The interval of a percentile; empty where it has none."""
    ends: list[float | None] | None = getattr(times.ci95, name, None)
    return percentile_interval(ends, getattr(times, name))


def _size(durations: Durations) -> str:
    return f"n\u00a0=\u00a0{durations.n:,}" if durations.n else ""


def _tokens() -> list[Figure]:
    group = "Tokens a request"
    return [
        Figure(
            group=group, heading="in", help="prompt tokens, cached too",
            value=_mean_tokens("prompt_tokens"), format=ONE_DIGIT,
        ),
        Figure(
            group=group, heading="out", help="completion tokens",
            value=_mean_tokens("completion_tokens"), format=ONE_DIGIT,
        ),
        Figure(
            group=group, heading="cached", help="prompt tokens from a cache",
            value=_mean_tokens("cached_tokens"), format=ONE_DIGIT,
            show_if=lambda row: bool(row.tokens["cached_tokens"].mean),
        ),
        Figure(
            group=group, heading="reasoning", help="completion tokens spent on reasoning",
            value=_mean_tokens("reasoning_tokens"), format=ONE_DIGIT,
            show_if=lambda row: bool(row.tokens["reasoning_tokens"].mean),
        ),
        *(
            Figure(
                help=f"all {kind.replace('_', ' ')}", value=_total_tokens(kind),
                format=SHORT_COUNT, console=_TOKENS,
            )
            for kind in ("prompt_tokens", "completion_tokens")
        ),
    ]  # fmt: skip


def _mean_tokens(kind: str) -> Callable[[SettingSummary], float | None]:
    return lambda row: row.tokens[kind].mean


def _total_tokens(kind: str) -> Callable[[SettingSummary], float | None]:
    return lambda row: row.tokens[kind].total


def _costs() -> list[Figure]:
    return [
        Figure(
            group="Cost", heading="total",
            help="of all requests of known cost; “billed” where no price is known and the bill is",
            value=lambda row: _float(row.cost_usd.total), format=DOLLARS, mark=_cost_mark,
            # No column of zeros: the answer to "Cheapest" says that all is free.
            console=ConsoleColumn(
                heading="cost $",
                show_if=lambda rows: any(row.cost_usd.total != 0 for row in rows),
            ),
        ),
        Figure(
            group="Cost", heading="per 1,000", help="1,000 × the mean request",
            value=lambda row: row.cost_usd.per_1k_requests, format=DOLLARS, leaders="cost_usd",
            mark=_cost_mark, markdown="USD / 1,000",
        ),
        Figure(
            group="Cost", heading="billed", help="what the provider says it billed",
            value=lambda row: _float(row.cost_usd.billed_total), format=DOLLARS,
        ),
    ]  # fmt: skip


def _cost_mark(row: SettingSummary) -> str:
    return cost_mark(row.cost_usd.from_bill, row.cost_usd.n)


def _float(amount: Decimal | None) -> float | None:
    return None if amount is None else float(amount)
