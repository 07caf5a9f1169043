"""Agreement, preference and cost of each judging of a run.

The cost of judging is not part of the cost of the run, because it is no property of a setting.
"""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

import msgspec

from evalharness.analysis.agreement.agreement import agreement
from evalharness.analysis.data.frame import COLUMNS
from evalharness.analysis.data.frame_builder import build_frame
from evalharness.columnar.record_store import RecordStore
from evalharness.columnar.row_store import DictionaryEncoder
from evalharness.judging import Judging, judging_names, open_judging
from evalharness.pricing.book import provider_prices
from evalharness.pricing.cost_columns import cost_columns
from evalharness.report.sections.judges.preference import Preference, measure_preference
from evalharness.report.words.format_numbers import add_dollars
from evalharness.report.words.unknown_cost_text import add_reasons
from evalharness.store.folder.run import Run


class JudgeAgreement(msgspec.Struct, frozen=True, kw_only=True):
    """Agreement of a judge with itself between repeats of the same question.

    An unparsed reply agrees with nothing.

    Attributes:
        pairwise: chance that two replies to a question give the same verdict, mean over questions,
            0 to 1; null where no question has two replies.
        ci95: its 95 % interval over questions; null where undefined.
        n: the largest number of replies to a question.
        prompts: questions with at least two replies.
    """

    pairwise: float | None = None
    ci95: list[float] | None = None
    n: int = 0
    prompts: int = 0


class JudgingCost(msgspec.Struct, frozen=True, kw_only=True):
    """The cost of all replies of a judging, those to earlier rubrics too, in US dollars.

    Attributes:
        total: by the price table, else as billed; null when that of no reply is known.
        from_bill: replies without a price whose cost is the provider's bill.
        n: replies with a known cost.
        unknown_reasons: replies of unknown cost, by reason (``no_price``, ``count_missing``,
            ``usage_contradicts``).
        billed_total: what the provider says it billed; null when it says nothing.
        billed_n: replies with a bill.
        replies: all of them.
    """

    total: Decimal | None = None
    from_bill: int = 0
    n: int = 0
    unknown_reasons: dict[str, int] = {}
    billed_total: Decimal | None = None
    billed_n: int = 0
    replies: int = 0


class JudgingSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One judging of a run.

    Attributes:
        name: of the judging.
        mode: ``grade`` (every output alone) or ``pairwise`` (two settings against each other).
        provider, model: the judge.
        rubric: the text it judges by.
        scale: the worst and the best grade; null in pairwise mode.
        repeats: how often everything is to be judged.
        status: of the judging: ``complete``, ``stopped`` and the like, as of a run.
        planned: things to judge: distinct outputs, or ordered pairs of them.
        judged: those with at least one readable reply.
        questions_by_replies: how many things have a number of replies, by that number.
        missing: replies of the plan that are not recorded.
        replies: recorded replies to this rubric.
        unparsed: those that hold no verdict.
        failed: those that are errors.
        agreement: of the judge with itself.
        cost_usd: of the judging, which is no part of the cost of the run.
        pairwise: which setting is preferred; null in grade mode.
    """

    name: str
    mode: str
    provider: str
    model: str
    rubric: str
    scale: list[float] | None
    repeats: int
    status: str
    planned: int
    judged: int
    questions_by_replies: dict[str, int]
    missing: int
    replies: int
    unparsed: int
    failed: int
    agreement: JudgeAgreement
    cost_usd: JudgingCost
    pairwise: Preference | None


def summarise_judgings(run: Run) -> list[JudgingSummary]:
    """Describe every judging of a run, by name."""
    summaries = (summarise_judging(run, name) for name in judging_names(run.root))
    return [summary for summary in summaries if summary is not None]


def summarise_judging(run: Run, name: str) -> JudgingSummary | None:
    """Describe one judging; None when the run has none of that name."""
    judging = open_judging(run, name)
    if judging is None:
        return None
    config, replies = judging.config, judging.replies
    readable = {(r.key, r.order) for r in replies if r.verdict is not None}
    replies_per_question = Counter((r.key, r.order) for r in replies)
    questions = Counter(replies_per_question.values())
    return JudgingSummary(
        name=name,
        mode=config.mode,
        provider=config.provider.name,
        model=config.provider.model,
        rubric=config.rubric_text,
        scale=list(config.scale) if config.mode == "grade" else None,
        repeats=config.repeats,
        status=judging.run.manifest.status,
        planned=len(judging.prompts),
        judged=len(readable),
        questions_by_replies={str(n): count for n, count in sorted(questions.items())},
        missing=len(judging.prompts) * config.repeats - len(replies),
        replies=len(replies),
        unparsed=sum(r.verdict is None and not r.failed for r in replies),
        failed=sum(r.failed for r in replies),
        agreement=_agreement(judging),
        cost_usd=_cost(judging),
        pairwise=measure_preference(run, judging) if config.mode == "pairwise" else None,
    )


def _agreement(judging: Judging) -> JudgeAgreement:
    """Agreement of repeated verdicts, computed like the agreement of any answers."""
    import pyarrow as pa

    records = judging.records(list(COLUMNS))
    if not len(records):
        return JudgeAgreement()
    # Replies are in the order of the records.
    answers = DictionaryEncoder().codes(pa.array([r.verdict for r in judging.replies], pa.string()))
    store = RecordStore.of_table(records)
    frame = build_frame(store, judging.prompts, judging.settings, answers=answers)
    row = agreement(frame, frame.answer_variants)[0]
    return JudgeAgreement(pairwise=row.pairwise, ci95=row.ci95, n=row.n, prompts=row.prompts)


def _cost(judging: Judging) -> JudgingCost:
    book = provider_prices(judging.config.provider, judging.config.pricing)
    records = judging.run.table("records", [*COLUMNS, "provider", "model"])
    if not len(records):
        return JudgingCost()
    parts = cost_columns(RecordStore.of_table(records), book).settings.values()
    totals = [part.total_usd for part in parts if part.total_usd is not None]
    bills = [part.billed_total_usd for part in parts if part.billed_total_usd is not None]
    return JudgingCost(
        total=add_dollars(totals) if totals else None,
        from_bill=sum(part.from_bill for part in parts),
        n=sum(part.known for part in parts),
        billed_total=add_dollars(bills) if bills else None,
        unknown_reasons=add_reasons(part.unknown_reasons for part in parts),
        billed_n=sum(part.billed_rows for part in parts),
        replies=len(records),
    )
