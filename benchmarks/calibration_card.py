"""The support card: how often an honest server is said to ignore something, and the reverse.

A server is simulated by the texts that it gives. An honest one repeats at temperature 0 and with a
seed, save for noise, and varies otherwise. One that ignores temperature, top_p and seed gives every
text in the same way. Everything else (choices, calls, JSON, usage) fails now and then.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from benchmarks.calibration_cells import FALSE, Case, Outcome
from evalharness.card.answers import Answer, Arm, CardAnswers
from evalharness.card.build import check_answers
from evalharness.card.checks import repeats
from evalharness.card.protocol import (
    CHOICES,
    MAX_TOKENS,
    NAMED_TOOL,
    REPEATS,
    row_fields,
    shipped_rows,
)
from evalharness.card.result import CardVerdict
from evalharness.records import Usage

#: Arms in which an honest server gives one text a prompt, each with the text that it gives.
_GREEDY = {"temperature-0": 0, "temperature-0-stream": 0, "top_p": 0, "seed-11": 1, "seed-12": 2}
_SAMPLED = {"seed": repeats.seed, "temperature": repeats.temperature, "top_p": repeats.top_p}
_NOT_ASKED = "rate_limit_headers"  # the simulated servers have none
#: Noise of what should repeat, variety of what should not, failures of all else.
_HONEST = ((0.0, 1.0, 0.0), (0.02, 1.0, 0.02), (0.1, 1.0, 0.1), (0.1, 0.5, 0.0), (0.0, 0.2, 0.0))
_VALUES_A_RUN = 100_000
_OTHERS = 1_000_000  # texts that a prompt may have beside the most likely one

#: Draws the number of a text in an arm.
Texts = Callable[[np.random.Generator, str], int]


def _honest(rng: np.random.Generator, arm: str, *, noise: float, variety: float) -> int:
    """The text of an honest server: 0 is the most likely one; ``noise`` of what should repeat."""
    if arm in _GREEDY:
        number = _GREEDY[arm]
        return int(rng.integers(3, _OTHERS)) if rng.random() < noise else number
    return int(rng.integers(3, _OTHERS)) if rng.random() < variety else 0


def _ignoring(rng: np.random.Generator, arm: str, *, variety: float) -> int:
    """The text of a server that samples alike whatever is asked for."""
    del arm
    return int(rng.integers(3, _OTHERS)) if rng.random() < variety else 0


def _answer(arm: str, topic: str, number: int, *, fails: bool) -> Answer:
    """An answer that has what its arm asks for, unless it fails."""
    text = f"{topic} {number}: the same sentence of some length, with an e."
    usage = Usage(prompt_tokens=9, completion_tokens=12, total_tokens=22 if fails else 21)
    if arm == "max_tokens":
        usage = Usage(completion_tokens=MAX_TOKENS + fails)
        return Answer(topic=topic, text="one", finish_reason="length", usage=usage)
    if arm == "stop":
        return Answer(topic=topic, text=text if fails else "Th", finish_reason="stop")
    if arm == "json_schema":
        text = "red" if fails else '{"colour":"red","heavy":true}'
    token = '{"token":"x","logprob":-1,"top_logprobs":[{"token":"x","logprob":-1}' + (
        ',{"token":"y","logprob":-2}' * 2 + "]}"
    )
    called = (arm == "tool_choice-none") == fails
    return Answer(
        topic=topic,
        text=text,
        finish_reason="stop",
        calls=(NAMED_TOOL,) if arm.startswith("tool_choice") and called else (),
        choices=1 if fails else CHOICES,
        logprobs_json=None if fails else f'{{"content":[{",".join([token] * 12)}]}}',
        usage=usage,
    )


def _answers(rng: np.random.Generator, texts: Texts, fail_rate: float) -> CardAnswers:
    """The answers of one simulated run."""
    records: dict[str, list[Answer]] = {}
    for prompt in shipped_rows():
        fields = row_fields(prompt)
        assert fields is not None
        for _ in range(REPEATS):
            number, fails = texts(rng, fields.arm), bool(rng.random() < fail_rate)
            answer = _answer(fields.arm, fields.topic, number, fails=fails)
            records.setdefault(fields.arm, []).append(answer)
    arms = {name: Arm(name=name, planned=len(a), records=a) for name, a in records.items()}
    return CardAnswers(arms)


def false_no(rng: np.random.Generator, runs: int, *, texts: Texts, fail_rate: float) -> Outcome:
    """How many cards of a server that honours everything have any ``no``."""
    hits = 0
    for _ in range(runs):
        rows = check_answers(_answers(rng, texts, fail_rate))
        hits += any(row.verdict is CardVerdict.NO for row in rows if row.check != _NOT_ASKED)
    return Outcome(hits, runs)


def false_yes(rng: np.random.Generator, runs: int, *, texts: Texts, check: str) -> Outcome:
    """How many cards of a server that ignores a parameter say that it is honoured."""
    verdicts = [_SAMPLED[check](_answers(rng, texts, 0.0)).verdict for _ in range(runs)]
    hits, no = verdicts.count(CardVerdict.YES), verdicts.count(CardVerdict.NO)
    return Outcome(hits, runs, note=f"`no` in {no / runs:.0%}")


def card_cases() -> list[Case]:
    """Honest servers that get a `no`, then servers that ignore parameters and get a `yes`."""
    cases: list[Case] = []
    for noise, variety, fail_rate in _HONEST:
        texts = partial(_honest, noise=noise, variety=variety)
        row = f"honest, {noise:.0%} noise, {variety:.0%} variety, {fail_rate:.0%} of answers fail"
        measure = partial(false_no, texts=texts, fail_rate=fail_rate)
        cases.append(Case("card", row, "any `no`", measure, FALSE, _VALUES_A_RUN))
    for variety in (1.0, 0.5, 0.2):
        texts = partial(_ignoring, variety=variety)
        row = f"ignores temperature, top_p and seed, {variety:.0%} variety"
        for check in _SAMPLED:
            measure = partial(false_yes, texts=texts, check=check)
            cases.append(Case("card", row, f"{check} `yes`", measure, FALSE, _VALUES_A_RUN))
    return cases
