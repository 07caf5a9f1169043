"""Does an endpoint call tools as a reference does?

Source: the K2 Vendor Verifier (MoonshotAI, 2025): a request is positive where its finish reason is
``tool_calls``; precision, recall and F1 of a vendor's positives against those of the official
endpoint, and the share of the vendor's positives whose calls all fit their schemas. There each
request is sent once. Here each side may answer several times: every answer of one side is compared
with every answer of the other, and the reference with its own repeats, which is as near as an equal
model comes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import msgspec
import numpy as np
from msgspec import structs

from evalharness.analysis import stats
from evalharness.analysis.data import json_values
from evalharness.analysis.data.encode import Floats, Ints
from evalharness.analysis.data.join_runs import JoinedRuns, SettingColumn
from evalharness.analysis.data.output_texts import read_texts
from evalharness.analysis.equality.outputs import SideRows
from evalharness.analysis.tool_calls.call_output import (
    CallOutput,
    offered_tools,
    read_call_output,
)
from evalharness.analysis.tool_calls.differences import (
    PromptAnswers,
    call_rates,
    decisions_p,
    share_called,
    smallest_of,
    valid_rates,
)

MAX_PROMPTS = 5_000  # of a pair; of more, so many are drawn with a fixed seed
MAX_REPEATS = 50  # of a prompt, the first ones
_HOLM_UP_TO = 20

CheckVerdict = Literal["differs", "not detected", "not measurable"]


class ToolCallSide(msgspec.Struct, frozen=True, kw_only=True):
    """What one endpoint did with the tools that it was offered.

    Attributes:
        outputs: answers to requests with tools.
        errors: requests that failed instead; they are in no other figure.
        finish_reasons: answers by ``tool_calls``, ``stop`` and ``other``.
        schema_accuracy: of the answers that end with ``tool_calls``, the share whose calls all name
            an offered function and fit its schema; null where there are none.
        schema_accuracy_ci95: its interval over prompts, or clusters.
        unknown_names: calls of functions that were not offered.
        unreadable: calls whose arguments are no JSON object.
        misfits: calls whose arguments do not fit the schema.
        calls_without_reason: answers with calls and another finish reason.
        reason_without_calls: answers with that finish reason and no calls.
        calls_in_text: answers without calls whose text names an offered function before a ``{``.
    """

    outputs: int
    errors: int
    finish_reasons: dict[str, int]
    schema_accuracy: float | None
    schema_accuracy_ci95: list[float] | None
    unknown_names: int
    unreadable: int
    misfits: int
    calls_without_reason: int
    reason_without_calls: int
    calls_in_text: int


class CallFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Decisions to call against those of a reference, over pairs of answers to one prompt.

    Attributes:
        prompts: prompts with a pair.
        precision: of the answers that call, the share where the reference calls; null without any.
        recall: of those where the reference calls, the share that call; null where it never does.
        f1: their harmonic mean; null where the reference never calls.
        precision_ci95, recall_ci95, f1_ci95: their intervals over prompts, or clusters.
    """

    prompts: int
    precision: float | None = None
    precision_ci95: list[float] | None = None
    recall: float | None = None
    recall_ci95: list[float] | None = None
    f1: float | None = None
    f1_ci95: list[float] | None = None


class ToolCallCheck(msgspec.Struct, frozen=True, kw_only=True):
    """The tool calls of a setting against those of the reference, the baseline.

    Attributes:
        a, b: ids of the setting and of the reference.
        a_label, b_label: their labels.
        a_run, b_run: their runs; null where a single run is read.
        prompts: prompts with tools that both sides answered.
        side, reference: what each did.
        across: the setting's decisions to call against the reference's.
        own: the reference's decisions against those of its own repeats; null without repeats.
        call_rate: share of answers that call, less the reference's, mean over prompts.
        call_rate_ci95: its interval, of the sign flips of prompts, or clusters.
        call_rate_p: their p.
        valid_rate: share of the calling answers that are valid, less the reference's, mean over the
            prompts on which both call; null where there are none.
        valid_rate_ci95, valid_rate_p: its interval and p, likewise.
        decisions_p: one-sided p of "what the answers do (no call, a valid one, another) comes from
            one distribution", by dealing the answers of each prompt anew; null with single answers.
        p: that nothing differs: the smallest of these three, times how many there are (Bonferroni).
        p_adjusted: p adjusted over all pairs (Holm up to 20 of them, else Benjamini-Hochberg).
        verdict: ``differs`` (p_adjusted below .05), ``not detected``, ``not measurable``.
        reason: why it is not measurable; null elsewhere.
    """

    a: str
    b: str
    a_label: str
    b_label: str
    a_run: str | None
    b_run: str | None
    prompts: int = 0
    side: ToolCallSide | None = None
    reference: ToolCallSide | None = None
    across: CallFigures | None = None
    own: CallFigures | None = None
    call_rate: float | None = None
    call_rate_ci95: list[float] | None = None
    call_rate_p: float | None = None
    valid_rate: float | None = None
    valid_rate_ci95: list[float] | None = None
    valid_rate_p: float | None = None
    decisions_p: float | None = None
    p: float | None = None
    p_adjusted: float | None = None
    verdict: CheckVerdict = "not measurable"
    reason: str | None = None


def tool_call_check(
    joined: JoinedRuns, pairs: Sequence[tuple[SettingColumn, SettingColumn]], *, seed: int = 0
) -> list[ToolCallCheck]:
    """Check settings against a reference.

    Args:
        joined: the runs.
        pairs: each setting with its reference, which comes second.
        seed: of the permutations.
    """
    measured = [_check(joined, pair, seed, len(pairs)) for pair in pairs]
    flips = stats.SignFlips(clusters=joined.clusters, seed=seed)
    for each in measured:
        flips.add(each.call_rates)
        flips.add(each.valid_rates)
    tests = flips.tests()
    rows = [_with_tests(each, tests, 2 * index) for index, each in enumerate(measured)]
    raw = np.array([np.nan if row.p is None else row.p for row in rows], np.float64)
    adjust = stats.holm if len(rows) <= _HOLM_UP_TO else stats.benjamini_hochberg
    return [
        _with_verdict(row, json_values.number(adjusted))
        for row, adjusted in zip(rows, adjust(raw)[0], strict=True)
    ]


class _Measured(NamedTuple):
    """A check without its paired tests, and the differences of each joined prompt, NaN unknown."""

    row: ToolCallCheck
    call_rates: Floats
    valid_rates: Floats


def _with_tests(measured: _Measured, tests: stats.FlipTests, column: int) -> ToolCallCheck:
    row = measured.row
    if row.reason is not None:
        return row
    call_p, valid_p = (json_values.number(tests.p[column + k]) for k in range(2))
    return structs.replace(
        row,
        call_rate=json_values.mean(measured.call_rates),
        call_rate_ci95=json_values.interval(tests.interval(column)),
        call_rate_p=call_p,
        valid_rate=json_values.mean(measured.valid_rates),
        valid_rate_ci95=json_values.interval(tests.interval(column + 1)),
        valid_rate_p=valid_p,
        p=smallest_of([call_p, valid_p, row.decisions_p]),
        verdict="not detected",
    )


def _with_verdict(row: ToolCallCheck, p_adjusted: float | None) -> ToolCallCheck:
    verdict = row.verdict
    if p_adjusted is not None and verdict == "not detected" and p_adjusted < stats.ALPHA:
        verdict = "differs"
    return structs.replace(row, p_adjusted=p_adjusted, verdict=verdict)


def _check(
    joined: JoinedRuns, pair: tuple[SettingColumn, SettingColumn], seed: int, pairs: int
) -> _Measured:
    several = len(joined.frames) > 1
    row = ToolCallCheck(
        a=pair[0].setting_id,
        b=pair[1].setting_id,
        a_label=pair[0].label,
        b_label=pair[1].label,
        a_run=pair[0].run if several else None,
        b_run=pair[1].run if several else None,
    )
    sides = [SideRows.of(joined, column) for column in pair]
    total = len(joined.prompt_ids)
    unknown = np.full(total, np.nan)
    prompts = list(_answers(sides[0], sides[1], total))
    if not prompts:
        reason = "no request with tools was answered on both sides"
        return _Measured(structs.replace(row, reason=reason), unknown, unknown)
    numbers = np.array([prompt.number for prompt in prompts], np.int64)
    units = numbers if joined.clusters is None else joined.clusters[numbers]
    errors = [_errors(joined, column, numbers) for column in pair]
    row = structs.replace(
        row,
        prompts=len(prompts),
        side=_side([prompt.side for prompt in prompts], errors[0], units),
        reference=_side([prompt.reference for prompt in prompts], errors[1], units),
        across=_across(prompts, units),
        own=_own(prompts, units),
    )
    if not any(output.is_called for prompt in prompts for output in prompt.reference):
        reason = "the reference never calls a tool"
        return _Measured(structs.replace(row, reason=reason), unknown, unknown)
    row = structs.replace(row, decisions_p=decisions_p(prompts, seed, pairs))
    return _Measured(row, call_rates(prompts, total), valid_rates(prompts, total))


def _answers(side: SideRows, reference: SideRows, total: int) -> Iterator[PromptAnswers]:
    shared = np.flatnonzero((side.repeats(total) > 0) & (reference.repeats(total) > 0))
    if shared.size > MAX_PROMPTS:
        shared = np.sort(np.random.default_rng(0).choice(shared, MAX_PROMPTS, replace=False))
    for prompt in shared.tolist():
        both = [_outputs(each, each.rows_of(prompt)[:MAX_REPEATS]) for each in (side, reference)]
        if all(both):
            yield PromptAnswers(prompt, both[0], both[1])


def _outputs(side: SideRows, rows: Ints) -> list[CallOutput]:
    """The answers of a side to a prompt; empty where its requests offer no tools."""
    frame = side.frame
    (request,) = read_texts(frame, rows[:1], "request_json")
    tools = offered_tools(request)
    if not tools:
        return []
    codes, names = frame.codes("finish_reason")
    reasons: list[str | None] = [None if c < 0 else names[c] for c in codes[rows].tolist()]
    calls, texts = (read_texts(frame, rows, column) for column in ("tool_calls_json", "text"))
    return [
        read_call_output(reason, call, text, tools)
        for reason, call, text in zip(reasons, calls, texts, strict=True)
    ]


def _errors(joined: JoinedRuns, column: SettingColumn, prompts: Ints) -> int:
    return int(joined.errors[prompts, column.index].sum())


def _by_unit(values: Sequence[float], units: Ints) -> Floats:
    numbers = np.unique(units, return_inverse=True)[1]
    return np.bincount(numbers, weights=np.array(values, np.float64)).astype(np.float64)


def _side(prompts: Sequence[Sequence[CallOutput]], errors: int, units: Ints) -> ToolCallSide:
    outputs = [output for prompt in prompts for output in prompt]
    called = _by_unit([sum(o.is_called for o in prompt) for prompt in prompts], units)
    valid = _by_unit([sum(o.is_valid for o in prompt) for prompt in prompts], units)
    accuracy = stats.share_of(valid, called)
    return ToolCallSide(
        outputs=len(outputs),
        errors=errors,
        finish_reasons={
            name: sum(output.finish == name for output in outputs)
            for name in ("tool_calls", "stop", "other")
        },
        schema_accuracy=accuracy.value,
        schema_accuracy_ci95=json_values.interval(accuracy.ci95),
        unknown_names=sum(output.unknown_names for output in outputs),
        unreadable=sum(output.unreadable for output in outputs),
        misfits=sum(output.misfits for output in outputs),
        calls_without_reason=sum(bool(o.calls) and not o.is_called for o in outputs),
        reason_without_calls=sum(o.is_called and not o.calls for o in outputs),
        calls_in_text=sum(output.in_text for output in outputs),
    )


def _across(prompts: Sequence[PromptAnswers], units: Ints) -> CallFigures:
    """Every answer of the side with every one of the reference."""
    side = [share_called(prompt.side) for prompt in prompts]
    reference = [share_called(prompt.reference) for prompt in prompts]
    both = [a * b for a, b in zip(side, reference, strict=True)]
    return _figures(both, reference, side, units)


def _own(prompts: Sequence[PromptAnswers], units: Ints) -> CallFigures | None:
    """Every two answers of the reference: one as the reference, the other as a vendor's."""
    repeated = [index for index, prompt in enumerate(prompts) if len(prompt.reference) >= 2]
    if not repeated:
        return None
    called = [share_called(prompts[index].reference) for index in repeated]
    sizes = [len(prompts[index].reference) for index in repeated]
    both = [c * (c * n - 1.0) / (n - 1.0) for c, n in zip(called, sizes, strict=True)]
    return _figures(both, called, called, units[repeated])


def _figures(
    both: Sequence[float], reference: Sequence[float], side: Sequence[float], units: Ints
) -> CallFigures:
    numbers = np.unique(units)
    figures = stats.class_figures(
        stats.ClassCounts(
            unit=np.arange(numbers.size),
            right=_by_unit(both, units),
            targets=_by_unit(reference, units),
            predictions=_by_unit(side, units),
        )
    )
    return CallFigures(
        prompts=len(both),
        precision=figures.precision.value,
        precision_ci95=json_values.interval(figures.precision.ci95),
        recall=figures.recall.value,
        recall_ci95=json_values.interval(figures.recall.ci95),
        f1=figures.f1.value,
        f1_ci95=json_values.interval(figures.f1.ci95),
    )
