"""Idle, knee and saturation of a server, from the measured load points of ``load=sweep``."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from evalharness.analysis.load.load_facts import LoadFacts
from evalharness.config.benchmark import LoadSweepConfig
from evalharness.planning.knee_search import KneeSearch, StepResult
from evalharness.planning.sweep_steps import step_of
from evalharness.report.build.load_data import LoadSweep, SweepFigure
from evalharness.store.folder.load_points_file import MeasurementState


def step_result(facts: LoadFacts, max_error_share: float | None) -> StepResult:
    """The result of a step; times are counted from when a request was due.

    Args:
        facts: of the measurement.
        max_error_share: the server does not hold a load at which more requests failed; None: any.
    """
    counts = facts.requests
    ended = counts.delivered + counts.failed
    too_many = max_error_share is not None and counts.failed > max_error_share * ended
    cut = facts.state != MeasurementState.COMPLETE.value
    return StepResult(
        throughput_per_s=None if cut else facts.throughput_per_s,
        latency_s=facts.latency_s.scheduled.p50,
        # A point that was cut short is the server's doing, whatever became of the rate.
        is_valid=facts.valid or cut,
        is_held=not cut and not too_many and ended > 0,
        rate=facts.requested_rate,
    )


def describe_sweep(
    points: Sequence[LoadFacts],
    config: LoadSweepConfig,
    max_error_share: float | None,
    ids: list[str],
    labels: list[str],
) -> LoadSweep:
    """Describe a sweep.

    Args:
        points: the facts of its measurements, in the order they were made; not empty.
        config: of the sweep.
        max_error_share: as of :func:`step_result`.
        ids, labels: of the settings.
    """
    search = KneeSearch(config)
    results = [step_result(point, max_error_share) for point in points]
    for point, result in zip(points, results, strict=True):
        search.observe(step_of(point.load), result)
    usable = [p for p, r in zip(points, results, strict=True) if r.throughput_per_s and r.is_valid]
    top = max(usable, key=lambda point: point.throughput_per_s or 0.0, default=None)
    idle = next((p for p in usable if _is_closed(p, 1)), None)
    saturated = _is_saturated(search, usable)
    throughput, latency = _throughput(top, at_least=not saturated), _median_latency(idle)
    by_load = sorted(points, key=_load_order)
    cut = [float(p.load["rate"]) for p in points if _is_open(p) and p.state != "complete"]
    shown = _shown(search, points, throughput, latency)
    sweep = LoadSweep(
        settings=ids,
        labels=labels,
        over=config.over,
        slowdown=config.slowdown,
        idle_latency_s=latency,
        knee_low=_rounded(search.low),
        knee_high=_rounded(search.high),
        knee_rate=search.knee_rate,
        knee_concurrency=_knee_concurrency(throughput, latency),
        saturation_per_s=throughput,
        saturation_measurement=None if top is None else top.measurement,
        oversaturated_per_s=min(cut, default=None),
        measurements=[point.measurement for point in by_load],
        unmeasured=[_step_name(step.over, step.value) for step in search.unmeasured],
        shown_measurement=shown.measurement,
        outcome=[],
    )
    return msgspec.structs.replace(sweep, outcome=_sentences(sweep, search))


def _rounded(rate: float | None) -> float | None:
    """Four significant digits, as rates are asked for."""
    return None if rate is None else float(f"{rate:.4g}")


def _is_closed(point: LoadFacts, concurrency: int) -> bool:
    return not _is_open(point) and point.load.get("concurrency") == concurrency


def _is_open(point: LoadFacts) -> bool:
    return point.load.get("arrival") != "closed"


def _load_order(point: LoadFacts) -> tuple[int, float]:
    """By rising load: one request at a time, rates, then many requests in flight."""
    if _is_open(point):
        return 1, float(point.load["rate"])
    concurrency = float(point.load["concurrency"])
    return (0 if concurrency == 1 else 2), concurrency


def _is_saturated(search: KneeSearch, usable: Sequence[LoadFacts]) -> bool:
    """Whether more load would bring no more throughput, as far as the points say.

    With so many in flight as saturate it, the server answers each no sooner than twice the idle
    latency; or a rate was not held.
    """
    if search.high is not None:
        return True
    saturation = search.saturation
    return bool(usable) and saturation is not None and search.holds(saturation) is False


def _throughput(top: LoadFacts | None, *, at_least: bool) -> SweepFigure | None:
    if top is None or top.throughput_per_s is None:
        return None
    ci: list[float | None] | None = None if top.throughput_ci95 is None else [*top.throughput_ci95]
    return SweepFigure(value=top.throughput_per_s, ci95=ci, n=top.completed, at_least=at_least)


def _median_latency(idle: LoadFacts | None) -> SweepFigure | None:
    summary = None if idle is None else idle.latency_s.scheduled
    if summary is None or summary.p50 is None:
        return None
    return SweepFigure(value=summary.p50, ci95=summary.ci95.get("p50"), n=summary.n)


def _knee_concurrency(
    throughput: SweepFigure | None, latency: SweepFigure | None
) -> SweepFigure | None:
    """Their product, with an interval from theirs."""
    if throughput is None or latency is None:
        return None
    value = throughput.value * latency.value
    ends: list[float | None] = [None, None]
    for end, sign in ((0, -1), (1, 1)):
        bounds = [None if f.ci95 is None else f.ci95[end] for f in (throughput, latency)]
        gaps = [
            math.log(bound / figure.value)
            for bound, figure in zip(bounds, (throughput, latency), strict=True)
            if bound is not None and bound > 0
        ]
        if len(gaps) == 2:
            ends[end] = value * math.exp(sign * math.hypot(*gaps))
    return SweepFigure(
        value=value,
        ci95=None if ends == [None, None] else ends,
        n=min(throughput.n, latency.n),
        at_least=throughput.at_least,
    )


def _shown(
    search: KneeSearch,
    points: Sequence[LoadFacts],
    throughput: SweepFigure | None,
    latency: SweepFigure | None,
) -> LoadFacts:
    """The point that stands for the settings: at the knee, as near as one was measured."""
    rates = {float(p.load["rate"]): p for p in points if _is_open(p)}
    if search.low_step is not None and search.low_step.value in rates:
        return rates[search.low_step.value]
    closed = [p for p in points if not _is_open(p)]
    knee = _knee_concurrency(throughput, latency)
    if rates or knee is None:
        return min(points, key=_load_order)
    return min(closed, key=lambda p: abs(math.log(float(p.load["concurrency"]) / knee.value)))


def _step_name(over: str, value: float) -> str:
    return f"{value:g} requests/s" if over == "rate" else f"{value:g} in flight"


def _sentences(sweep: LoadSweep, search: KneeSearch) -> list[str]:
    if sweep.idle_latency_s is None:
        return ["not measured: one request at a time did not give a valid point"]
    knee = [] if sweep.over == "concurrency" else [_knee_sentence(sweep)]
    lines = [*knee, *_saturation_sentences(sweep, search)]
    if sweep.unmeasured:
        lines.append(
            f"the client could not hold {', '.join(sweep.unmeasured)}, which says nothing about "
            "the server"
        )
    return lines


def _knee_sentence(sweep: LoadSweep) -> str:
    rule = f"median latency up to {sweep.slowdown:g} times that of one request at a time"
    low, high = sweep.knee_low, sweep.knee_high
    if low is not None and high is not None:
        about = "" if sweep.knee_rate is None else f", about {sweep.knee_rate:.3g}/s"
        return f"knee between {low:g} and {high:g} requests/s{about} ({rule})"
    if low is not None:
        return f"knee at {low:g} requests/s or above: no higher rate gave an answer ({rule})"
    if high is not None:
        return f"knee below {high:g} requests/s, the lowest rate that was tried ({rule})"
    return f"no knee found: no rate was measured ({rule})"


def _saturation_sentences(sweep: LoadSweep, search: KneeSearch) -> list[str]:
    top, knee = sweep.saturation_per_s, sweep.knee_concurrency
    lines: list[str] = []
    if top is not None:
        least = "at least " if top.at_least else ""
        lines.append(f"saturated at {least}{top.value:.3g} answers/s")
    if knee is not None:
        least = "at least " if knee.at_least else "about "
        lines.append(
            f"{least}{knee.value:.3g} requests in flight fill the server (saturation × idle "
            "latency); more only wait"
        )
    full, most = search.saturation, None if top is None else top.value
    if full is not None and full.throughput_per_s and most and full.throughput_per_s < 0.9 * most:
        lines.append(
            f"overloaded it does less: {full.throughput_per_s:.3g} answers/s with the most in "
            "flight"
        )
    if sweep.oversaturated_per_s is not None:
        lines.append(f"cut short from {sweep.oversaturated_per_s:g} requests/s on: it falls behind")
    return lines
