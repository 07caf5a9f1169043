"""The two halves of an estimate: prompt tokens by model, and output tokens by setting."""

from __future__ import annotations

import math

import msgspec
import numpy as np
from numpy.typing import NDArray

from evalharness.analysis.stats.prediction import predict_total
from evalharness.planning.estimate.earlier_answers import add_earlier_answers
from evalharness.planning.estimate.history import ModelHistory, ModelKey
from evalharness.planning.estimate.output_tokens import OutputTokens, max_output_tokens
from evalharness.planning.estimate.prompt_tokens import PromptTokens, prompt_tokens
from evalharness.planning.estimate.request_sizes import RequestShapes
from evalharness.planning.plan import Plan
from evalharness.planning.workload_fields import exact_outputs, made_tokens

Floats = NDArray[np.float64]
ENDS = ("low", "expected", "high")
# The least certain one is the basis of a sum.
_BASES = ("recorded", "asked", "fitted", "length", "unknown", "unbounded")
#: Bases of which only the lower end is known.
UNKNOWN_BASES = ("unknown", "unbounded")
_MIN_PROMPTS = 2  # prompts seen under a setting before its answers are extrapolated


class EstimateRange(msgspec.Struct, frozen=True):
    """An expected value between two ends; None is unknown or without a bound."""

    low: float
    expected: float | None
    high: float | None


class SettingEstimate(msgspec.Struct, frozen=True, kw_only=True):
    """One setting; ``completion_tokens_mean`` is the mean of ``observed`` answers.

    ``exact``: its outputs are as long as they are asked to be.
    """

    label: str
    recorded: int
    to_send: int
    observed: int
    completion_tokens_mean: float | None
    extrapolated: bool
    exact: bool


class ModelPromptTokens:
    """Prompt tokens of one model, by the shape of its requests."""

    def __init__(
        self,
        plan: Plan,
        remaining: Floats,
        shapes: RequestShapes,
        model: ModelKey,
        history: ModelHistory | None,
        outputs: OutputTokens,
    ) -> None:
        by_shape: dict[int, list[int]] = {}
        for column, setting in enumerate(plan.settings):
            if (setting.provider, setting.model) == model:
                by_shape.setdefault(shapes.shape_of_setting[column], []).append(column)
        goals = made_tokens(plan, model)
        self.parts: list[tuple[list[int], PromptTokens]] = []
        for shape, columns in by_shape.items():
            times = remaining[:, columns].sum(axis=1)
            part_tokens = plan.profile(model[0]).part_tokens
            part = prompt_tokens(shapes.texts(shape), times, history, part_tokens, goals)
            part = add_earlier_answers(part, plan, columns, times, outputs)
            self.parts.append((columns, part))
        self.to_send = int(remaining[:, [c for columns, _ in self.parts for c in columns]].sum())
        self.low = sum(part.low for _, part in self.parts)
        self.expected = sum(part.expected for _, part in self.parts)
        self.high = sum(part.high for _, part in self.parts)
        self.basis = max((part.basis for _, part in self.parts), key=_BASES.index)
        self.known = sum(part.known for _, part in self.parts)

    def tokens(self) -> EstimateRange:
        """The prompt tokens; only their lower end where those of some parts are not known."""
        if self.basis in UNKNOWN_BASES:
            return EstimateRange(self.low, None, None)
        return EstimateRange(self.low, self.expected, self.high)

    def part_of(self, column: int) -> PromptTokens:
        """The part a setting belongs to."""
        return next(part for columns, part in self.parts if column in columns)


class PlanOutputTokens:
    """Output tokens of a plan.

    They are as asked where outputs have an exact length, extrapolated for other settings with
    recorded answers, else bounded.
    """

    def __init__(self, plan: Plan, remaining: Floats, outputs: OutputTokens) -> None:
        self.plan, self.remaining, self.outputs = plan, remaining, outputs
        self.maximum = max_output_tokens(plan)
        seen = np.zeros(remaining.shape, np.bool_)
        seen[outputs.prompt, outputs.setting] = True
        self.exact = exact_outputs(plan)
        self.extrapolated = (seen.sum(axis=0) >= _MIN_PROMPTS) & ~self.exact

    def tokens(self) -> EstimateRange:
        """Completion tokens of the remaining trials."""
        return self.total(self.outputs.completion, self.maximum)

    def total(self, values: Floats, maximum: Floats) -> EstimateRange:
        """The total of some quantity of answers.

        Args:
            values: of each observed answer.
            maximum: of one answer; prompts × settings.
        """
        columns = np.flatnonzero(self.extrapolated)
        low = high = 0.0
        expected: float | None = 0.0
        if columns.size:
            column_index = np.full(len(self.plan.settings), -1)
            column_index[columns] = np.arange(columns.size)
            own = self.extrapolated[self.outputs.setting]
            prediction = predict_total(
                values[own],
                self.outputs.prompt[own],
                column_index[self.outputs.setting[own]],
                self.remaining[:, columns],
                maximum=maximum[:, columns].max(axis=0),
            )
            assert prediction is not None, "settings with two prompts seen can be extrapolated"
            low, expected, high = prediction
        for column in np.flatnonzero(~self.extrapolated).tolist():
            remaining = self.remaining[:, column]
            is_left = remaining > 0
            if not np.any(maximum[is_left, column] > 0):
                continue  # nothing to send, or free
            most = float((remaining[is_left] * maximum[is_left, column]).sum())
            high += most
            if not self.exact[column]:
                expected = None
                continue
            low += most
            expected = None if expected is None else expected + most
        return EstimateRange(low, expected, high if math.isfinite(high) else None)

    def settings(self) -> list[SettingEstimate]:
        """The estimates of all settings."""
        count = self.outputs.per_setting(len(self.plan.settings))
        sums = np.bincount(
            self.outputs.setting, weights=self.outputs.completion, minlength=len(count)
        )
        trials = len(self.plan.prompts) * self.plan.repeats
        return [
            SettingEstimate(
                label=setting.label,
                recorded=trials - int(self.remaining[:, i].sum()),
                to_send=int(self.remaining[:, i].sum()),
                observed=int(count[i]),
                completion_tokens_mean=float(sums[i] / count[i]) if count[i] else None,
                extrapolated=bool(self.extrapolated[i]),
                exact=bool(self.exact[i]),
            )
            for i, setting in enumerate(self.plan.settings)
        ]
