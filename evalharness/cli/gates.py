"""The gates of ``evalharness check``, and the verdicts on a run's settings."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Literal, NamedTuple

import msgspec

from evalharness.analysis.summary import Durations, SettingSummary
from evalharness.cli.figures import point_figures
from evalharness.errors import ConfigError
from evalharness.pricing.cost_columns import CostColumns, SettingCost
from evalharness.report.build.load_data import LoadData
from evalharness.report.words.unknown_cost_text import add_reasons, unknown_cost_text


class Gate(msgspec.Struct, frozen=True):
    """One limit that a run can be checked against.

    ``value`` and ``bounds`` read a setting; ``least`` says whether the limit
    is the least allowed (else the most). A ``share`` lies in 0..1. ``total`` computes the figure
    of all settings together from their costs; such a gate has neither a value of one setting nor
    an interval. ``load`` reads the load point of a setting in place of both. ``unknown`` says why
    there may be no value, ``no_bound`` why the worse end of its interval may be undefined; without
    ``interval`` there is none, and the value is checked as it is.
    """

    flag: str
    what: str
    value: Callable[[SettingSummary], float | None]
    bounds: Callable[[SettingSummary], Sequence[float | None] | None]
    least: bool
    unknown: str
    share: bool = False
    total: Callable[[Sequence[SettingCost]], Decimal | None] | None = None
    load: Callable[[LoadData, str], point_figures.Figure] | None = None
    no_bound: str = "too few independent prompts"
    interval: bool = True

    def value_text(self, value: float) -> str:
        """A value in four digits; a total, which is exact, in all of them."""
        return f"{value:.4g}" if self.total is None else f"{Decimal(repr(value)).normalize():f}"


def _known_cost(costs: Sequence[SettingCost]) -> Decimal | None:
    """What settings cost: the larger, for each, of what was computed and what was billed.

    None where of some setting neither is known for every delivered answer: a sum over some of them
    is only a lower bound. None also where no record has a cost, as of a run that failed as a whole:
    an error may have been billed.
    """
    if not any(cost.known or cost.billed_rows for cost in costs):
        return None
    total = Decimal(0)
    for cost in costs:
        pairs = (
            (cost.total_usd, cost.delivered_unknown),
            (cost.billed_total_usd, cost.delivered_unbilled),
        )
        known = [usd or Decimal(0) for usd, unknown in pairs if not unknown]
        if not known:
            return None
        total += max(known)
    return total


# A mean that equals the limit may differ from it in the last bit of a float.
_ROUNDING = 1e-9
_ONE_REPEAT = "no prompt has two usable repeats; repeats=3 would give it"
_NO_LATENCY = "no delivered answer has a latency"


def _of_no_setting(_row: SettingSummary) -> None:
    """Of a gate that reads the costs, or the load point, in place of a setting."""


def _time_gate(
    flag: str,
    what: str,
    times: Callable[[SettingSummary], Durations],
    share: Literal["p50", "p95"],
    unknown: str,
) -> Gate:
    """The most that a percentile of a time may be."""

    def bounds(row: SettingSummary) -> Sequence[float | None] | None:
        ends = times(row).ci95
        return None if ends is None else getattr(ends, share)

    return Gate(
        flag, what, lambda row: getattr(times(row), share), bounds, least=False, unknown=unknown
    )


_RUN_GATES: tuple[Gate, ...] = (
    Gate(
        "min_agreement",
        "pairwise agreement of raw text",
        lambda r: r.agreement.raw.pairwise,
        lambda r: r.agreement.raw.ci95,
        least=True,
        unknown=_ONE_REPEAT,
        share=True,
    ),
    Gate(
        "min_answer_agreement",
        "pairwise agreement of answers",
        lambda r: r.agreement.answer.pairwise,
        lambda r: r.agreement.answer.ci95,
        least=True,
        unknown=f"no answers are defined (answer=…), or {_ONE_REPEAT}",
        share=True,
    ),
    Gate(
        "min_score",
        "mean score",
        lambda r: r.score.mean,
        lambda r: r.score.ci95,
        least=True,
        unknown="no record has a score",
        share=True,
    ),
    Gate(
        "max_error_share",
        "share of failed trials",
        lambda r: r.status_share["error"],
        lambda r: _complement(r.availability_ci95),
        least=False,
        unknown="no trial is recorded",
        share=True,
    ),
    _time_gate(
        "max_latency_p50_s", "median latency in seconds",
        lambda r: r.latency_s, "p50", _NO_LATENCY,
    ),
    _time_gate(
        "max_latency_p95_s", "95th percentile of latency in seconds",
        lambda r: r.latency_s, "p95", _NO_LATENCY,
    ),
    Gate(
        "max_cost_usd",
        "cost in US dollars",
        _of_no_setting,
        _of_no_setting,
        least=False,
        unknown="not every record has a known cost; --pricing FILE gives prices",
        total=_known_cost,
    ),
)  # fmt: skip


def _load_gate(
    flag: str,
    what: str,
    read: Callable[[LoadData, str], point_figures.Figure],
    unknown: str,
    *,
    interval: bool = True,
) -> Gate:
    return Gate(
        flag, what, _of_no_setting, _of_no_setting, flag.startswith("min"), unknown,
        share=flag == "min_goodput", load=read, interval=interval,
        no_bound="too few independent requests, or every stretch of time is alike,",
    )  # fmt: skip


_NO_POINT = "no valid load point has one (docs/benchmarking.md)"
_of_point = point_figures.of_point
GATES: tuple[Gate, ...] = (
    *_RUN_GATES,
    _time_gate(
        "max_ttft_p95_s", "95th percentile of the first token in seconds",
        lambda r: r.ttft_s, "p95", "no answer was streamed",
    ),
    _load_gate(
        "max_tpot_p95_s", "95th percentile of time per token in seconds",
        _of_point(lambda p: point_figures.p95(p.tpot_s)), _NO_POINT,
    ),
    _load_gate(
        "max_itl_p95_s", "95th percentile of gaps between chunks in seconds",
        _of_point(lambda p: point_figures.p95(p.inter_chunk_s)), _NO_POINT,
    ),
    _load_gate("min_goodput", "goodput", _of_point(point_figures.goodput), _NO_POINT),
    _load_gate(
        "min_throughput_per_s", "answers per second",
        _of_point(point_figures.throughput), _NO_POINT,
    ),
    _load_gate(
        "min_output_tokens_per_s", "output tokens per second",
        _of_point(point_figures.output_tokens), f"{_NO_POINT}, or an answer has no usage",
    ),
    _load_gate(
        "min_saturation_per_s", "highest rate per second that met the SLO",
        point_figures.saturation, "no search found a rate that holds (load=saturation)",
        interval=False,
    ),
)  # fmt: skip


class Verdict(NamedTuple):
    """Whether one gate held for one setting (or the whole run).

    ``value`` None: not known; ``bound`` None: not asked for, or not known. ``reason`` says why
    the gate fails although no measured figure breaks it.
    """

    gate: Gate
    label: str
    limit: float
    value: float | None
    bound: float | None
    holds: bool
    reason: str = ""

    @property
    def name(self) -> str:
        """What was checked, and of which setting."""
        return f"{self.label}: {self.gate.what}"

    @property
    def detail(self) -> tuple[str, ...]:
        """A limit of a whole setting names no prompts."""
        return ()

    @property
    def finding(self) -> str:
        """What was found and what is needed."""
        sign = "≥" if self.gate.least else "≤"
        shown = "unknown" if self.value is None else self.gate.value_text(self.value)
        bound = "" if self.bound is None else f" (95 % bound {self.bound:.4g})"
        reason = f": {self.reason}" if self.reason else ""
        return f"{self.name} {shown}{bound}, needed {sign} {self.limit:g}{reason}"

    @property
    def sentence(self) -> str:
        """The finding, behind ``ok`` or ``FAIL``."""
        return with_verdict(self.finding, holds=self.holds)


def with_verdict(finding: str, *, holds: bool) -> str:
    """A line of the console."""
    return f"{'ok  ' if holds else 'FAIL'} {finding}"


def check_limits(limits: Mapping[str, float]) -> None:
    """Check the limits, each under the name of its gate.

    Raises:
        ConfigError: no gate, or a limit that no figure could meet or miss.
    """
    if not limits:
        raise ConfigError("check needs a gate", hint="evalharness check RUN --min-agreement 0.9")
    for gate in GATES:
        limit = limits.get(gate.flag)
        if limit is None:
            continue
        flag = f"--{gate.flag.replace('_', '-')}"
        if gate.share and not 0 <= limit <= 1:
            hint = f"{flag} {limit / 100:g}" if 1 < limit <= 100 else None
            raise ConfigError(f"{flag} {limit:g}: a share lies between 0 and 1", hint=hint)
        if not (math.isfinite(limit) and limit >= 0):
            raise ConfigError(f"{flag} {limit:g}: must be a number, not below 0")


def check_settings(
    rows: list[SettingSummary],
    costs: CostColumns,
    limits: Mapping[str, float],
    *,
    confident: bool,
    selected: bool,
    load: LoadData | None = None,
) -> Iterator[Verdict]:
    """The verdict of each gate that has a limit, on each setting or on all together.

    Args:
        rows: the settings.
        costs: those of the run's records.
        limits: under the names of their gates.
        confident: the interval's worse bound must hold.
        selected: ``rows`` are not all settings of the run.
        load: the load points of a benchmark; None in batch evaluation.
    """
    for gate in GATES:
        limit = limits.get(gate.flag)
        if limit is None:
            continue
        if gate.total is not None:
            total = gate.total([costs.setting(row.setting_id) for row in rows])
            value = None if total is None else float(total)
            label = "these settings together" if selected else "the run"
            verdict = check_gate(gate, label, limit, value, None, confident=False)
            if value is None:
                verdict = verdict._replace(reason=f"{_unknown_reason(rows)}; {gate.unknown}")
            yield verdict
            continue
        for row in rows:
            value, bounds = gate.value(row), gate.bounds(row)
            if gate.load is not None and load is not None:
                value, bounds = gate.load(load, row.setting_id)
            yield check_gate(gate, row.label, limit, value, bounds, confident=confident)


def _unknown_reason(rows: list[SettingSummary]) -> str:
    """For how many trials of some settings the cost is unknown, and why."""
    return unknown_cost_text(add_reasons(row.cost_usd.unknown_reasons for row in rows))


def check_gate(
    gate: Gate,
    label: str,
    limit: float,
    value: float | None,
    bounds: Sequence[float | None] | None,
    *,
    confident: bool,
) -> Verdict:
    """The verdict of one gate on a value; what is unknown does not hold."""
    if value is None:
        return Verdict(gate, label, limit, None, None, holds=False, reason=gate.unknown)
    bound = None
    checked = value
    if confident and not gate.interval:
        reason = "a bound of verdicts, which has no 95 % interval"
        return check_gate(gate, label, limit, value, None, confident=False)._replace(reason=reason)
    if confident:
        bound = None if bounds is None else bounds[0 if gate.least else 1]
        if bound is None:  # an interval that is undefined proves nothing
            end = "lower" if gate.least else "upper"
            reason = f"{gate.no_bound} for the {end} end of a 95 % interval"
            return Verdict(gate, label, limit, value, None, holds=False, reason=reason)
        checked = bound = min(1.0, max(0.0, bound)) if gate.share else bound
    margin = checked - limit if gate.least else limit - checked
    holds = margin >= -_ROUNDING * (1.0 if gate.share else limit)
    return Verdict(gate, label, limit, value, bound, holds)


def _complement(bounds: list[float] | None) -> list[float] | None:
    return None if bounds is None else [1 - bounds[1], 1 - bounds[0]]
