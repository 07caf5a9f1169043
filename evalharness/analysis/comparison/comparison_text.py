"""The words of a comparison: its parts in two spellings, and the line that the JSON has.

Every output says a comparison with the functions of this module: the ``sentence`` of the JSON in
the spelling :data:`PLAIN`, reports in that of ``report/sections/comparisons/words.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from evalharness.analysis.comparison.comparison import Comparison
from evalharness.analysis.comparison.trend import Trend
from evalharness.analysis.data.json_values import JsonValues
from evalharness.analysis.data.metrics import TIME_METRICS, is_share

RATE_UNITS = {
    "throughput_per_s": "requests/s", "output_tokens_per_s": "tokens/s",
    "saturation_per_s": "requests/s",
}  # fmt: skip
ONE_SIDE_ONLY = "with a value on one side only left out"


class Spelling(NamedTuple):
    """How names and figures are written in the words of a comparison.

    Functions of figures take the metric, the figure and the largest of the figures shown side by
    side, which may choose the unit of all.

    Attributes:
        sides: template of what is compared: ``by``, ``a`` and ``b`` are filled in.
        pooled: template of what a pooled comparison is the mean of: the number of pairs.
        link: what stands between an axis and its value.
        value: writes a value on an axis.
        difference: writes a signed difference with its unit.
        interval: writes the ends of its interval, or why there is none.
    """

    sides: str
    pooled: str
    link: str
    value: Callable[[Any], str]
    difference: Callable[[str, float, float], str]
    interval: Callable[[str, list[float] | None, float], str]


# ── parts ────────────────────────────────────────────────────────────────────────────────────────


def sides_text(row: Comparison, spelling: Spelling) -> str:
    """What is compared with what."""
    a, b = spelling.value(row.a_value), spelling.value(row.b_value)
    return spelling.sides.format(by=row.by, a=a, b=b)


def stratum_text(stratum: JsonValues, spelling: Spelling) -> str:
    """The values of the other axes, which both sides share; empty where there is none."""
    return ", ".join(
        f"{axis}{spelling.link}{spelling.value(value)}" for axis, value in stratum.items()
    )


def place_text(row: Comparison | Trend, spelling: Spelling) -> str:
    """Where it was compared, to be appended: pairs that were pooled, or a stratum."""
    if isinstance(row, Comparison) and row.pooled:
        return f" ({spelling.pooled.format(len(row.a_settings))})"
    return f" at {stratum_text(row.stratum, spelling)}" if row.stratum else ""


def difference_text(row: Comparison, spelling: Spelling) -> str:
    """The difference with its interval."""
    largest = row.largest_figure
    size = spelling.difference(row.metric, row.difference or 0.0, largest)
    return f"{size} {spelling.interval(row.metric, row.ci95, largest)}"


def remarks(row: Comparison) -> list[str]:
    """Caveats of a comparison: what else differs, errors as failures, and missing values."""
    also = f"the sides also differ in {', '.join(row.also_differs)}" if row.also_differs else ""
    return [text for text in (also, _strict_text(row), _missing_text(row)) if text]


def _strict_text(row: Comparison) -> str:
    """The score difference when every error counts as a failure."""
    test = row.errors_as_failures
    if test is None or test.difference is None:
        return ""
    difference = format_amount(test.difference, row.metric, sign=True)
    return f"with errors as failures {difference} ({p_text(test.p)})"


def _missing_text(row: Comparison) -> str:
    missing = row.missing
    if not missing.differs:
        return ""
    a, b = (f"{100 * (share or 0.0):.1f} %" for share in (missing.a, missing.b))
    return f"read with care: {a} against {b} of the trials have no value ({p_text(missing.p)})"


def p_text(p: float | None) -> str:
    """Return ``p=.28``, ``p<.001`` or ``p not defined``."""
    if p is None:
        return "p not defined"
    if p < 0.001:
        return "p<.001"
    if p >= 0.995:
        return "p=1"
    digits = f"{p:.3f}" if p < 0.1 else f"{p:.2f}"
    return "p=" + (digits.removeprefix("0"))


# ── the JSON's spelling ──────────────────────────────────────────────────────────────────────────


def comparison_line(row: Comparison) -> str:
    """Return a comparison as one line, e.g.

    ``temperature=1.0 vs temperature=0.0: score −1.2 pp [−3.4, +1.0], p=.28 (311 up / 333 down /
    356 tied, n=1000, K=10); detectable: 3.1 pp``.
    """
    head = f"{sides_text(row, PLAIN)}{place_text(row, PLAIN)}: {row.metric}"
    if not row.n:
        return f"{head}: no prompt has a value on both sides"
    if row.unit != "prompt":
        return "; ".join([f"{head} {_rate_text(row)}", *remarks(row)])
    ratio = "" if row.ratio is None else f", ×{row.ratio.value:.3g}"
    unmatched = f", {row.unmatched.total} {ONE_SIDE_ONLY}" if row.unmatched.total else ""
    text = (
        f"{head} {difference_text(row, PLAIN)}{ratio}, {_test_text(row)} "
        f"({row.wins} up / {row.losses} down / {row.ties} tied, n={row.n}, "
        f"K={_repeats(row.repeats)}{unmatched})"
        f"; detectable: {_detectable_text(row)}{_equivalence_text(row)}"
    )
    return "; ".join([text, *remarks(row)])


def _rate_text(row: Comparison) -> str:
    """The difference of a rate, which no prompt pairs."""
    ratio = "" if row.ratio is None else f", ×{row.ratio.value:.3g}"
    size = PLAIN.difference(row.metric, row.difference or 0.0, row.largest_figure)
    if row.unit == "search":
        return f"{size}{ratio} ({bounds_text(row)})"
    ends = PLAIN.interval(row.metric, row.ci95, row.largest_figure)
    counts = " and ".join(f"{count:,}" for count in row.counted or ())
    mde = "not estimable (every stretch of time is alike)"
    mde = mde if row.mde is None else format_amount(row.mde, row.metric)
    return (
        f"{size} {ends}{ratio}, {_test_text(row)} ({counts} answers, n={row.n} stretches of time "
        f"a side); detectable: {mde}"
    )


def bounds_text(row: Comparison) -> str:
    """What the verdicts of two searches say about the difference of their outcomes."""
    low, high = row.bounds or (None, None)
    unit = _unit(row.metric)
    if low is None and high is None:
        return f"not bounded, since every rate held in both searches (n={row.n} load points each)"
    if high is not None and low is not None:
        ends = (_number(end, row.metric, sign=True) for end in (low, high))
        text = f"between {' and '.join(ends)} {unit}"
    elif high is None:
        text = f"at least {_number(low or 0.0, row.metric, sign=True)} {unit}"
    else:
        text = f"at most {_number(high, row.metric, sign=True)} {unit}"
    return f"{text} by the verdicts on load points (n={row.n} a search), no 95 % interval"


def trend_line(row: Trend) -> str:
    """Return a trend as one line."""
    head = f"{row.metric} over {row.by}{place_text(row, PLAIN)}"
    if row.slope is None:
        return f"{head}: no prompt has a value at every setting"
    ends = "interval not defined"
    if row.ci95 is not None:
        ends = ", ".join(format_amount(end, row.metric, sign=True) for end in row.ci95)
    slope = f"{format_amount(row.slope, row.metric, sign=True)} per unit [{ends}]"
    dropped = f", {row.dropped} without a value at every setting left out" if row.dropped else ""
    return f"{head}: {slope}, {_test_text(row)} (n={row.n}{dropped})"


def format_amount(value: float, metric: str, *, sign: bool = False) -> str:
    """Return a value of a metric with its unit: shares in percentage points, the rest as it is."""
    number = _number(100.0 * value if is_share(metric) else value, metric, sign=sign)
    return f"{number} {_unit(metric)}".rstrip()


def _test_text(row: Comparison | Trend) -> str:
    """The p value, and the adjusted one where there are several tests."""
    adjusted = f" (adjusted for {row.family}: {p_text(row.p_adjusted)})" if row.family > 1 else ""
    return f"{p_text(row.p)}{adjusted}"


def _detectable_text(row: Comparison) -> str:
    """The smallest detectable difference, or why there is none."""
    if row.is_underpowered:
        return f"none with {row.n} prompts" if row.n > 1 else "none with one prompt"
    if row.mde is None:
        return "not estimable (every prompt differs by the same amount)"
    size = format_amount(row.mde, row.metric)
    if row.mde_from == "spread":
        return size
    constant = "is tied" if row.all_tied else "differs by the same"
    return f"{size} at most (every prompt {constant})"


def _equivalence_text(row: Comparison) -> str:
    """The result of the equivalence test, where a margin was given."""
    test = row.equivalence
    if test is None:
        return ""
    result = "not testable without spread" if test.p is None else p_text(test.p)
    return f"; equivalent within ±{format_amount(test.margin, row.metric)}: {result}"


def _repeats(repeats: tuple[int, int] | None) -> str:
    if repeats is None:
        return "–"
    return str(repeats[0]) if repeats[0] == repeats[1] else f"{repeats[0]} and {repeats[1]}"


def _unit(metric: str) -> str:
    if is_share(metric):
        return "pp"
    return {
        **dict.fromkeys(TIME_METRICS, "s"),
        "completion_tokens": "tokens",
        "cost_usd": "USD",
        **RATE_UNITS,
    }.get(metric, "")


def _number(value: float, metric: str, *, sign: bool) -> str:
    digits = ".1f" if is_share(metric) else ".3g"
    text = format(value, f"+{digits}" if sign else digits)
    return text.replace("-", "−") if sign else text


def _difference(metric: str, value: float, _: float) -> str:
    return format_amount(value, metric, sign=True)


def _interval(metric: str, ci: list[float] | None, _: float) -> str:
    if ci is None:
        return "[interval not defined]"
    if is_share(metric):
        # A t interval of few prompts may reach beyond what a difference of shares can be.
        ci = [100.0 * min(1.0, max(-1.0, end)) for end in ci]
    return "[" + ", ".join(_number(end, metric, sign=True) for end in ci) + "]"


def _value(value: Any) -> str:
    return "not sent" if value is None else str(value)


PLAIN = Spelling(
    sides="{by}={a} vs {by}={b}",
    pooled="pooled over {} matched pairs",
    link="=",
    value=_value,
    difference=_difference,
    interval=_interval,
)
