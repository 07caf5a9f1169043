"""The figures of a report as rows of tables: one function a table of :class:`RunFrames`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from msgspec.structs import asdict

from evalharness.analysis.data.statuses import STATUSES

if TYPE_CHECKING:
    from decimal import Decimal

    import pandas as pd

    from evalharness.analysis.across.agreement_across import AgreementAcross
    from evalharness.analysis.agreement.agreement import Agreement
    from evalharness.analysis.comparison.comparison import Comparison
    from evalharness.analysis.comparison.prompt_changes import PromptChange
    from evalharness.analysis.data.frame import RunFrame
    from evalharness.analysis.data.join_runs import JoinedRuns
    from evalharness.analysis.latency import Durations
    from evalharness.analysis.load.summary import MetricSummary, TimesByOrigin
    from evalharness.analysis.quality import ScoreSummary
    from evalharness.analysis.summary import SettingSummary
    from evalharness.report.build.load_data import LoadData, LoadPointSetting

Rows = Iterable[dict[str, Any]]  # of a table, by column

AGREEMENT = (
    "setting_id", "label", "of", "pairwise", "lo", "hi", "tar_at_n", "tar_at_n_lo",
    "tar_at_n_hi", "n", "prompts", "modal_share", "distinct", "effective_outputs",
)  # fmt: skip
TAR = ("setting_id", "label", "of", "k", "tar", "prompts")
SCORES = ("setting_id", "label", "scorer", "mean", "lo", "hi", "prompts", "n")
PASS_K = (
    "setting_id", "label", "scorer", "k", "pass_hat_k", "pass_at_k", "g_pass_half",
    "g_pass_three_quarters",
)  # fmt: skip
LATENCY = (
    "setting_id", "label", "of", "p50", "p50_lo", "p50_hi", "p95", "p95_lo", "p95_hi", "p99",
    "p99_lo", "p99_hi", "mean", "n",
)  # fmt: skip
COST = (
    "setting_id", "label", "total", "n", "from_bill", "per_1k_requests", "billed_total", "billed_n",
    "prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens",
)  # fmt: skip
COMPARISONS = (
    "metric", "by", "a", "b", "a_label", "b_label", "a_value", "b_value", "a_run", "b_run",
    "pooled", "stratum", "difference", "lo", "hi", "p", "p_adjusted", "p_headline", "detected",
    "test", "n", "unit", "mde", "a_mean", "b_mean", "wins", "losses", "ties", "sentence",
)  # fmt: skip
CHANGES = (
    "run", "prompt_id", "label", "kinds", "score_before", "score_after", "difference",
    "agreement_before", "agreement_after", "errors_before", "errors_after", "every_repeat", "p",
    "p_adjusted", "beyond_chance", "text_before", "text_after",
)  # fmt: skip
ACROSS = (
    "a", "b", "a_label", "b_label", "a_run", "b_run", "of", "across", "lo", "hi", "prompts",
    "own_a", "own_b", "own_minus_across", "own_minus_across_lo", "own_minus_across_hi",
    "repeated_prompts", "parsed_a", "parsed_b", "p", "p_adjusted", "verdict", "similarity_across",
)  # fmt: skip
ACROSS_PROMPTS = (
    "a", "b", "a_label", "b_label", "a_run", "b_run", "of", "prompt_id", "across", "own_a", "own_b",
)  # fmt: skip
LOAD = (
    "measurement", "load", "label", "setting_ids", "arrival", "rate", "concurrency", "searched",
    "holds", "state", "reason", "valid", "invalid", "window_s", "scheduled", "sent", "delivered",
    "failed", "retries", "requested_rate", "achieved_rate", "throughput_per_s",
    "output_tokens_per_s", "in_flight_mean", "in_flight_max", "goodput", "goodput_per_s",
    "latency_p50", "latency_p95", "latency_p99", "ttft_p50", "ttft_p95", "ttft_p99",
)  # fmt: skip
LOAD_TIMES = (
    "measurement", "load", "setting_id", "label", "of", "origin", "n", "mean", "p50", "p50_lo",
    "p50_hi", "p90", "p90_lo", "p90_hi", "p95", "p95_lo", "p95_hi", "p99", "p99_lo", "p99_hi",
    "max", "unit",
)  # fmt: skip

_TAUS = {"g_pass_half": "0.5", "g_pass_three_quarters": "0.75"}


def as_table(rows: Rows, columns: Sequence[str]) -> pd.DataFrame:
    """The rows as a DataFrame of exactly these columns; those a row lacks are None."""
    import pandas as pd

    values = [{name: row.get(name) for name in columns} for row in rows]
    table = pd.DataFrame(values, columns=list(columns))
    # A column of only None would have the type object, which pandas cannot compute with.
    unknown = [name for name in columns if values and table[name].isna().all()]
    return table.astype(dict.fromkeys(unknown, "float64"))


def change_rows(changes: Sequence[PromptChange]) -> Rows:
    """One row a prompt that changed under a setting."""
    rows: Rows = []
    for c in changes:
        sides = [
            {f"{name}_{when}": getattr(side, name)
             for name in ("score", "agreement", "errors", "text")}
            for when, side in (("before", c.before), ("after", c.after))
        ]  # fmt: skip
        named = {"run": c.after.run, "label": c.after.label}
        rows.append({**asdict(c), **named, **sides[0], **sides[1]})
    return rows


def record_scores(frame: RunFrame) -> pd.DataFrame:
    """One row a record, a column a scorer."""
    import numpy as np
    import pandas as pd

    labels = [frame.label(index) for index in range(len(frame.setting_ids))]
    columns: dict[str, Any] = {
        "setting_id": np.array(frame.setting_ids, object)[frame.setting],
        "label": np.array(labels, object)[frame.setting],
        "prompt_id": np.array(frame.prompt_ids, object)[frame.prompt],
        "repeat": frame.repeat,
        "status": np.array(STATUSES, object)[frame.status],
    }
    scores = {
        f"score.{name}" if name in columns else name: values
        for name, values in frame.scores.items()
    }
    return pd.DataFrame({**columns, **scores})


def agreement_rows(settings: Sequence[SettingSummary], *, answers: bool) -> Rows:
    """Two rows a setting, of texts and of answers; the second where there are any."""
    for setting, of, figures in _agreements(settings, answers=answers):
        lo, hi = interval_ends(figures.ci95)
        tar_lo, tar_hi = interval_ends(figures.tar_at_n_ci95)
        bounds = {"lo": lo, "hi": hi, "tar_at_n_lo": tar_lo, "tar_at_n_hi": tar_hi}
        yield {**_setting_key(setting), "of": of, **asdict(figures), **bounds}


def tar_rows(settings: Sequence[SettingSummary], *, answers: bool) -> Rows:
    """One row a setting, ``of`` and k."""
    for setting, of, figures in _agreements(settings, answers=answers):
        for k, tar in figures.tar.items():
            prompts = figures.tar_prompts.get(k)
            yield {**_setting_key(setting), "of": of, "k": int(k), "tar": tar, "prompts": prompts}


def score_rows(settings: Sequence[SettingSummary], scorers: Sequence[str]) -> Rows:
    """One row a setting and scorer."""
    for setting, name, figures in _scores(settings, scorers):
        lo, hi = interval_ends(figures.ci95)
        yield {**_setting_key(setting), "scorer": name, **asdict(figures), "lo": lo, "hi": hi}


def pass_k_rows(settings: Sequence[SettingSummary], scorers: Sequence[str]) -> Rows:
    """One row a setting, scorer and k."""
    for setting, name, figures in _scores(settings, scorers):
        for k, all_right in figures.pass_hat_k.items():
            shares = {
                column: figures.g_pass_at_k.get(tau, {}).get(k) for column, tau in _TAUS.items()
            }
            yield {
                **_setting_key(setting), "scorer": name, "k": int(k), "pass_hat_k": all_right,
                "pass_at_k": figures.pass_at_k.get(k), **shares,
            }  # fmt: skip


def latency_rows(settings: Sequence[SettingSummary]) -> Rows:
    """Two rows a setting; that of the first token where answers were streamed."""
    for setting in settings:
        yield {**_setting_key(setting), "of": "latency_s", **_percentiles(setting.latency_s)}
        if setting.ttft_s.n:
            yield {**_setting_key(setting), "of": "ttft_s", **_percentiles(setting.ttft_s)}


def cost_rows(settings: Sequence[SettingSummary]) -> Rows:
    """One row a setting."""
    for setting in settings:
        tokens = {name: counts.total for name, counts in setting.tokens.items()}
        cost = setting.cost_usd
        dollars = {"total": _float(cost.total), "billed_total": _float(cost.billed_total)}
        yield {**_setting_key(setting), **asdict(cost), **dollars, **tokens}


def comparison_rows(comparisons: Sequence[Comparison]) -> Rows:
    """One row a comparison."""
    for row in comparisons:
        lo, hi = interval_ends(row.ci95)
        yield {**asdict(row), "lo": lo, "hi": hi, "detected": row.is_detected}


def across_rows(pairs: Sequence[AgreementAcross]) -> Rows:
    """Two rows a pair of settings, of texts and of answers; the second where there are any."""
    for pair in pairs:
        for of, row in (("text", pair.text), ("answer", pair.answer)):
            if row is None:
                continue
            lo, hi = interval_ends(row.ci95)
            apart_lo, apart_hi = interval_ends(row.own_minus_across_ci95)
            yield {
                **asdict(pair), **asdict(row), "of": of, "lo": lo, "hi": hi,
                "own_minus_across_lo": apart_lo, "own_minus_across_hi": apart_hi,
                "similarity_across": pair.similarity_across if of == "text" else None,
            }  # fmt: skip


def across_prompt_rows(joined: JoinedRuns) -> Rows:
    """One row a pair of settings, ``of`` and prompt with an output in both."""
    from evalharness.analysis.across.agreement_across import all_pairs
    from evalharness.analysis.across.prompt_shares import prompt_pair_rows

    several = len(joined.frames) > 1
    for a, b, of, prompts in prompt_pair_rows(joined, all_pairs(joined)):
        key = {
            "a": a.setting_id, "b": b.setting_id, "a_label": a.label, "b_label": b.label,
            "a_run": a.run if several else None, "b_run": b.run if several else None,
            "of": of,
        }  # fmt: skip
        for prompt in prompts:
            yield {**key, **asdict(prompt)}


def load_rows(data: LoadData | None) -> Rows:
    """One row a load point; none in batch evaluation."""
    for point in () if data is None else data.points:
        goodput = point.goodput
        sessions = None if point.sessions is None else point.sessions.requested_in_flight
        times = {
            f"{name}_{share}": getattr(of.scheduled, share)
            for name, of in (("latency", point.latency_s), ("ttft", point.ttft_s))
            for share in ("p50", "p95", "p99")
        }
        yield {
            **asdict(point), **asdict(point.requests), **times,
            "load": point.label,
            "label": "; ".join(setting.label for setting in point.settings),
            "setting_ids": [setting.setting_id for setting in point.settings],
            "arrival": point.load.get("arrival"),
            "rate": point.load.get("rate"),
            "concurrency": sessions or point.concurrency.requested,
            "invalid": "; ".join(point.invalid),
            "in_flight_mean": point.concurrency.mean,
            "in_flight_max": point.concurrency.most,
            "goodput": None if goodput is None else goodput.share,
            "goodput_per_s": None if goodput is None else goodput.per_s,
        }  # fmt: skip


def load_time_rows(data: LoadData | None) -> Rows:
    """One row a load point, setting, figure with a value, and origin."""
    for point in () if data is None else data.points:
        for setting in point.settings:
            key = {
                "measurement": point.measurement, "load": point.label,
                "setting_id": setting.setting_id, "label": setting.label,
            }  # fmt: skip
            for of, origin, summary in _load_times(setting):
                if summary.n:
                    yield {**key, "of": of, "origin": origin, **_summary(summary)}


def _load_times(setting: LoadPointSetting) -> Iterator[tuple[str, str | None, MetricSummary]]:
    """The figures of single requests of a setting at a load point, by name and origin."""
    for of in ("ttft_s", "ttfo_s", "latency_s"):
        times: TimesByOrigin = getattr(setting, of)
        yield of, "scheduled", times.scheduled
        yield of, "sent", times.sent
    for of in ("tpot_s", "inter_chunk_s", "tokens_per_s", "completion_tokens"):
        yield of, None, getattr(setting, of)


def _agreements(
    settings: Sequence[SettingSummary], *, answers: bool
) -> Iterator[tuple[SettingSummary, str, Agreement]]:
    for setting in settings:
        yield setting, "raw", setting.agreement.raw
        if answers or setting.agreement.answer.pairwise is not None:
            yield setting, "answer", setting.agreement.answer


def _scores(
    settings: Sequence[SettingSummary], scorers: Sequence[str]
) -> Iterator[tuple[SettingSummary, str, ScoreSummary]]:
    for setting in settings:
        for index, name in enumerate(scorers):
            yield setting, name, setting.scores[name] if index else setting.score


def _percentiles(durations: Durations) -> dict[str, Any]:
    ends: dict[str, Any] = {}
    for share in ("p50", "p95", "p99"):
        interval = None if durations.ci95 is None else getattr(durations.ci95, share)
        ends[f"{share}_lo"], ends[f"{share}_hi"] = interval_ends(interval)
    return {**asdict(durations), **ends}


def _summary(summary: MetricSummary) -> dict[str, Any]:
    ends: dict[str, Any] = {}
    for share in ("p50", "p90", "p95", "p99"):
        ends[f"{share}_lo"], ends[f"{share}_hi"] = interval_ends(summary.ci95.get(share))
    return {**asdict(summary), **ends}


def _setting_key(setting: SettingSummary) -> dict[str, str]:
    return {"setting_id": setting.setting_id, "label": setting.label}


def _float(amount: Decimal | None) -> float | None:
    return None if amount is None else float(amount)


def interval_ends(ci95: Sequence[float | None] | None) -> tuple[float | None, float | None]:
    """The two ends of an interval; None, None where it is undefined."""
    return (None, None) if ci95 is None else (ci95[0], ci95[1])
