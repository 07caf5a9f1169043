"""The estimate of a plan's remaining trials, put together from its parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec
import numpy as np
from numpy.typing import NDArray

from evalharness.planning.estimate.cost_range import TierRates
from evalharness.planning.estimate.duration import Duration, duration
from evalharness.planning.estimate.history import ModelHistory, ModelKey
from evalharness.planning.estimate.output_tokens import OutputTokens
from evalharness.planning.estimate.prompt_tokens import PromptTokens
from evalharness.planning.estimate.ranges import (
    ENDS,
    UNKNOWN_BASES,
    EstimateRange,
    ModelPromptTokens,
    PlanOutputTokens,
    SettingEstimate,
)
from evalharness.planning.estimate.request_sizes import RequestShapes
from evalharness.planning.plan import Plan
from evalharness.pricing import Price
from evalharness.records import Setting

Floats = NDArray[np.float64]


class ModelEstimate(msgspec.Struct, frozen=True, kw_only=True):
    """Prompt tokens of one model; ``basis`` is as in :class:`.prompt_tokens.PromptTokens`."""

    provider: str
    model: str
    to_send: int
    prompt_tokens: EstimateRange
    basis: str
    known_prompts: int
    tokens_per_char: float | None
    runs: list[str]


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """The remaining trials, and the tokens, dollars and time they take.

    ``cost_usd`` is None where a price is missing (``unpriced``: provider and model); so is
    ``batch_cost_usd``, what the same trials would cost in batches. Intervals are
    of 95 % where settings are extrapolated from their own answers, and bounds (no answer … every
    answer of full length) for settings without any.
    """

    to_send: int
    prompt_tokens: EstimateRange
    completion_tokens: EstimateRange
    cost_usd: EstimateRange | None
    batch_cost_usd: EstimateRange | None
    unpriced: list[tuple[str, str]]
    time_s: Duration
    models: list[ModelEstimate]
    settings: list[SettingEstimate]

    def cost_per_trial_usd(self) -> float | None:
        """Expected cost of one trial; None where unknown."""
        if self.cost_usd is None or self.cost_usd.expected is None or not self.to_send:
            return None
        return self.cost_usd.expected / self.to_send


def estimate_plan(
    plan: Plan,
    done: NDArray[np.bool_],
    price: Callable[[Setting], Price | None],
    histories: Mapping[ModelKey, ModelHistory],
    outputs: OutputTokens,
    *,
    max_in_flight: int,
    batch_price: Callable[[Setting], Price | None] = lambda _: None,
) -> Estimate:
    """Estimate the remaining trials of a plan.

    Args:
        plan: what to ask.
        done: which trials are recorded (:meth:`Plan.done_map`).
        price: of a setting's requests, None unknown.
        histories: of the plan's models, from recorded runs.
        outputs: tokens of the recorded answers of the plan's own trials.
        max_in_flight: requests in flight at most.
        batch_price: of a setting's requests in batches, None unknown.
    """
    remaining = remaining_trials(plan, done)
    shapes = RequestShapes(plan)
    prompts = _prompts_by_model(plan, remaining, shapes, histories, outputs)
    answers = PlanOutputTokens(plan, remaining, outputs)
    tokens = answers.tokens()
    unpriced = list(dict.fromkeys((s.provider, s.model) for s in plan.settings if price(s) is None))
    total = {name: sum(getattr(p, name) for p in prompts.values()) for name in ENDS}
    return Estimate(
        to_send=int(remaining.sum()),
        prompt_tokens=_unless_unknown(
            EstimateRange(total["low"], total["expected"], total["high"]), prompts
        ),
        completion_tokens=tokens,
        cost_usd=_dollars(plan, remaining, prompts, answers, price, histories),
        batch_cost_usd=_dollars(plan, remaining, prompts, answers, batch_price, histories),
        unpriced=unpriced,
        time_s=duration(
            plan,
            remaining,
            _unless_unknown(EstimateRange(*(total[name] for name in ENDS)), prompts),
            tokens.expected,
            tokens.high,
            histories,
            max_in_flight,
        ),
        models=[_model(model, part, histories.get(model)) for model, part in prompts.items()],
        settings=answers.settings(),
    )


def remaining_trials(plan: Plan, done: NDArray[np.bool_]) -> Floats:
    """How many repeats of each prompt (rows) under each setting (columns) are not recorded."""
    shape = (plan.repeats, len(plan.prompts), len(plan.settings))
    return (~done).reshape(shape).sum(axis=0).astype(np.float64)


def _prompts_by_model(
    plan: Plan,
    remaining: Floats,
    shapes: RequestShapes,
    histories: Mapping[ModelKey, ModelHistory],
    outputs: OutputTokens,
) -> dict[ModelKey, ModelPromptTokens]:
    models = dict.fromkeys((s.provider, s.model) for s in plan.settings)
    return {
        model: ModelPromptTokens(plan, remaining, shapes, model, histories.get(model), outputs)
        for model in models
    }


def _model(
    model: ModelKey, prompts: ModelPromptTokens, history: ModelHistory | None
) -> ModelEstimate:
    return ModelEstimate(
        provider=model[0],
        model=model[1],
        to_send=prompts.to_send,
        prompt_tokens=prompts.tokens(),
        basis=prompts.basis,
        known_prompts=prompts.known,
        tokens_per_char=None if history is None else history.tokens_per_char(),
        runs=[] if history is None else history.runs,
    )


def _dollars(
    plan: Plan,
    remaining: Floats,
    prompts: Mapping[ModelKey, ModelPromptTokens],
    answers: PlanOutputTokens,
    price: Callable[[Setting], Price | None],
    histories: Mapping[ModelKey, ModelHistory],
) -> EstimateRange | None:
    """Dollars of the remaining trials; None where a setting has no price."""
    if any(price(setting) is None for setting in plan.settings):
        return None
    outputs = answers.outputs
    usd = np.zeros(len(outputs.completion))
    maximum = np.zeros(remaining.shape)
    ends: dict[str, float] = dict.fromkeys(ENDS, 0.0)
    for column, setting in enumerate(plan.settings):
        setting_price = price(setting)
        assert setting_price is not None
        rates = TierRates(setting_price)
        model = (setting.provider, setting.model)
        part = prompts[model].part_of(column)
        own = outputs.setting == column
        usd[own] = rates.output_usd(
            part.per_prompt[outputs.prompt[own]], outputs.completion[own], outputs.reasoning[own]
        )
        scale = part.high / part.expected if part.expected else 1.0
        maximum[:, column] = rates.max_output_usd(
            part.per_prompt * scale, answers.maximum[:, column]
        )
        for end, amount in _prompt_usd(
            rates, part, remaining[:, column], histories.get(model)
        ).items():
            ends[end] += amount + rates.fee_usd * float(remaining[:, column].sum())
    output = answers.total(usd, maximum)
    sums = EstimateRange(
        ends["low"] + output.low,
        None if output.expected is None else ends["expected"] + output.expected,
        None if output.high is None else ends["high"] + output.high,
    )
    paid = {
        (s.provider, s.model)
        for s in plan.settings
        if (setting_price := price(s)) is not None and not setting_price.is_free()
    }
    return _unless_unknown(sums, {model: part for model, part in prompts.items() if model in paid})


def _unless_unknown(
    sums: EstimateRange, prompts: Mapping[ModelKey, ModelPromptTokens]
) -> EstimateRange:
    """The sums, or only their lower end where the tokens of some prompts are not known."""
    if not any(part.basis in UNKNOWN_BASES for part in prompts.values()):
        return sums
    return EstimateRange(sums.low, None, None)


def _prompt_usd(
    rates: TierRates, part: PromptTokens, remaining: Floats, history: ModelHistory | None
) -> dict[str, float]:
    """Dollars for a setting's prompts: low if all is cached, high if nothing is.

    The recorded share of cached tokens gives the expected value alone: a pilot sends each prompt
    once, so it says nothing about the caching of repeats.
    """
    share = None if history is None else history.cached_share
    cached = {"low": 1.0, "expected": share or 0.0, "high": 0.0}
    expected = part.expected or 1.0
    return {
        end: float(
            (
                rates.prompt_usd(part.per_prompt * (getattr(part, end) / expected), cached[end])
                * remaining
            ).sum()
        )
        for end in ENDS
    }
