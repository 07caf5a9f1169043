"""``report --together``: the money of several runs, and one report where they are of one plan."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from evalharness.report.build.field_groups import look_up_field
from evalharness.report.build.scoring import ReportOverrides
from evalharness.report.build_report import Report, build_report
from evalharness.report.several_runs.find_runs import in_order_of_time
from evalharness.report.several_runs.money import MoneyTogether, money_together
from evalharness.report.several_runs.price_periods import price_sentences
from evalharness.report.several_runs.same_plan import why_not_one_plan
from evalharness.store.folder.pooled_run import PooledRun
from evalharness.store.folder.run import Run


class Together(NamedTuple):
    """Several runs together.

    Attributes:
        money: of all records.
        report: of the runs as one; None where they are not of one plan.
        not_pooled: what keeps them from being one, in one sentence; None where nothing does.
    """

    money: MoneyTogether
    report: Report | None
    not_pooled: str | None


def build_together(runs: Sequence[Run], overrides: ReportOverrides) -> Together:
    """Add up the money of runs; report them as one where they are of one plan.

    Args:
        runs: two or more, of different names.
        overrides: scoring, prices, volume and field, as of any report.

    Raises:
        ConfigError: a run holds no records, or cannot be read.
        StorageError: a file is damaged.
    """
    runs = in_order_of_time(runs)
    money = money_together(runs, overrides)
    reason = why_not_one_plan(runs, overrides)
    if reason is not None:
        return Together(
            money,
            None,
            f"Money alone is added up, because {reason}; evalharness compare "
            f"{runs[0].location} {runs[-1].location} shows what differs.",
        )
    pooled = PooledRun(runs)
    pooled.manifest.notes += price_sentences(money.prices)
    field = overrides.group_by
    if field is not None:
        columns = next(pooled.configs()).columns()
        if look_up_field(pooled.table("prompts"), field, columns).values is None:
            pooled.manifest.notes.append(
                f"No prompt of {runs[-1].name}, the newest run, has the field {field}: the money "
                "alone is split by it."
            )
            overrides = overrides._replace(group_by=None)
    return Together(money, build_report(pooled, overrides), None)
