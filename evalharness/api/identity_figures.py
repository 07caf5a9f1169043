"""The tables of Python on whether two settings are the same model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from msgspec.structs import asdict

from evalharness.api.figures import Rows, interval_ends

if TYPE_CHECKING:
    from evalharness.analysis.data.frame import RunFrame
    from evalharness.analysis.data.join_runs import JoinedRuns, SettingColumn
    from evalharness.analysis.equality.model_equality import ModelEquality
    from evalharness.analysis.logprobs.logprob_distance import LogprobDistance
    from evalharness.analysis.tool_calls.tool_call_check import ToolCallCheck

EQUALITY = (
    "a", "b", "a_label", "b_label", "a_run", "b_run", "verdict", "reason", "p", "p_adjusted",
    "mmd2", "lo", "hi", "own_a", "own_b", "across", "prompts", "prompts_left_out", "outputs_a",
    "outputs_b", "empty_a", "empty_b", "unit", "length", "cut", "permutations", "exact",
    "smallest_p", "detectable_mmd2", "detectable_share", "power", "differing_below", "sentence",
)  # fmt: skip
_LOGPROB_SIDES = ("own_a", "own_b", "across")
_LOGPROB_FIGURES = ("prompts", "pairs", "compared", "mean", "largest", "equal", "kl")
LOGPROBS = (
    "a", "b", "a_label", "b_label", "a_run", "b_run", "verdict", "reason", "p", "p_adjusted",
    "excess", "lo", "hi", "tested_prompts", "smallest_p",
    *(f"{side}_{name}" for side in _LOGPROB_SIDES for name in _LOGPROB_FIGURES), "sentence",
)  # fmt: skip

_CALL_FIGURES = ("prompts", "precision", "recall", "f1")
_SIDE_FIGURES = (
    "outputs", "errors", "schema_accuracy", "unknown_names", "unreadable", "misfits",
    "calls_without_reason", "reason_without_calls", "calls_in_text",
)  # fmt: skip
_CHECK_PARTS = {
    "across": _CALL_FIGURES, "own": _CALL_FIGURES, "side": _SIDE_FIGURES,
    "reference": _SIDE_FIGURES,
}  # fmt: skip
TOOL_CALLS = (
    "a", "b", "a_label", "b_label", "a_run", "b_run", "verdict", "reason", "p", "p_adjusted",
    "call_rate", "call_rate_p", "valid_rate", "valid_rate_p", "decisions_p",
    "prompts", *(f"{part}_{name}" for part, names in _CHECK_PARTS.items() for name in names),
    "sentence",
)  # fmt: skip


def paired_settings(
    frame: RunFrame, by: str | None, baseline: Any
) -> tuple[JoinedRuns, list[tuple[SettingColumn, SettingColumn]]]:
    """The settings of a run and which of them are compared.

    Args:
        frame: the run.
        by: the axis; None takes every two of the first 24 settings.
        baseline: the value to compare with.
    """
    from evalharness.analysis.across.agreement_across import all_pairs
    from evalharness.analysis.comparison.compare import single_pairs
    from evalharness.analysis.data.join_runs import JoinedRuns

    joined = JoinedRuns.of({"": frame})
    return joined, all_pairs(joined) if by is None else single_pairs(joined, by, baseline)


def equality_rows(pairs: Sequence[ModelEquality]) -> Rows:
    """One row a pair of settings that was tested for model equality."""
    from evalharness.report.sections.equality.words import equality_sentence

    for pair in pairs:
        lo, hi = interval_ends(pair.mmd2_ci95)
        yield {**asdict(pair), "lo": lo, "hi": hi, "sentence": equality_sentence(pair)}


def logprob_rows(pairs: Sequence[LogprobDistance]) -> Rows:
    """One row a pair of settings whose log probabilities were compared."""
    from evalharness.report.sections.logprobs.words import distance_sentence

    for pair in pairs:
        lo, hi = interval_ends(pair.excess_ci95)
        sides = {side: getattr(pair, side) for side in _LOGPROB_SIDES}
        figures = {
            f"{side}_{name}": None if value is None else getattr(value, name)
            for side, value in sides.items()
            for name in _LOGPROB_FIGURES
        }
        yield {
            **asdict(pair), **figures, "lo": lo, "hi": hi, "sentence": distance_sentence(pair),
        }  # fmt: skip


def tool_call_rows(checks: Sequence[ToolCallCheck]) -> Rows:
    """One row a setting whose tool calls were checked."""
    from evalharness.report.sections.tool_calls.words import check_sentence

    for check in checks:
        parts: dict[str, Any] = {}
        for part, names in _CHECK_PARTS.items():
            value = getattr(check, part)
            parts |= {f"{part}_{n}": None if value is None else getattr(value, n) for n in names}
        yield {**asdict(check), **parts, "sentence": check_sentence(check)}
