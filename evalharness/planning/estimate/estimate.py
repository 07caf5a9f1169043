"""The whole estimate of what is left of a plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec
import numpy as np
from numpy.typing import NDArray

from evalharness.planning.estimate.dollars import Rates
from evalharness.planning.estimate.duration import Duration, duration
from evalharness.planning.estimate.history import Model, ModelFacts
from evalharness.planning.estimate.output_tokens import Outputs
from evalharness.planning.estimate.prompt_tokens import PromptTokens
from evalharness.planning.estimate.ranges import ENDS, Answers, Prompts, Range, SettingEstimate
from evalharness.planning.estimate.request_sizes import Shapes
from evalharness.planning.plan import Plan
from evalharness.pricing import Price
from evalharness.records import Setting

Floats = NDArray[np.float64]


class ModelEstimate(msgspec.Struct, frozen=True, kw_only=True):
    """Prompt tokens of one model; ``basis`` is ``recorded``, ``fitted`` or ``length``."""

    provider: str
    model: str
    to_send: int
    prompt_tokens: Range
    basis: str
    known_prompts: int
    tokens_per_char: float | None
    runs: list[str]


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """What is left to send, and what that takes.

    ``cost_usd`` is None where a price is missing (``unpriced``: provider and model). Intervals are
    of 95 % where settings are extrapolated from their own answers, and bounds (no answer … every
    answer of full length) for settings without any.
    """

    to_send: int
    prompt_tokens: Range
    completion_tokens: Range
    cost_usd: Range | None
    unpriced: list[tuple[str, str]]
    time_s: Duration
    models: list[ModelEstimate]
    settings: list[SettingEstimate]

    def cost_per_trial_usd(self) -> float | None:
        """Expected, for planning further trials; None where unknown."""
        if self.cost_usd is None or self.cost_usd.expected is None or not self.to_send:
            return None
        return self.cost_usd.expected / self.to_send


def estimate(
    plan: Plan,
    done: NDArray[np.bool_],
    price: Callable[[Setting], Price | None],
    facts: Mapping[Model, ModelFacts],
    outputs: Outputs,
    *,
    at_once: int,
) -> Estimate:
    """Estimate what is left of a plan.

    Args:
        plan: what to ask.
        done: which trials are recorded (:meth:`Plan.done_map`).
        price: of a setting's requests, None unknown.
        facts: of the plan's models, from recorded runs.
        outputs: answers recorded of the plan's own trials.
        at_once: requests in flight at most.
    """
    wanted = left(plan, done)
    shapes = Shapes(plan)
    prompts = _by_model(plan, wanted, shapes, facts)
    answers = Answers(plan, wanted, outputs)
    tokens = answers.tokens()
    unpriced = list(dict.fromkeys((s.provider, s.model) for s in plan.settings if price(s) is None))
    total = {name: sum(getattr(p, name) for p in prompts.values()) for name in ENDS}
    return Estimate(
        to_send=int(wanted.sum()),
        prompt_tokens=Range(total["low"], total["expected"], total["high"]),
        completion_tokens=tokens,
        cost_usd=None if unpriced else _dollars(plan, wanted, prompts, answers, price, facts),
        unpriced=unpriced,
        time_s=duration(plan, wanted, total, tokens.expected, tokens.high, facts, at_once),
        models=[_model(model, found, facts.get(model)) for model, found in prompts.items()],
        settings=answers.settings(),
    )


def left(plan: Plan, done: NDArray[np.bool_]) -> Floats:
    """How many repeats of each prompt (rows) under each setting (columns) are not recorded."""
    shape = (plan.repeats, len(plan.prompts), len(plan.settings))
    return (~done).reshape(shape).sum(axis=0).astype(np.float64)


def _by_model(
    plan: Plan, wanted: Floats, shapes: Shapes, facts: Mapping[Model, ModelFacts]
) -> dict[Model, Prompts]:
    models = dict.fromkeys((s.provider, s.model) for s in plan.settings)
    return {model: Prompts(plan, wanted, shapes, model, facts.get(model)) for model in models}


def _model(model: Model, found: Prompts, facts: ModelFacts | None) -> ModelEstimate:
    return ModelEstimate(
        provider=model[0],
        model=model[1],
        to_send=found.to_send,
        prompt_tokens=Range(found.low, found.expected, found.high),
        basis=found.basis,
        known_prompts=found.known,
        tokens_per_char=None if facts is None else facts.tokens_per_char(),
        runs=[] if facts is None else facts.runs,
    )


def _dollars(
    plan: Plan,
    wanted: Floats,
    prompts: Mapping[Model, Prompts],
    answers: Answers,
    price: Callable[[Setting], Price | None],
    facts: Mapping[Model, ModelFacts],
) -> Range:
    """Dollars of all that is left; every setting has a price."""
    observed = answers.outputs
    usd = np.zeros(len(observed.completion))
    most = np.zeros(wanted.shape)
    ends: dict[str, float] = dict.fromkeys(ENDS, 0.0)
    for column, setting in enumerate(plan.settings):
        found = price(setting)
        assert found is not None
        rates = Rates(found)
        model = (setting.provider, setting.model)
        part = prompts[model].of(column)
        mine = observed.setting == column
        usd[mine] = rates.output_usd(
            part.each[observed.prompt[mine]], observed.completion[mine], observed.reasoning[mine]
        )
        scale = part.high / part.expected if part.expected else 1.0
        most[:, column] = rates.most_output_usd(part.each * scale, answers.most[:, column])
        for end, amount in _prompt_usd(rates, part, wanted[:, column], facts.get(model)).items():
            ends[end] += amount + rates.fee_usd * float(wanted[:, column].sum())
    output = answers.total(usd, most)
    return Range(
        ends["low"] + output.low,
        None if output.expected is None else ends["expected"] + output.expected,
        None if output.high is None else ends["high"] + output.high,
    )


def _prompt_usd(
    rates: Rates, part: PromptTokens, wanted: Floats, facts: ModelFacts | None
) -> dict[str, float]:
    """Dollars for a setting's prompts: all cached at best, none at worst, as observed between.

    That nothing was cached in recorded runs does not raise the lower end: a pilot asks each prompt
    once, and what comes from a cache was asked before.
    """
    share = None if facts is None else facts.cached_share
    cached = {"low": 1.0, "expected": share or 0.0, "high": 0.0}
    whole = part.expected or 1.0
    return {
        end: float(
            (rates.prompt_usd(part.each * (getattr(part, end) / whole), cached[end]) * wanted).sum()
        )
        for end in ENDS
    }
