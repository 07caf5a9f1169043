"""Verdicts on parameters in sentences, on the console and on the page."""

from __future__ import annotations

import msgspec
import pytest

from evalharness.analysis.parameters.effect import EffectEvidence, ParameterEffect
from evalharness.report.section import PageContext, ReportData
from evalharness.report.sections.effects import EFFECTS, merge_verdicts

SENT = ParameterEffect(
    parameter="model", verdict="as asked", evidence=EffectEvidence(),
    sentence="model as asked: sent as requested",
)  # fmt: skip
IGNORED = ParameterEffect(
    parameter="seed", verdict="ignored", evidence=EffectEvidence(n=30), sentence="seed ignored: x"
)


def _stable(label: str, text: str) -> ParameterEffect:
    return ParameterEffect(
        parameter="temperature=0", verdict="no divergence seen",
        evidence=EffectEvidence(label=label), sentence=f"temperature 0 ({label}): {text}",
    )  # fmt: skip


def _report(*verdicts: ParameterEffect) -> ReportData:
    return ReportData({"effects": list(verdicts)})


def test_one_finding_at_temperature_0_is_told_once() -> None:
    """Settings of which the same is true share a sentence that names them; others keep theirs."""
    merged = merge_verdicts([_stable("a", "none"), _stable("b", "none"), _stable("c", "one"), SENT])
    assert [effect.sentence for effect in merged] == [
        "temperature 0 (2 settings: a and b): none", "temperature 0 (c): one", SENT.sentence,
    ]  # fmt: skip


def test_console_names_what_is_as_asked_in_one_line() -> None:
    """A sentence a verdict; parameters that were only sent as asked share the last line."""
    assert EFFECTS.console is not None
    lines = EFFECTS.console(_report(IGNORED, SENT), 100).items
    assert lines == ["Was it honoured?", "  seed ignored: x", "  sent as asked: model"]
    assert not EFFECTS.console(_report(), 100).items


@pytest.mark.parametrize(
    ("effect", "badge"), [(IGNORED, "bad"), (_stable("a", "none"), "good"), (SENT, None)]
)
def test_page_has_a_badge_a_verdict(effect: ParameterEffect, badge: str | None) -> None:
    """The sentence loses what stands in the columns before; what is as asked is in the note."""
    assert EFFECTS.page is not None
    view = EFFECTS.page.view(PageContext(_report(effect), {}, 0))
    assert [row.badge for row in view.rows] == ([] if badge is None else [badge])
    assert view.routine == ([] if badge else ["model sent as requested"])
    assert EFFECTS.page.view(PageContext(_report(), {}, 0)) is None


def test_evidence_of_another_kind_is_left_out() -> None:
    """The JSON of a verdict has the fields of its kind, nulls included, and no others."""
    stable = msgspec.structs.replace(_stable("a", "none").evidence, ci95=None)
    assert msgspec.to_builtins(stable) == {"label": "a", "ci95": None}
