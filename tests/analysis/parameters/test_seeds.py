"""The verdict on seeds: labels shuffled within prompts."""

from __future__ import annotations

import numpy as np

from evalharness.analysis.parameters.effects import effects
from tests.analysis.setting_frames import frame, text_rows


def test_few_prompts_are_enough_for_an_honoured_seed() -> None:
    """Four prompts with three repeats show a seed that holds; signs of four could not (p ≥ .125)."""
    rows = [
        row
        for seed in (1, 2)
        for row in text_rows(f"s{seed}", {f"q{i}": [f"out {seed} {i}"] * 3 for i in range(4)})
    ]
    run = frame({f"s{seed}": {"temperature": 1, "seed": seed} for seed in (1, 2)}, rows)
    (effect,) = [e for e in effects(run) if e.parameter == "seed"]
    assert effect.verdict == "honoured"
    assert effect.evidence.p < 0.01
    assert effect.evidence.test.startswith("permutation of seeds")


def test_many_outputs_of_many_prompts_are_tested_by_signs() -> None:
    """Past 10,000 outputs of 100 prompts the differences of the prompts are tested instead."""
    rng = np.random.default_rng(5)
    rows = [
        row
        for seed in (1, 2)
        for row in text_rows(
            f"s{seed}",
            {f"q{i}": [f"o{x}" for x in rng.integers(0, 9, 51)] for i in range(100)},
        )
    ]
    run = frame({f"s{seed}": {"temperature": 1, "seed": seed} for seed in (1, 2)}, rows)
    (effect,) = [e for e in effects(run) if e.parameter == "seed"]
    assert effect.evidence.test == "sign-flip permutation, one-sided"
    assert effect.verdict == "ignored"


def test_requests_without_a_seed_are_pairs_of_neither_kind() -> None:
    """One seed against none: equal outputs among the seedless do not count for the seed."""
    texts = {f"q{i}": ["same"] * 3 for i in range(10)}
    free = {f"q{i}": ["x", "y", "z"] for i in range(10)}
    settings = {"none": {"temperature": 1}, "one": {"temperature": 1, "seed": 1}}
    for none, one, verdict in ((texts, free, "ignored"), (free, texts, "honoured")):
        run = frame(settings, [*text_rows("none", none), *text_rows("one", one)])
        (effect,) = [e for e in effects(run) if e.parameter == "seed"]
        assert effect.verdict == verdict, effect


def test_seed_is_not_offered_where_no_api_of_the_run_has_one() -> None:
    """That is said whatever was swept; with one provider that has seeds there is no such verdict."""
    names = {"claude": "the Messages API", "gpt": "the Responses API"}
    rows = [row for s in ("a", "b") for row in text_rows(s, {"q": ["x", "y"]})]
    run = frame({"a": {"temperature": 1}, "b": {"temperature": 0.5}}, rows)
    for providers, expected in (
        (("claude", "claude"), "seed not offered: the Messages API has none"),
        (
            ("claude", "gpt"),
            "seed not offered: the Messages API and the Responses API have none",
        ),
        (("claude", "other"), None),
        (("other", "other"), None),
    ):
        for row, provider in zip(run.setting_rows, providers, strict=True):
            row["provider"] = provider
        found = [e for e in effects(run, without_seed=names) if e.parameter == "seed"]
        assert [(e.verdict, e.sentence) for e in found] == (
            [] if expected is None else [("not offered", expected)]
        )
