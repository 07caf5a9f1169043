"""How many prompts and repeats: from a pilot, or from stated defaults."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import numpy as np
import pytest

from evalharness.analysis import stats
from evalharness.analysis.comparison.power import (
    DetectionPlan,
    parse_difference,
    plan_detection,
    score_table,
)
from evalharness.analysis.data.frame import RunFrame
from evalharness.errors import ConfigError
from tests.analysis.setting_frames import frame, score_rows


def _pilot(repeats: int = 3, settings: tuple[str, ...] = ("a", "b")) -> RunFrame:
    rng = np.random.default_rng(0)
    rows = []
    for name in settings:
        passed = rng.random((50, repeats)) < rng.beta(1, 1, (50, 1))
        rows += score_rows(name, {f"q{i:02}": row.tolist() for i, row in enumerate(passed)})
    for row in rows:
        row["cost_usd_imported"] = Decimal("0.01")
    return frame({name: {"temperature": i} for i, name in enumerate(settings)}, rows)


@pytest.mark.parametrize("text", ["2pp", "2 pp", "2%", "0.02", ".02"])
def test_differences_are_read_as_people_write_them(text: str) -> None:
    """Points, percent and shares all mean the same."""
    assert parse_difference(text) == pytest.approx(0.02)


@pytest.mark.parametrize("text", ["0", "2", "x", "-2pp", "200pp", ""])
def test_impossible_differences_are_refused(text: str) -> None:
    """Nothing, more than everything and nonsense stop with a hint."""
    with pytest.raises(ConfigError) as error:
        parse_difference(text)
    assert error.value.hint == "write it as --detect 5pp or 0.05"


def test_defaults_are_stated_and_give_the_published_table() -> None:
    """Without a pilot the assumed components are named; 500 prompts show 5.1, 4.2, 4.0, 3.8 pp."""
    plan = plan_detection(0.02, prompts=500, repeats=(1, 3, 5, 10))
    assert plan.assumed == ["all"]
    shown = [round(100 * option.mde, 1) for option in plan.options]
    assert shown == [5.1, 4.2, 4.0, 3.8]
    assert all(option.cost_usd is None for option in plan.options)
    assert "the 500 prompts of this plan show" in "\n".join(plan.lines)


def test_a_pilot_gives_components_and_cost() -> None:
    """Components are estimated from the pilot's repeats, cost from its mean cost a trial."""
    pilot = _pilot()
    plan = plan_detection(0.1, pilot=pilot)
    expected = stats.variance_components(score_table(pilot, 0), score_table(pilot, 1))
    assert expected is not None
    assert plan.components.omega2 == expected.omega2
    assert plan.assumed == []
    for option in plan.options:
        assert option.trials == 2 * option.prompts * option.repeats
        assert option.cost_usd == pytest.approx(option.trials * 0.01)
    assert msgspec.json.decode(msgspec.json.encode(plan), type=DetectionPlan) == plan, "no NaN"


def test_a_plan_that_the_prompts_do_not_allow_says_what_it_would_take() -> None:
    """Prompts, repeats and dollars of the cheapest plan, and of the one with fewest prompts."""
    plan = plan_detection(0.02, prompts=12, cost_per_trial_usd=0.001)
    cheapest, fewest = plan.options[0], plan.options[-1]
    assert not cheapest.enough
    for text in (
        f"{cheapest.prompts:,} prompts × 1 repeat × 2 settings = {cheapest.trials:,} trials, "
        f"about ${cheapest.cost_usd:.2f}",
        f"or, with the fewest prompts, {fewest.prompts:,} prompts × 10 repeats × 2 settings = "
        f"{fewest.trials:,} trials, "
        f"about ${fewest.cost_usd:.2f}",
    ):
        assert text in "\n".join(plan.lines)
    assert "cost unknown" in "\n".join(plan_detection(0.02, prompts=12).lines)


def test_no_plan_asks_for_fewer_prompts_than_any_test_needs() -> None:
    """Five prompts can never be significant, however large the difference."""
    assert plan_detection(0.9).options[0].prompts == 6


def test_more_repeats_never_need_more_prompts() -> None:
    """The table falls in K; the smallest plan that the prompts allow is the one named."""
    plan = plan_detection(0.2, pilot=_pilot(), prompts=5000)
    needed = [option.prompts for option in plan.options]
    assert needed == sorted(needed, reverse=True)
    cheapest = min(option.trials for option in plan.options)
    assert f"= {cheapest:,} trials" in "\n".join(plan.lines)


def test_one_setting_leaves_the_between_prompt_variance_assumed() -> None:
    """A pilot of one setting says what it does not know."""
    plan = plan_detection(0.1, pilot=_pilot(settings=("a",)))
    assert plan.assumed == ["omega2"]
    assert plan.components.omega2 == stats.TYPICAL_COMPONENTS.omega2


@pytest.mark.parametrize(("prompts", "needed"), [(10, 5446), (1000, 78)])
def test_a_pilot_in_which_nothing_varied_bounds_what_it_missed(prompts: int, needed: int) -> None:
    """Not "six prompts will do": the more such prompts were seen, the fewer are needed."""
    right = {f"q{i}": [1.0, 1.0] for i in range(prompts)}
    pilot = frame(
        {"a": {"temperature": 0.0}, "b": {"temperature": 1.0}},
        score_rows("a", right) + score_rows("b", right),
    )
    plan = plan_detection(0.02, pilot=pilot)
    unseen = 1.959964**2 / (prompts + 1.959964**2)
    assert plan.components.omega2 == pytest.approx(unseen, rel=1e-6)
    assert plan.options[0].prompts == needed
    assert "no score varied, so this is an upper bound" in " ".join("".join(plan.lines).split())
    assert max(map(len, plan.lines)) <= 100
    assert plan.assumed == ["omega2"]


def test_a_pilot_without_repeats_is_refused() -> None:
    """One repeat cannot tell noise from prompts."""
    with pytest.raises(ConfigError, match="two scored repeats"):
        plan_detection(0.1, pilot=_pilot(repeats=1))


@pytest.mark.parametrize(("rate", "rough"), [(0.95, True), (0.5, False)])
def test_a_plan_near_one_from_settings_that_hardly_differ_says_that_it_is_rough(
    rate: float, rough: bool
) -> None:
    """Nothing tells how prompts move: with several repeats the chance is not just 80 %."""
    rng = np.random.default_rng(1)
    sides = [
        {f"q{i}": (rng.random(3) < rate).astype(float).tolist() for i in range(60)} for _ in "ab"
    ]
    pilot = frame(
        {"a": {"temperature": 0.0}, "b": {"temperature": 1.0}},
        score_rows("a", sides[0]) + score_rows("b", sides[1]),
    )
    plan = plan_detection(0.2, pilot=pilot, repeats=(3,))
    assert any("only roughly" in line for line in plan.lines) is rough
