"""How much worse than a baseline a run may be: ``score=2pp``, ``latency_p95=15%``."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from evalharness.analysis.data.metrics import ERROR_SHARE
from evalharness.errors import ConfigError
from evalharness.process.text import closest, did_you_mean

REGRESSION = "max_regression"
INCREASE = "max_increase"

_NUMBER = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*(pp|%|)")


class ComparedMetric(NamedTuple):
    """A metric that a run is compared with its baseline in.

    ``column`` is its name in the analysis, ``share`` the percentile over trials (None: the mean
    over prompts), ``unit`` what a plain number means. Metrics without ``increase`` are better
    when they are higher.
    """

    what: str
    column: str
    increase: bool = True
    share: float | None = None
    unit: str = ""


_SECONDS = (
    ("latency", "latency_s", "latency"),
    ("ttft", "ttft_s", "time to first token"),
    ("tpot", "tpot_s", "time per token"),
)

METRICS: dict[str, ComparedMetric] = {
    "score": ComparedMetric("mean score", "score", increase=False),
    "agreement": ComparedMetric("agreement of raw text", "agreement", increase=False),
    "answer_agreement": ComparedMetric("agreement of answers", "agreement_answer", increase=False),
    ERROR_SHARE: ComparedMetric("share of failed trials", ERROR_SHARE),
    "cost": ComparedMetric("cost of a request", "cost_usd", unit="USD"),
    "prompt_tokens": ComparedMetric("prompt tokens of a request", "prompt_tokens", unit="tokens"),
    "completion_tokens": ComparedMetric(
        "completion tokens of a request", "completion_tokens", unit="tokens"
    ),
    **{name: ComparedMetric(f"mean {what}", column, unit="s") for name, column, what in _SECONDS},
    **{
        f"{name}_p{share:.0f}": ComparedMetric(
            f"{share:.0f}th percentile of {what}", column, share=share / 100, unit="s"
        )
        for name, column, what in _SECONDS
        for share in (50, 95)
    },
    "itl": ComparedMetric("mean gap between chunks", "itl_s", unit="s"),
    "goodput": ComparedMetric("goodput", "goodput", increase=False),
    "throughput": ComparedMetric(
        "answers per second", "throughput_per_s", increase=False, unit="requests/s"
    ),
    "output_tokens_per_s": ComparedMetric(
        "output tokens per second", "output_tokens_per_s", increase=False, unit="tokens/s"
    ),
    "saturation": ComparedMetric(
        "highest rate that met the SLO", "saturation_per_s", increase=False, unit="requests/s"
    ),
}
_SHARES = ("score", "agreement", "answer_agreement", ERROR_SHARE, "goodput")
# Names that other commands give the same metrics.
_OTHER_NAMES = {
    "agreement_answer": "answer_agreement", "cost_usd": "cost", "latency_s": "latency",
    "ttft_s": "ttft", "tpot_s": "tpot", "itl_s": "itl", "throughput_per_s": "throughput",
    "saturation_per_s": "saturation", "tokens": "completion_tokens", "errors": ERROR_SHARE,
    **{f"{name}_p{p}_s": f"{name}_p{p}" for name in ("latency", "ttft", "tpot") for p in (50, 95)},
}  # fmt: skip


class ChangeLimit(NamedTuple):
    """How much worse one metric may be.

    ``amount`` is in the metric's unit, or a share of the baseline where it is ``relative``;
    ``text`` is how it was written.
    """

    name: str
    metric: ComparedMetric
    amount: float
    relative: bool
    text: str

    @property
    def is_share(self) -> bool:
        """Whether the metric lies in 0..1."""
        return self.metric.column in _ANALYSED_SHARES or self.metric.column.startswith("score.")


_ANALYSED_SHARES = tuple(METRICS[name].column for name in _SHARES)


def read_allowances(gate: str, words: Sequence[str]) -> list[ChangeLimit]:
    """The allowances of one flag, from words such as ``score=2pp``.

    Raises:
        ConfigError: a metric or an amount that cannot be read, or one that belongs to the other
            flag.
    """
    pairs: dict[str, str] = {}
    for word in words:
        name, separator, amount = word.partition("=")
        if not separator:
            raise ConfigError(f"{_flag(gate)} {word}: no amount", hint=f"{word}={_example(gate)}")
        if _known(name) in map(_known, pairs):
            raise ConfigError(f"{_flag(gate)} {word}: {name} has two amounts", hint="keep one")
        pairs[name] = amount
    return allowances_of(gate, pairs)


def allowances_of(gate: str, amounts: Mapping[str, object]) -> list[ChangeLimit]:
    """The allowances of one gate, by metric; the errors are those of :func:`read_allowances`."""
    return [_allowance(gate, name, str(amount)) for name, amount in amounts.items()]


def _allowance(gate: str, name: str, text: str) -> ChangeLimit:
    typed = f"{_flag(gate)} {name}={text}"
    metric = _metric(gate, name, text)
    if metric.increase != (gate == INCREASE):
        other = _flag(INCREASE if metric.increase else REGRESSION)
        direction = "an increase" if metric.increase else "a fall"
        raise ConfigError(f"{typed}: {direction} of it is worse", hint=f"{other} {name}={text}")
    match = _NUMBER.fullmatch(text.strip())
    if match is None or not math.isfinite(float(match[1])):
        raise ConfigError(f"{typed}: not an amount", hint=_amounts(gate, name, metric))
    number, kind = float(match[1]), match[2]
    allowance = ChangeLimit(_known(name), metric, number, kind == "%", text.strip())
    if kind == "pp" and not allowance.is_share:
        raise ConfigError(f"{typed}: points are for shares", hint=f"{name}={match[1]}%")
    if not kind and allowance.is_share and number > 1:
        raise ConfigError(
            f"{typed}: a share differs by 1 at most", hint=f"{name}={match[1]}pp, or {name}=0.02"
        )
    if number > 100 and (kind == "pp" or (kind and not metric.increase)):
        most = "a share differs by 100pp at most" if kind == "pp" else "it falls by 100% at most"
        raise ConfigError(f"{typed}: {most}", hint=f"{name}={_example(gate)}")
    return allowance._replace(amount=number / 100 if kind else number)


def _amounts(gate: str, name: str, metric: ComparedMetric) -> str:
    """What to type as the amount of a metric."""
    plain = f", or a number of {metric.unit}: {name}=0.5" if metric.unit == "s" else ""
    return f"{name}={_example(gate)}{plain}"


def _known(name: str) -> str:
    """The name of a metric here, by any of its names."""
    return _OTHER_NAMES.get(name, name)


def _metric(gate: str, name: str, text: str) -> ComparedMetric:
    known = _known(name)
    if known in METRICS:
        return METRICS[known]
    if known.startswith("score."):
        scorer = known.removeprefix("score.")
        return ComparedMetric(f"mean score by {scorer}", known, increase=False)
    whole = name.rpartition("_p")[0]  # of a percentile that is not compared: itl_p95
    close = whole if whole in METRICS else closest(name, [*METRICS, *_OTHER_NAMES])
    fitting = [key for key, metric in METRICS.items() if metric.increase == (gate == INCREASE)]
    raise ConfigError(
        f"{_flag(gate)} {name}={text}: there is no metric `{name}`",
        hint=did_you_mean(close) if close else f"one of: {', '.join(fitting)}",
    )


def _flag(gate: str) -> str:
    return f"--{gate.replace('_', '-')}"


def _example(gate: str) -> str:
    return "10%" if gate == INCREASE else "2pp"
