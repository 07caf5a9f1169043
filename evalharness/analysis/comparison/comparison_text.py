"""Comparisons as one line of text each."""

from __future__ import annotations

from typing import Any

from evalharness.analysis.data.metrics import is_share
from evalharness.analysis.stats.design import MIN_PROMPTS


def comparison_line(row: dict[str, Any]) -> str:
    """Return a comparison as one line, e.g.

    ``temperature=1.0 vs temperature=0.0: score −1.2 pp [−3.4, +1.0], p=.28 (311 up / 333 down /
    356 tied, n=1000, K=10); detectable: 3.1 pp``.
    """
    head = f"{_name(row, 'a')} vs {_name(row, 'b')}{_stratum(row)}: {row['metric']}"
    if not row["n"]:
        return f"{head}: no prompt has a value on both sides"
    metric = row["metric"]
    text = (
        f"{head} {format_amount(row['difference'], metric, sign=True)} {_ends(row['ci95'], metric)}"
    )
    if row["ratio"] is not None:
        text += f", ×{row['ratio']['value']:.3g}"
    text += f", {p_text(row['p'])}"
    if row["family"] > 1:
        text += f" (adjusted for {row['family']}: {p_text(row['p_adjusted'])})"
    text += (
        f" ({row['wins']} up / {row['losses']} down / {row['ties']} tied, "
        f"n={row['n']}, K={_repeats(row['repeats'])}{_unmatched(row['unmatched'])})"
    )
    text += f"; detectable: {_detectable_text(row)}"
    text += _equivalence_text(row)
    return "; ".join([text, *remarks(row)])


def remarks(row: dict[str, Any]) -> list[str]:
    """Caveats of a comparison: what else differs, errors as failures, and missing values."""
    also = row["also_differs"]
    differing = f"the sides also differ in {', '.join(also)}" if also else ""
    return [text for text in (differing, _strict_text(row), _missing_text(row)) if text]


def format_amount(value: float, metric: str, *, sign: bool = False) -> str:
    """Return a value of a metric with its unit: shares in percentage points, the rest as it is."""
    number = _number(100.0 * value if is_share(metric) else value, metric, sign=sign)
    return f"{number} {_unit(metric)}".rstrip()


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


def _detectable_text(row: dict[str, Any]) -> str:
    """The smallest detectable difference, or why there is none."""
    metric, mde = row["metric"], row["mde"]
    if mde is None:
        reason = "one prompt" if row["n"] == 1 else "every prompt differs by the same amount"
        return f"not estimable ({reason})"
    if is_underpowered(row):
        return f"none with {row['n']} prompts" if row["n"] > 1 else "none with one prompt"
    if row["mde_from"] == "spread":
        return format_amount(mde, metric)
    constant = "differs by the same" if row["wins"] or row["losses"] else "is tied"
    return f"{format_amount(mde, metric)} at most (every prompt {constant})"


def is_underpowered(row: dict[str, Any]) -> bool:
    """Whether no difference can be detected: beyond 100 points, or too few prompts for any p < .05.

    Five prompts that all differ in one direction give p = .0625 by sign flips, four give .0625 by
    McNemar's mid-p.
    """
    if is_share(row["metric"]) and (row["mde"] or 0.0) > 1.0:
        return True
    return row["n"] < (MIN_PROMPTS - 1 if row["mcnemar"] else MIN_PROMPTS)


def _equivalence_text(row: dict[str, Any]) -> str:
    """The result of the equivalence test, where a margin was given."""
    test = row["equivalence"]
    if test is None:
        return ""
    margin = format_amount(test["margin"], row["metric"])
    if test["p"] is None:
        return f"; equivalent within ±{margin}: not testable without spread"
    return f"; equivalent within ±{margin}: {p_text(test['p'])}"


def _unit(metric: str) -> str:
    if is_share(metric):
        return "pp"
    return {"latency_s": "s", "completion_tokens": "tokens", "cost_usd": "USD"}.get(metric, "")


def _number(value: float, metric: str, *, sign: bool) -> str:
    digits = ".1f" if is_share(metric) else ".3g"
    text = format(value, f"+{digits}" if sign else digits)
    return text.replace("-", "−") if sign else text


def _ends(ci: list[float] | None, metric: str) -> str:
    if ci is None:
        return "[interval not defined]"
    if is_share(metric):
        # A t interval of few prompts may reach beyond what a difference of shares can be.
        ci = [100.0 * min(1.0, max(-1.0, end)) for end in ci]
    return "[" + ", ".join(_number(end, metric, sign=True) for end in ci) + "]"


def _name(row: dict[str, Any], side: str) -> str:
    return f"{row['by']}={_value(row[f'{side}_value'])}"


def _stratum(row: dict[str, Any]) -> str:
    if row["pooled"]:
        return f" (pooled over {len(row['a_settings'])} matched pairs)"
    if not row["stratum"]:
        return ""
    return " at " + stratum_text(row["stratum"])


def stratum_text(stratum: dict[str, Any]) -> str:
    """Name the values of the other axes: ``seed=42, top_p=not sent``."""
    return ", ".join(f"{key}={_value(value)}" for key, value in stratum.items())


def _value(value: Any) -> str:
    return "not sent" if value is None else str(value)


def _repeats(repeats: list[int]) -> str:
    return str(repeats[0]) if repeats[0] == repeats[1] else f"{repeats[0]} and {repeats[1]}"


def _unmatched(unmatched: dict[str, int]) -> str:
    """How many prompts were left out because one side has no value for them."""
    prompts = unmatched["a"] + unmatched["b"]
    return f", {prompts} with a value on one side only left out" if prompts else ""


def _strict_text(row: dict[str, Any]) -> str:
    """The score difference when every error counts as a failure."""
    test = row["errors_as_failures"]
    if test is None or test["difference"] is None:
        return ""
    difference = format_amount(test["difference"], row["metric"], sign=True)
    return f"with errors as failures {difference} ({p_text(test['p'])})"


def _missing_text(row: dict[str, Any]) -> str:
    missing = row["missing"]
    if not missing["differs"]:
        return ""
    return (
        f"read with care: {100 * missing['a']:.1f} % against {100 * missing['b']:.1f} % of the "
        f"trials have no value ({p_text(missing['p'])})"
    )
