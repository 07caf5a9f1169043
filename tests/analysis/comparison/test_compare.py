"""Comparisons of settings: pairing, families, tests chosen, and figures worked by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from evalharness.analysis import stats
from evalharness.analysis.comparison.compare import compare, compare_runs
from evalharness.analysis.comparison.comparison import (
    Comparison,
    DiscordantPrompts,
    Equivalence,
    MeanRatio,
    UnmatchedPrompts,
)
from evalharness.analysis.data.frame import RunFrame
from evalharness.errors import ConfigError
from evalharness.report.json import as_json_text
from evalharness.report.sections.comparisons import words
from tests.analysis.setting_frames import frame, score_rows, text_rows

COLD, HOT = {"temperature": 0.0}, {"temperature": 1.0}


def _random(seed: int, prompts: int, repeats: int, rate: float = 0.6) -> dict[str, list[float]]:
    draws = np.random.default_rng(seed).random((prompts, repeats)) < rate
    return {f"q{i:03}": [float(x) for x in row] for i, row in enumerate(draws)}


def _pair(hot: dict[str, Any], cold: dict[str, Any], **options: Any) -> RunFrame:
    rows = score_rows("hot", hot) + score_rows("cold", cold)
    return frame({"cold": COLD, "hot": HOT}, rows, **options)


def _score(rows: list[Comparison]) -> Comparison:
    return next(row for row in rows if row.metric == "score")


def test_a_comparison_worked_by_hand() -> None:
    """Three prompts, two repeats: differences +0.5, 0, -1; mean -1/6; every sign pattern counts."""
    found = _score(
        compare(
            _pair({"a": [1, 0], "b": [1, 1], "c": [0, 0]}, {"a": [0, 0], "b": [1, 1], "c": [1, 1]}),
            by="temperature",
        )
    )
    assert (found.a, found.b) == ("hot", "cold")
    assert found.difference == pytest.approx(-1 / 6)
    assert (found.wins, found.losses, found.ties) == (1, 1, 1)
    assert found.n == 3
    assert found.repeats == (2, 2)
    assert found.p == 1.0  # ±0.5 ± 1: all four sums are at least 0.5
    assert found.test == "sign-flip permutation"
    # No p of three prompts is below .05: nothing bounds the difference, and none is detectable.
    assert found.ci95 is None
    assert (found.mde, found.mde_from) == (None, "none")


@pytest.mark.parametrize("baseline", [None, 0, 0.0, "0", "0.0"])
def test_numbers_are_normalised(baseline: Any) -> None:
    """Baseline 0, 0.0 and their spellings are one value, and so are the settings' own."""
    run = frame(
        {"cold": {"temperature": 0}, "hot": HOT},
        score_rows("cold", {"a": [0]}) + score_rows("hot", {"a": [1]}),
    )
    found = _score(compare(run, by="params.temperature", baseline=baseline))
    assert (found.a, found.b, found.difference) == ("hot", "cold", 1.0)


def test_null_is_a_value() -> None:
    """`null` compares with the setting that does not send the parameter."""
    run = frame(
        {"unset": {}, "hot": HOT}, score_rows("unset", {"a": [0]}) + score_rows("hot", {"a": [1]})
    )
    found = _score(compare(run, by="temperature", baseline="null"))
    assert (found.a, found.b, found.b_value) == ("hot", "unset", None)
    assert "temperature=not sent" in found.sentence


def test_one_pass_fail_repeat_is_tested_by_mcnemar() -> None:
    """K = 1 and pass/fail: McNemar mid-p with b and c; fractions or K > 1: sign flips."""
    hot = {f"q{i}": [float(i < 7)] for i in range(12)}
    cold = {f"q{i}": [float(i == 11 or i < 1)] for i in range(12)}
    found = _score(compare(_pair(hot, cold), by="temperature"))
    assert found.test == "McNemar mid-p"
    assert found.mcnemar == DiscordantPrompts(b=6, c=1)
    assert found.p == pytest.approx(0.0703, abs=1e-4)
    fractions = _score(compare(_pair({**hot, "q0": [0.5]}, cold), by="temperature"))
    assert fractions.test == "sign-flip permutation"
    assert fractions.mcnemar is None


def test_clusters_are_the_unit() -> None:
    """Twenty prompts in four clusters: p of four units, not of twenty."""
    hot, cold = ({f"q{i:02}": [v] for i in range(20)} for v in (1, 0))
    clusters = {f"q{i:02}": str(i // 5) for i in range(20)}
    found = _score(compare(_pair(hot, cold, clusters=clusters), by="temperature"))
    assert found.test == "sign-flip permutation of clusters"
    assert found.p == 0.125
    assert found.ci95 is None  # four units bound nothing
    clusters = {f"q{i:02}": str(i // 3) for i in range(20)}
    found = _score(compare(_pair(hot, cold, clusters=clusters), by="temperature"))
    effective = 20**2 / (6 * 3**2 + 2**2)
    low = stats.wilson(effective, effective)
    assert low is not None
    assert found.ci95 == [pytest.approx(low[0]), 1.0]


def test_equal_settings_do_not_differ() -> None:
    """No difference anywhere: difference 0, p 1, an interval around 0, a bound of the MDE."""
    scores = _random(0, 30, 2)
    rows = compare(_pair(scores, scores), by="temperature")
    found = _score(rows)
    assert (found.difference, found.p) == (0.0, 1.0)
    assert found.ci95[0] == -found.ci95[1] < 0
    # At most a share u of prompts differs, by at most 1: variance <= u.
    unseen = 1.959964**2 / (30 + 1.959964**2)
    factor = stats.detectable(1.0, 30, 29)
    assert factor is not None
    assert found.mde == pytest.approx(factor * math.sqrt(unseen / 30), rel=1e-5)
    assert found.mde_from == "bound"
    assert "detectable: 17.8 pp at most (every prompt is tied)" in found.sentence
    assert {r.mde_from for r in rows if r.metric == "agreement"} == {"bound"}
    worse = {prompt: [0.0] for prompt in scores}
    best = {prompt: [1.0] for prompt in scores}
    found = _score(compare(_pair(best, worse), by="temperature"))
    assert "detectable: 37.2 pp at most (every prompt differs by the same)" in found.sentence


def test_what_is_detectable_where_nothing_bounds_it() -> None:
    """Equal costs have no bound of their spread; of one or two prompts nothing is detectable."""
    cold, hot = ({"a": [v], "b": [v]} for v in (0.0, 1.0))
    rows = compare(_pair(hot, cold), by="temperature")
    assert "detectable: none with 2 prompts" in _score(rows).sentence
    alone = _score(compare(_pair({"a": [1.0]}, {"a": [0.0]}), by="temperature"))
    assert "detectable: none with one prompt" in alone.sentence
    assert (alone.mde, alone.mde_from) == (None, "none")
    rows = [
        {"setting_id": s, "prompt_id": p, "latency_s": 1.0}
        for s in ("hot", "cold")
        for p in "abcdef"
    ]
    found = compare(frame({"cold": COLD, "hot": HOT}, rows), by="temperature")
    latency = next(row for row in found if row.metric == "latency_s")
    assert (latency.mde, latency.mde_from) == (None, None)
    assert "not estimable (every prompt differs by the same amount)" in latency.sentence


@pytest.mark.parametrize(
    ("prompts", "repeats", "none"), [(5, 2, True), (6, 2, False), (4, 1, True), (5, 1, False)]
)
def test_nothing_is_detectable_with_fewer_prompts_than_any_p_needs(
    prompts: int, repeats: int, none: bool
) -> None:
    """However large the difference: sign flips need six prompts, McNemar's mid-p five."""
    cold = {f"q{i}": [0.0] * repeats for i in range(prompts)}
    hot = {prompt: [1.0] * repeats for prompt in cold}
    best = _score(compare(_pair(hot, cold), by="temperature"))
    assert (best.p >= 0.05) is none
    hot["q0"] = [0.0, *hot["q0"][1:]]  # with some spread, so that there is a detectable difference
    found = _score(compare(_pair(hot, cold), by="temperature"))
    assert (found.mde_from == "none") is none
    assert (f"detectable: none with {prompts} prompts" in found.sentence) is none
    assert (words.detectable_text(found, none="none") == "none") is none


def test_the_bound_of_the_error_holds_whatever_the_prompts_not_seen() -> None:
    """Where n equal differences are no accident (2.5 % or more), their error is below the bound."""
    for n in (6, 12, 50, 400):
        unseen = 1 - 0.025 ** (1 / n)  # all n equal in at least one run of forty
        for value in (-1.0, 0.0, 0.5):
            other = -1.0 if value > 0 else 1.0  # the difference farthest from it
            spread = abs(other - value) * math.sqrt(unseen * (1 - unseen))
            assert spread / math.sqrt(n) <= stats.bound_standard_error(value, n)


def test_errors_are_left_out_and_reported() -> None:
    """Errors are in no mean; counted as failures beside it; unequal missingness is said aloud."""
    cold = {f"q{i:02}": [1.0, 1.0] for i in range(20)}
    hot = {f"q{i:02}": [1.0, None] for i in range(20)}
    found = _score(compare(_pair(hot, cold), by="temperature"))
    assert found.difference == 0.0
    assert found.repeats == (1, 2)
    assert found.errors_as_failures.difference == -0.5
    assert found.errors_as_failures.p < 0.001
    assert (found.missing.a, found.missing.b) == (0.5, 0.0)
    assert found.missing.differs
    assert "read with care" in found.sentence


def test_unmatched_prompts_are_counted() -> None:
    """Prompts with a value on one side only are not joined, and are counted."""
    found = _score(
        compare(
            _pair({"a": [1], "b": [1], "x": [None]}, {"a": [0], "c": [0], "d": [0], "x": [1]}),
            by="temperature",
        )
    )
    assert found.n == 1
    assert found.unmatched == UnmatchedPrompts(a=1, b=3)


def test_strata_are_compared_apart_and_together() -> None:
    """With a second axis each of its values gives a comparison; the pooled one averages them."""
    settings = {
        f"{name}{seed}": {"temperature": t, "seed": seed}
        for name, t in (("cold", 0), ("hot", 1))
        for seed in (1, 2)
    }
    rows = [
        *score_rows("cold1", {"a": [0], "b": [0]}),
        *score_rows("cold2", {"a": [0], "b": [1]}),
        *score_rows("hot1", {"a": [1], "b": [0]}),
        *score_rows("hot2", {"a": [1], "b": [None]}),
    ]
    pooled, *strata = [
        row for row in compare(frame(settings, rows), by="temperature") if row.metric == "score"
    ]
    assert pooled.pooled
    assert (pooled.a, pooled.b) == ("temperature=1", "temperature=0")
    assert pooled.a_settings == ["hot1", "hot2"]
    # Prompt a: (1 - 0) twice; prompt b: only seed 1 is known on both sides, 0 - 0.
    assert pooled.difference == pytest.approx(0.5)
    assert [row.stratum for row in strata] == [{"seed": 1}, {"seed": 2}]
    assert [row.difference for row in strata] == [0.5, 1.0]
    assert [row.n for row in strata] == [2, 1]
    # A reader picks the pooled comparison or the strata: they are families of their own.
    assert (pooled.family, [row.family for row in strata]) == (1, [2, 2])


def test_p_is_adjusted_within_the_family() -> None:
    """Three settings against a baseline: Holm over three, per metric; above twenty: BH."""
    settings = {f"t{i}": {"temperature": i / 30} for i in range(25)}
    rows = [row for i in range(25) for row in score_rows(f"t{i}", _random(i, 40, 2, 0.3 + i / 60))]
    chosen = {name: settings[name] for name in ("t0", "t1", "t2", "t9")}
    run = frame(chosen, [row for row in rows if row["setting_id"] in chosen])
    few = compare(run, by="temperature", metrics=["score"])
    assert [r.p_adjusted for r in few] == stats.holm([r.p for r in few])[0].tolist()
    assert {(r.adjustment, r.family) for r in few} == {("holm", 3)}
    many = compare(frame(settings, rows), by="temperature", metrics=["score"])
    expected = stats.benjamini_hochberg([r.p for r in many])[0].tolist()
    assert [r.p_adjusted for r in many] == expected
    assert {(r.adjustment, r.family) for r in many} == {("benjamini-hochberg", 24)}


def test_agreement_and_ratio_metrics() -> None:
    """Agreement is compared per prompt; latency carries the geometric mean ratio."""
    rows = [
        *text_rows("cold", {"a": ["x", "x"], "b": ["x", "x"]}),
        *text_rows("hot", {"a": ["x", "y"], "b": ["x", "x"]}),
    ]
    for row in rows:
        row["latency_s"] = 2.0 if row["setting_id"] == "hot" else 1.0
    compared = compare(frame({"cold": COLD, "hot": HOT}, rows), by="temperature")
    found = {row.metric: row for row in compared}
    assert set(found) == {"agreement", "latency_s"}  # what has no value is not compared
    assert found["agreement"].difference == -0.5
    assert found["latency_s"].difference == 1.0
    assert found["latency_s"].ratio == MeanRatio(pytest.approx(2.0), None, 2)
    assert found["agreement"].ratio is None


def test_two_runs_are_compared_setting_by_setting() -> None:
    """Yesterday is the baseline of today; prompts are joined by id, settings by their values."""
    settings = {"s0": COLD, "s1": HOT}
    old = frame(
        settings, score_rows("s0", {"a": [0], "b": [0]}) + score_rows("s1", {"a": [1], "b": [1]})
    )
    new = frame(
        settings, score_rows("s0", {"b": [1], "c": [1]}) + score_rows("s1", {"b": [1], "c": [1]})
    )
    rows = compare_runs({"yesterday": old, "today": new}, metrics=["score"])
    pooled, cold, hot = rows
    assert (cold.a_run, cold.b_run) == ("today", "yesterday")
    assert (cold.difference, hot.difference, pooled.difference) == (1.0, 0.0, 0.5)
    assert cold.unmatched == UnmatchedPrompts(a=1, b=1)
    assert "run=today vs run=yesterday at temperature=0.0" in cold.sentence


def test_runs_with_one_setting_each_are_compared_whatever_they_are() -> None:
    """Provider A against provider B, each its own run and model name."""
    one = frame({"s": {"provider": "p", "model": "m"}}, score_rows("s", {"a": [1]}))
    two = frame({"t": {"provider": "q", "model": "n"}}, score_rows("t", {"a": [0]}))
    for options in ({"by": "run"}, {"by": "provider"}):
        (found,) = compare({"one": one, "two": two}, metrics=["score"], **options)
        assert found.difference == -1.0


def test_an_error_on_a_prompt_nobody_scores_is_no_failure() -> None:
    """Errors count as failures where there is something to score, and nowhere else."""
    rows = [
        *score_rows("a", {"p": [1.0, 1.0], "q": [1.0, None]}),
        *score_rows("b", {"p": [1.0, 0.0], "q": [1.0, 1.0]}),
    ]
    rows += [{"setting_id": s, "prompt_id": "free", "status": "error", "text": None} for s in "ab"]
    settings = {"a": {"temperature": 1}, "b": {"temperature": 0}}
    graded = frame(settings, rows, targets=("p", "q"))
    (row,) = compare(graded, by="temperature", metrics=["score"])
    # p: 1 against 1/2; q: 1/2 against 1. The prompt without a target is in neither.
    assert row.errors_as_failures.difference == 0.0
    assert row.difference == 0.25
    only = [row for row in rows if row["prompt_id"] != "q"]
    (row,) = compare(frame(settings, only, targets=("p",)), by="temperature", metrics=["score"])
    assert row.errors_as_failures.difference == 0.5


def test_the_line_says_what_was_left_out_and_what_errors_would_do() -> None:
    """Prompts without a partner and the sensitivity to errors are in the printed line."""
    rows = [
        *score_rows("a", {"p": [1.0, None], "q": [1.0, 1.0], "r": [1.0, 1.0]}),
        *score_rows("b", {"p": [0.0, 0.0], "q": [1.0, 0.0]}),
    ]
    run = frame({"a": {"temperature": 1}, "b": {"temperature": 0}}, rows)
    (row,) = compare(run, by="temperature", metrics=["score"])
    assert "1 with a value on one side only left out" in row.sentence
    assert "with errors as failures +50.0 pp" in row.sentence
    assert "[interval not defined]" in row.sentence  # two prompts bound nothing


def test_what_goes_with_a_run_or_a_model_is_not_held_against_it() -> None:
    """Two providers in two sweeps are compared by run, provider or model, and that is said."""
    runs = {}
    for name, shift in (("one", 0.0), ("two", 1.0)):
        own = {"provider": name, "model": f"m-{name}"}
        settings = {f"t{t}": {"temperature": t, **own} for t in (0, 1)}
        rows = [r for s in settings for r in score_rows(s, {f"p{i}": [shift] for i in range(4)})]
        runs[name] = frame(settings, rows)
    for by, baseline in (("run", "one"), ("provider", "one"), ("model", "m-one")):
        found = compare(runs, by=by, baseline=baseline, metrics=["score"])
        assert [row.pooled for row in found] == [True, False, False], by
        assert all(row.difference == 1.0 for row in found)
        others = [name for name in ("model", "provider") if name != by]
        assert found[0].also_differs == others
        assert f"also differ in {', '.join(others)}" in found[0].sentence


@pytest.mark.parametrize("baseline", [".5", "0.50", "5e-1"])
def test_a_baseline_is_read_as_numbers_are_typed(baseline: str) -> None:
    """What the shell hands over is a text; a text that is no number or value is itself."""
    rows = [r for s in "ab" for r in score_rows(s, {"p": [1.0]})]
    run = frame({"a": {"temperature": 0}, "b": {"temperature": 0.5}}, rows)
    (row,) = compare(run, by="temperature", baseline=baseline, metrics=["score"])
    assert (row.a_value, row.b_value) == (0, 0.5)
    named = frame({"a": {"system": "You are: kind"}, "b": {"system": "*"}}, rows)
    for text in ("You are: kind", "*"):
        (row,) = compare(named, by="system", baseline=text, metrics=["score"])
        assert row.b_value == text


def test_an_axis_that_does_not_vary_is_refused() -> None:
    """The message names the axis, the hint what could be compared; so does a wrong baseline."""
    run = _pair({"a": [1]}, {"a": [0]})
    with pytest.raises(ConfigError, match="do not differ in `top_p`") as error:
        compare(run, by="top_p")
    assert error.value.hint == "compare by one of: temperature"
    with pytest.raises(ConfigError, match=r"no setting has `temperature` = 0\.5") as error:
        compare(run, by="temperature", baseline=0.5)
    assert error.value.hint == "--baseline one of: 0.0, 1.0"


def test_settings_that_differ_in_more_than_the_axis_are_refused() -> None:
    """Without a counterpart there is no comparison, and the message says what else differs."""
    settings = {"x": {"temperature": 0, "top_p": 0.5}, "y": {"temperature": 1, "top_p": 0.9}}
    with pytest.raises(ConfigError, match="no two settings differ in `temperature` alone") as error:
        compare(
            frame(settings, score_rows("x", {"a": [1]}) + score_rows("y", {"a": [1]})),
            by="temperature",
        )
    assert error.value.hint == "they also differ in: top_p"


def test_equal_seeds_give_equal_bits_whatever_the_order() -> None:
    """The JSON of a comparison is the same twice, and for shuffled records; it holds no NaN."""
    rows = score_rows("hot", _random(1, 60, 3)) + score_rows("cold", _random(2, 60, 3, 0.7))
    for i, row in enumerate(rows):
        row["latency_s"] = 1.0 + (i * 7919 % 101) / 50
        row["repeat"] = i % 3
    settings = {"cold": COLD, "hot": HOT}
    texts = [
        as_json_text(compare(frame(settings, order), by="temperature", margin=0.05))
        for order in (
            rows,
            rows,
            [rows[i] for i in np.random.default_rng(0).permutation(len(rows))],
        )
    ]
    assert texts[0] == texts[1] == texts[2]


def test_equivalence_within_a_margin() -> None:
    """A margin adds the p of two one-sided tests, for shares only."""
    rows = compare(_pair(_random(1, 60, 3), _random(1, 60, 3)), by="temperature", margin=0.02)
    assert _score(rows).equivalence == Equivalence(0.02, None)  # no spread: undefined
    assert "equivalent within ±2.0 pp: not testable without spread" in _score(rows).sentence
    found = _score(
        compare(_pair(_random(1, 60, 3), _random(3, 60, 3)), by="temperature", margin=0.5)
    )
    assert found.equivalence.p < 0.001
    assert "equivalent within ±50.0 pp: p<.001" in found.sentence


def test_the_sentence_is_the_printed_line() -> None:
    """Points, interval, p, tallies, n, K and what was detectable, in one line."""
    hot = {f"q{i:02}": [1.0, float(i % 2)] for i in range(24)}
    cold = {f"q{i:02}": [1.0, float(i % 3 == 0)] for i in range(24)}
    found = _score(compare(_pair(hot, cold), by="temperature"))
    assert found.sentence.startswith("temperature=1.0 vs temperature=0.0: score +8.3 pp [")
    assert "(8 up / 4 down / 12 tied, n=24, K=2); detectable: " in found.sentence


def test_ties_are_not_decided_by_rounding() -> None:
    """The same scores in another order, over prompts, repeats or strata: 0, and no prompt up."""
    over_prompts = _pair({"a": [0.1], "b": [0.2], "c": [0.3]}, {"a": [0.3], "b": [0.1], "c": [0.2]})
    over_repeats = _pair({"a": [0.1, 0.2, 0.3]}, {"a": [0.3, 0.2, 0.1]})
    for sides in (over_prompts, over_repeats):
        found = _score(compare(sides, by="temperature"))
        assert found.difference == 0.0
        assert found.a_mean == found.b_mean
    assert found.ties == 1
    settings = {f"{t}{s}": {"temperature": t, "seed": s} for t in (0.0, 1.0) for s in (1, 2, 3)}
    values = dict(zip(settings, (0.1, 0.2, 0.3, 0.3, 0.2, 0.1), strict=True))
    rows = [row for name, value in values.items() for row in score_rows(name, {"q": [value]})]
    pooled = next(
        row
        for row in compare(frame(settings, rows), by="temperature")
        if row.metric == "score" and row.pooled
    )
    assert (pooled.difference, pooled.ties, pooled.wins, pooled.losses) == (0.0, 1, 0, 0)
    assert pooled.a_mean == pooled.b_mean


@pytest.mark.parametrize("values", [("a", "b"), ({"deep": {"x": 1}}, {"deep": {"x": 2}}), (0, 1)])
def test_what_stands_under_extra_is_an_axis_of_its_own(values: tuple[Any, Any]) -> None:
    """A provider's own parameter is compared like any other, within strata of the others."""
    settings = {
        f"{i}{top}": {"extra": {"cond": value, "top_k": top}}
        for i, value in enumerate(values)
        for top in (1, 2)
    }
    rows = [row for name in settings for row in score_rows(name, {"q": [float(name[0] == "0")]})]
    compared = [
        row
        for row in compare(frame(settings, rows), by="extra.cond", baseline=values[0])
        if row.metric == "score"
    ]
    assert [(row.pooled, row.difference) for row in compared] == [
        (True, -1.0), (False, -1.0), (False, -1.0),
    ]  # fmt: skip
    assert [row.stratum for row in compared] == [{}, {"extra.top_k": 1}, {"extra.top_k": 2}]


def test_two_settings_that_differ_in_two_extra_parameters_are_not_compared() -> None:
    """What else differs is named by its own name."""
    settings = {n: {"extra": {"cond": n, "top_k": i}} for i, n in enumerate(("a", "b"))}
    rows = [row for name in settings for row in score_rows(name, {"q": [1]})]
    with pytest.raises(ConfigError) as caught:
        compare(frame(settings, rows), by="extra.cond")
    assert "extra.top_k" in str(caught.value.hint)
