"""Money computed by hand: exact totals, what an answer cost, caches, waste, frontier."""

from __future__ import annotations

from decimal import Decimal

import pytest
from msgspec.structs import replace

from evalharness.analysis.cost import billing, cost_tables
from evalharness.analysis.cost.cost_figures import describe_cells
from evalharness.analysis.cost.cost_tables import OtherPrompts
from evalharness.analysis.cost.usage import TokenCounts
from evalharness.analysis.cost.wasted_spend import Spending
from evalharness.analysis.frontier import Frontier, frontier
from evalharness.analysis.summary import summarise
from tests.analysis.cost.priced_runs import BOOK, Written, attempts, spent, usage

# 100 prompt tokens of which 40 cached, 10 completion tokens, at 1 / 0.1 / 4 dollars a million:
# 60·1 + 40·0.1 + 10·4 = 104 millionths.
COST = Decimal("0.000104")


def test_a_setting_is_added_up_exactly() -> None:
    """Total, mean and price of 1,000 requests are the hand-computed ones."""
    run = Written([usage(100, 10, 40, prompt_id=p) for p in ("a", "a", "b")])
    row = cost_tables.by_setting(run.spending)[0]
    assert row.total_usd == 3 * COST
    assert (row.known, row.unknown, row.estimated) == (3, 0, 0)
    assert row.mean_usd == pytest.approx(float(COST))
    assert row.per_1k_requests == pytest.approx(0.104)
    assert row.tokens["prompt_tokens"] == TokenCounts(total=300, mean=100.0, n=3)
    assert row.ci95 is None  # three equal amounts say nothing of their spread


def test_tiers_reasoning_and_fees_count() -> None:
    """A long prompt moves the whole request into its tier; reasoning has its own price."""
    run = Written(
        [
            usage(100, 10, 0, model="thinker", reasoning_tokens=4),
            usage(101, 10, 0, model="thinker", reasoning_tokens=4),
        ]
    )
    total = cost_tables.whole_run(run.spending).total_usd
    low = Decimal(100 * 1 + 6 * 2 + 4 * 8) / 10**6 + Decimal("0.001")
    high = Decimal(101 * 3 + 6 * 6 + 4 * 24) / 10**6 + Decimal("0.001")
    assert total == low + high


def test_ten_million_dollars_keep_their_millionths() -> None:
    """Totals are exact where floats are not: many large amounts and one tiny one."""
    rows = [usage(10**8, 10**8, prompt_id=f"p{i}") for i in range(200)] + [usage(1, 0, 1)]
    total = cost_tables.whole_run(Written(rows).spending).total_usd
    assert total == 200 * Decimal(500) + Decimal("0.0000001")


def test_an_answer_costs_what_its_failures_cost_too() -> None:
    """Dollars per correct answer divide all money by the right answers alone."""
    rows = [
        usage(100, 10, 40, prompt_id="a", score=1.0),
        usage(100, 10, 40, prompt_id="a", score=1.0),
        usage(100, 10, 40, prompt_id="b", score=1.0),
        usage(100, 10, 40, prompt_id="b", score=0.0),
        usage(100, 10, 40, prompt_id="c", score=1.0),
        usage(100, 10, 40, prompt_id="c", status="error"),
        usage(100, 10, 40, prompt_id="unscored"),
    ]
    row = cost_tables.whole_run(Written(rows).spending)
    assert row.correct == 4
    assert row.per_correct_usd == pytest.approx(float(6 * COST / 4))
    assert row.reliably_correct == 2  # both repeats of a; c has an error, b a wrong answer
    assert row.per_reliably_correct_usd == pytest.approx(float(6 * COST / 2))


def test_without_repeats_nothing_is_reliable_and_without_right_answers_nothing_has_a_price() -> (
    None
):
    """One repeat proves no reliability, and no right answer is no division by zero."""
    row = cost_tables.whole_run(Written([usage(100, 10, score=0.0)]).spending)
    assert (row.correct, row.per_correct_usd) == (0, None)
    assert (row.reliably_correct, row.per_reliably_correct_usd) == (None, None)
    unscored = cost_tables.whole_run(Written([usage(100, 10)]).spending)
    assert unscored.correct is None


def test_an_unknown_cost_is_in_no_total() -> None:
    """A record without usage is estimated apart; one without a price is unknown, never 0."""
    rows = [usage(100, 10, 40), {}, usage(5, 5, model="nobody", setting_id="t")]
    run = Written(rows)
    row = cost_tables.whole_run(run.spending)
    assert row.total_usd == COST
    assert (row.known, row.estimated, row.unknown) == (1, 1, 2)
    assert row.unknown_reasons == {"no_price": 1, "count_missing": 1}
    assert row.estimate_usd == COST
    alone = cost_tables.by_setting(run.spending)[1]
    assert (alone.total_usd, alone.mean_usd, alone.per_1k_requests) == (None, None, None)


def test_the_interval_is_over_prompts() -> None:
    """Repeats of a prompt are no independent evidence: asking more often narrows nothing."""
    prompts = [usage(100 + 10 * i, i, prompt_id=f"p{i}") for i in range(8)]
    once = cost_tables.whole_run(Written(prompts).spending)
    often = cost_tables.whole_run(Written([row for row in prompts for _ in range(20)]).spending)
    assert once.mean_usd == pytest.approx(often.mean_usd)
    assert once.ci95 == pytest.approx(often.ci95, rel=1e-9)


def test_what_the_cache_saved() -> None:
    """Cached tokens are compared with the full price of the same tier."""
    row = cost_tables.whole_run(Written([usage(100, 10, 40), usage(100, 10, 0)]).spending)
    assert row.cache.saved_usd == Decimal(40) * (Decimal(1) - Decimal("0.1")) / 10**6
    assert row.cache.share == pytest.approx(0.2)


def test_tags_models_and_prompts() -> None:
    """Parts are described as the whole is; the dearest prompt comes first."""
    rows = [
        usage(100, 10, 40, prompt_id="a"),
        usage(1000, 10, prompt_id="b"),
        usage(100, 10, 40, prompt_id="a", model="m2", setting_id="t"),
    ]
    run = Written(rows, tags={"a": ["short"], "b": ["long", "odd"]})
    by_tag = {
        row.tag: row.total_usd
        for row in cost_tables.by_tag(run.spending, [["short"], ["long", "odd"]])
    }
    assert by_tag == {"short": 2 * COST, "long": Decimal("0.00104"), "odd": Decimal("0.00104")}
    assert [r.total_usd for r in cost_tables.by_model(run.spending)] == [
        COST + Decimal("0.00104"),
        COST,
    ]
    listed = cost_tables.by_prompt(run.spending)
    assert [row.prompt_id for row in listed.most_expensive] == ["b", "a"]
    assert listed.others == OtherPrompts(prompts=0, trials=0, known=0, total_usd=None)


def test_projection_carries_the_interval_over() -> None:
    """A volume multiplies the mean and both its ends."""
    run = Written([usage(100 + i, i, prompt_id=f"p{i}") for i in range(6)])
    rows = cost_tables.by_setting(run.spending)
    found = cost_tables.projection(rows, 1e6)[0]
    mean, ends = rows[0].mean_usd, rows[0].ci95
    assert mean is not None
    assert ends is not None
    assert found.usd == pytest.approx(mean * 1e6)
    assert found.ci95 == pytest.approx([end * 1e6 for end in ends])
    assert found.prompt_tokens == pytest.approx(102.5e6)


def test_money_spent_on_nothing() -> None:
    """Failed, retried and in-doubt attempts are apart, and add up to what bought nothing."""
    table = attempts(
        [
            usage(100, 10, 40),
            {**usage(100, 10, 40), "status": "error"},  # failed, and used tokens
            {"final": False, "outcome": "rejected", "status": "error"},
            {
                "final": False,
                "outcome": "in_doubt",
                "status": "error",
                "reserved_usd": Decimal("0.5"),
            },
            {"outcome": "in_doubt", "status": "error", "billed_usd": Decimal("0.25")},
            {"final": False, "outcome": "in_doubt", "status": "error"},
        ]
    )
    found = spent(table)
    assert found is not None
    assert found.failed == Spending(attempts=1, usd=COST)
    assert found.retried == Spending(attempts=1)
    assert found.in_doubt == Spending(
        attempts=3, usd=Decimal("0.25"), unknown=2, worst_case_usd=Decimal("0.5")
    )
    assert found.all.usd == 2 * COST + Decimal("0.25")
    assert found.wasted.attempts == 5
    assert spent(table.slice(0, 0)) is None


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (
            [usage(100, 10, 40, billed_usd=Decimal("0.00014"))],
            "cached tokens were billed at the full",
        ),
        ([usage(100, 10, 40, billed_usd=Decimal("0.000104"))], None),
        ([usage(100, 10, 40, billed_usd=Decimal("0.0001041"))], "rounded"),
        (
            [usage(50, 10, 0, model="thinker", reasoning_tokens=5, billed_usd=Decimal("0.00107"))],
            "reasoning tokens were billed at the completion price",
        ),
        (
            [
                usage(100, 10, 40, billed_usd=COST),
                usage(100, 10, 40, status="error", billed_usd=Decimal(0)),
            ],
            "only failed calls differ",
        ),
        ([usage(100, 10, billed_usd=Decimal(0))], "nothing was billed"),
        (
            [usage(100 * i, 10 * i, billed_usd=Decimal(i) * Decimal("0.00028")) for i in (1, 2, 3)],
            "2 times the table's price",
        ),
    ],
)
def test_the_bill_is_explained(rows: list[dict[str, object]], said: str | None) -> None:
    """A difference is named with what makes it: pricing the records so makes it vanish."""
    run = Written(rows)
    found = billing.by_setting(billing.BilledRecords(run.spending, BOOK))[0]
    assert found.compared == len(rows)
    if said is None:
        assert found.computed_minus_billed_usd == 0
        assert found.reason is None
    else:
        assert said in (found.reason or "")


def _frontier(*figures: tuple[str, float | None, float | None, float | None]) -> Frontier | None:
    """The frontier of settings of these labels, mean costs, scores and agreements."""
    run = Written([usage(1, 1)])
    [setting], [money] = summarise(run.frame, run.costs), cost_tables.by_setting(run.spending)
    agreement = setting.agreement
    return frontier(
        [
            replace(
                setting,
                label=label,
                score=replace(setting.score, mean=score),
                agreement=replace(agreement, raw=replace(agreement.raw, pairwise=alike)),
            )
            for label, _, score, alike in figures
        ],
        [replace(money, mean_usd=cost) for _, cost, _, _ in figures],
    )


def test_the_frontier_names_what_no_other_beats() -> None:
    """Equal in all and better in one beats; a trade-off does not; no cost is left out."""
    found = _frontier(
        ("cheap", 1.0, 0.5, 0.9),
        ("good", 2.0, 0.9, 0.9),
        ("dominated", 1.0, 0.5, 0.8),
        ("unpriced", None, 1.0, 1.0),
    )
    assert found is not None
    assert found.unbeaten == ["cheap", "good"]
    assert found.left_out == ["unpriced"]
    beaten = {row.label: row.beaten_by for row in found.settings}
    assert beaten["dominated"] == ["cheap"]
    assert found.by == ["cost_usd", "score", "agreement"]


def test_the_frontier_needs_two_things_to_weigh() -> None:
    """One setting, or cost alone, has no frontier; twins both stand."""
    assert _frontier(("a", 1.0, 0.5, 0.5)) is None
    assert _frontier(("a", 1.0, None, None), ("b", 2.0, None, None)) is None
    found = _frontier(("a", 1.0, 0.5, 0.5), ("b", 1.0, 0.5, 0.5))
    assert found is not None
    assert found.unbeaten == ["a", "b"]


def test_describing_nothing_is_all_unknown() -> None:
    """No records: counts are 0 and every figure is null."""
    run = Written([usage(1, 1)])
    row = describe_cells(run.spending, run.frame.rows[:0])
    assert row.trials == row.known == row.unknown == 0
    assert row.total_usd is None
    assert row.mean_usd is None
