"""The tables of breakdowns, and the sentences on contrasts."""

from __future__ import annotations

import msgspec

from evalharness.analysis.agreement.breakdowns import Breakdown, PairGroup
from evalharness.analysis.agreement.within_prompt_contrasts import WithinPromptContrast
from evalharness.report.build_report import Report
from evalharness.report.sections.breakdowns.circumstances import (
    circumstance_tables,
    notable_contrasts,
)
from evalharness.report.sections.settings.section import SETTINGS


def _group(name: str, agreement: float, pairs: int) -> PairGroup:
    return PairGroup(group=name, agreement=agreement, pairs=pairs, prompts=9)


ALIKE = [_group("equal", 1.0, 3), _group("unknown", 1.0, 3)]
NEVER_VARIED = Breakdown(
    all_pairs=True, system_fingerprint=ALIKE, response_model=ALIKE, time_gap=ALIKE,
    in_flight=ALIKE, output_length=ALIKE, cached_tokens=ALIKE, contrasts=[],
)  # fmt: skip


def test_circumstances_that_varied_have_a_table(sweep: Report) -> None:
    """One row a setting that has such pairs, one column a group; what never varied has none."""
    settings = sweep.data[SETTINGS]
    assert circumstance_tables(settings, [NEVER_VARIED] * len(settings), 50) == []
    breakdowns = [msgspec.structs.replace(NEVER_VARIED, in_flight=[]) for _ in settings]
    breakdowns[0] = msgspec.structs.replace(
        NEVER_VARIED,
        system_fingerprint=[_group("equal", 0.5, 1200), _group("different", 0.25, 1)],
        in_flight=[_group("17-64", 0.5, 3), _group("> 256", 0.1, 3)],
    )
    breakdowns[1] = msgspec.structs.replace(NEVER_VARIED, in_flight=[_group("5-16", 0.75, 3)])
    prints, busy = circumstance_tables(settings, breakdowns, 2)
    assert prints.headings[1:] == ["equal", "different"]
    label = settings[0].label
    assert prints.rows[0] == [label, "50\u00a0% (1,200 pairs)", "25\u00a0% (1 pair)"]
    assert (len(prints.rows), prints.more) == (2, len(settings) - 2)
    assert busy.headings[1:] == ["5-16", "17-64", "> 256"]
    assert busy.rows[1][1:] == ["75\u00a0% (3 pairs)", "—", "—"]
    assert busy.more == 0


def test_clear_contrasts_are_sentences(sweep: Report) -> None:
    """The strongest setting of a circumstance is named, the others are counted."""
    settings = sweep.data[SETTINGS]
    contrast = WithinPromptContrast(
        by="in_flight", group="> 256", against="1", difference=-0.2, prompts=9, p=0.001,
        p_adjusted=0.004,
    )  # fmt: skip
    contrasts = [
        contrast,
        msgspec.structs.replace(contrast, difference=-0.3),
        msgspec.structs.replace(contrast, difference=-0.9, p_adjusted=0.02),
        msgspec.structs.replace(contrast, difference=0.04),
        msgspec.structs.replace(contrast, p_adjusted=None),
    ]
    breakdowns = [msgspec.structs.replace(NEVER_VARIED, contrasts=[c]) for c in contrasts]
    [text] = notable_contrasts(settings[:5], breakdowns)
    assert text == (
        f"Under {settings[1].label} repeats with > 256 requests in flight give the same text "
        "30.0\u00a0pp less often than those with 1 (p\u00a0=\u00a0.004, 9 prompts); so in 1 other setting: "
        "observed, not tried."
    )
