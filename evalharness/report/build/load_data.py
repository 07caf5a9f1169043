"""The rows of the load section."""

from __future__ import annotations

import msgspec

from evalharness.analysis.data.json_values import JsonValues
from evalharness.analysis.distributions import Ecdf
from evalharness.analysis.load.capacity import Capacity
from evalharness.analysis.load.load_facts import LoadFacts
from evalharness.analysis.load.load_metrics import TimeMetrics
from evalharness.analysis.load.load_timeline import LoadTimeline


class TokenTimes(msgspec.Struct, frozen=True, kw_only=True):
    """The distributions of token times of one setting at one load point, from sending.

    Attributes:
        ttft_s: seconds to the first token.
        tpot_s: seconds per output token after the first.
    """

    ttft_s: Ecdf
    tpot_s: Ecdf


class LoadPointSetting(TimeMetrics, frozen=True, kw_only=True):
    """The times of one of the settings that shared a load point.

    Attributes:
        setting_id: the setting.
        label: its name.
        ecdf: the distributions of its token times.
    """

    setting_id: str
    label: str
    ecdf: TokenTimes


class RequestParameters(msgspec.Struct, frozen=True, kw_only=True):
    """What a setting requests, apart from the load.

    Attributes:
        provider, model: as configured; null unknown.
        system: the system prompt; null without one.
        template: Jinja template of the user message; null without one.
        params: the parameters sent.
    """

    provider: str | None
    model: str | None
    system: str | None
    template: str | None
    params: JsonValues


class LoadPoint(LoadFacts, frozen=True, kw_only=True):
    """One load point, with the measurement that stands for it.

    Attributes:
        label: its name, from the load: ``poisson 10/s``.
        settings: the settings that shared the load.
        timeline: the measurement over time; null where nothing was sent.
        parameters: what each of the settings requests; load points equal in it form one curve.
        holds: of a step of a search, whether enough requests met the SLO; null where the client
            made it invalid, and of other points.
    """

    label: str
    settings: list[LoadPointSetting]
    timeline: LoadTimeline | None
    parameters: list[RequestParameters]
    holds: bool | None = None


class LoadSearch(msgspec.Struct, frozen=True, kw_only=True):
    """A search for the highest rate that meets the SLO.

    Attributes:
        settings: ids of the settings it is for.
        labels: their names.
        result: ``between`` where a rate held and a higher one did not; ``at_least`` where one held
            and none did not; ``below`` where one did not and none held; ``unmeasured`` where the
            client made every point invalid.
        low: the highest rate that held in a valid point, requests/s; null when none did.
        high: the lowest rate that did not in a valid point, requests/s; null when there is none.
        rates: the rates tried, requests/s, ascending.
        unmeasured_rates: those of them at which the client made the point invalid, which says
            nothing about the server; ascending.
        goodput: the share of requests that had to meet the SLO.
        shown_rate: requests/s of the measurement whose records the other figures use: ``low``, or
            the lowest rate with a valid point, or the lowest tried.
        outcome: the result, as a sentence.
    """

    settings: list[str]
    labels: list[str]
    result: str
    low: float | None
    high: float | None
    rates: list[float]
    unmeasured_rates: list[float]
    goodput: float
    shown_rate: float
    outcome: str


class SweepFigure(msgspec.Struct, frozen=True, kw_only=True):
    """A figure of a sweep.

    Attributes:
        value: of the figure.
        ci95: its 95 % interval; null where it is not known, an end is null where it is not bounded.
        n: answers that it is of.
        at_least: whether the truth may be higher, because nothing measured was beyond it.
    """

    value: float
    ci95: list[float | None] | None
    n: int
    at_least: bool = False


class LoadSweep(msgspec.Struct, frozen=True, kw_only=True):
    """Idle, knee and saturation of the settings that shared a sweep of loads.

    Attributes:
        settings: their ids.
        labels: their names.
        over: ``rate`` or ``concurrency``: what was raised.
        slowdown: how many times the idle latency the median latency at the knee of a rate is.
        idle_latency_s: the median latency of one request at a time, seconds; null unmeasured.
        knee_low, knee_high: the highest rate that the server held with a median latency up to
            ``slowdown`` times the idle one, and the lowest that it did not, in requests that were
            due a second. Bounds of verdicts, no interval of confidence. Null where no rate was so,
            and over concurrency.
        knee_rate: a single number between the two, requests/s; null unless both are known.
        knee_concurrency: saturation throughput x idle latency, requests in flight: above it
            requests only wait longer. ``at_least`` where the server was not saturated. Its
            interval combines those of its factors (MOVER, Zou and Donner 2008, on logarithms).
        saturation_per_s: the highest throughput of a valid point, answers/s.
        saturation_measurement: the number of that point's measurement; null unmeasured.
        oversaturated_per_s: the lowest rate that a point was cut short at because the server fell
            behind, requests/s; null where none was.
        measurements: numbers of the measurements, by rising load.
        unmeasured: loads that the client could not hold, which say nothing about the server.
        shown_measurement: the number of the measurement whose records the other figures use.
        outcome: the results, as sentences.
    """

    settings: list[str]
    labels: list[str]
    over: str
    slowdown: float
    idle_latency_s: SweepFigure | None
    knee_low: float | None
    knee_high: float | None
    knee_rate: float | None
    knee_concurrency: SweepFigure | None
    saturation_per_s: SweepFigure | None
    saturation_measurement: int | None
    oversaturated_per_s: float | None
    measurements: list[int]
    unmeasured: list[str]
    shown_measurement: int
    outcome: list[str]


class LoadData(msgspec.Struct, frozen=True, kw_only=True):
    """The load points of a benchmark. Warm-up is in no figure.

    Attributes:
        points: the load points in the order of their measurement, those of searches by rate.
        searches: the outcome of every search.
        sweeps: of every ``load=sweep``, idle, knee and saturation.
        capacity: load points by what they do for a user and for the cost of the server; null with
            fewer than two valid points.
        unfinished_measurements: measurements that were interrupted; in no figure.
    """

    points: list[LoadPoint]
    searches: list[LoadSearch]
    unfinished_measurements: int
    sweeps: list[LoadSweep] = []
    capacity: Capacity | None = None
