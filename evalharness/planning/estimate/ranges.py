"""The two halves of an estimate: what goes in, by model, and what comes out, by setting."""

from __future__ import annotations

import math

import msgspec
import numpy as np
from numpy.typing import NDArray

from evalharness.analysis.stats.prediction import predict_total
from evalharness.planning.estimate.history import Model, ModelFacts
from evalharness.planning.estimate.output_tokens import Outputs, bounds
from evalharness.planning.estimate.prompt_tokens import PromptTokens, prompt_tokens
from evalharness.planning.estimate.request_sizes import Shapes
from evalharness.planning.plan import Plan

Floats = NDArray[np.float64]
ENDS = ("low", "expected", "high")
_BASES = ("recorded", "fitted", "length")  # the least certain one names the whole
_FEWEST = 2  # prompts seen under a setting before its answers are extrapolated


class Range(msgspec.Struct, frozen=True):
    """What is expected, and between which ends; None is unknown or without a bound."""

    low: float
    expected: float | None
    high: float | None


class SettingEstimate(msgspec.Struct, frozen=True, kw_only=True):
    """One setting; ``observed`` answers stand behind ``completion_tokens_mean``."""

    label: str
    recorded: int
    to_send: int
    observed: int
    completion_tokens_mean: float | None
    extrapolated: bool


class Prompts:
    """Prompt tokens of one model, in each shape it is asked in."""

    def __init__(
        self, plan: Plan, wanted: Floats, shapes: Shapes, model: Model, facts: ModelFacts | None
    ) -> None:
        by_shape: dict[int, list[int]] = {}
        for column, setting in enumerate(plan.settings):
            if (setting.provider, setting.model) == model:
                by_shape.setdefault(shapes.of[column], []).append(column)
        self.parts: list[tuple[list[int], PromptTokens]] = [
            (columns, prompt_tokens(shapes.texts(shape), wanted[:, columns].sum(axis=1), facts))
            for shape, columns in by_shape.items()
        ]
        self.to_send = int(wanted[:, [c for columns, _ in self.parts for c in columns]].sum())
        self.low = sum(part.low for _, part in self.parts)
        self.expected = sum(part.expected for _, part in self.parts)
        self.high = sum(part.high for _, part in self.parts)
        self.basis = max((part.basis for _, part in self.parts), key=_BASES.index)
        self.known = sum(part.known for _, part in self.parts)

    def of(self, column: int) -> PromptTokens:
        """The part a setting belongs to."""
        return next(part for columns, part in self.parts if column in columns)


class Answers:
    """Output tokens of a plan's settings: extrapolated where seen, bounded where not."""

    def __init__(self, plan: Plan, wanted: Floats, outputs: Outputs) -> None:
        self.plan, self.wanted, self.outputs = plan, wanted, outputs
        self.most = bounds(plan)
        seen = np.zeros(wanted.shape, np.bool_)
        seen[outputs.prompt, outputs.setting] = True
        self.extrapolated = seen.sum(axis=0) >= _FEWEST

    def tokens(self) -> Range:
        """Completion tokens of all that is left."""
        return self.total(self.outputs.completion, self.most)

    def total(self, values: Floats, most: Floats) -> Range:
        """The total of some quantity of answers.

        Args:
            values: of each observed answer.
            most: of one answer at most; prompts × settings.
        """
        columns = np.flatnonzero(self.extrapolated)
        low = high = 0.0
        expected: float | None = 0.0
        if columns.size:
            place = np.full(len(self.plan.settings), -1)
            place[columns] = np.arange(columns.size)
            mine = self.extrapolated[self.outputs.setting]
            found = predict_total(
                values[mine],
                self.outputs.prompt[mine],
                place[self.outputs.setting[mine]],
                self.wanted[:, columns],
                most=most[:, columns].max(axis=0),
            )
            assert found is not None, "settings with two prompts seen can be extrapolated"
            low, expected, high = found
        for column in np.flatnonzero(~self.extrapolated).tolist():
            here = self.wanted[:, column]
            asked = here > 0
            if not np.any(most[asked, column] > 0):
                continue  # nothing to send, or free
            expected = None
            high += float((here[asked] * most[asked, column]).sum())
        return Range(low, expected, high if math.isfinite(high) else None)

    def settings(self) -> list[SettingEstimate]:
        """One a setting."""
        count = self.outputs.per_setting(len(self.plan.settings))
        sums = np.bincount(
            self.outputs.setting, weights=self.outputs.completion, minlength=len(count)
        )
        trials = len(self.plan.prompts) * self.plan.repeats
        return [
            SettingEstimate(
                label=setting.label,
                recorded=trials - int(self.wanted[:, i].sum()),
                to_send=int(self.wanted[:, i].sum()),
                observed=int(count[i]),
                completion_tokens_mean=float(sums[i] / count[i]) if count[i] else None,
                extrapolated=bool(self.extrapolated[i]),
            )
            for i, setting in enumerate(self.plan.settings)
        ]
