"""Verdicts of which the same is true share a sentence."""

from __future__ import annotations

from typing import Any

from evalharness.report.words.verdicts import merge_verdicts

Row = dict[str, Any]


def test_one_finding_at_temperature_0_is_told_once() -> None:
    """Settings of which the same is true share a sentence that names them; others keep theirs."""

    def effect(label: str, text: str) -> Row:
        return {"parameter": "temperature=0", "verdict": "no divergence seen",
                "evidence": {"label": label}, "sentence": f"temperature 0 ({label}): {text}"}  # fmt: skip

    other = {"parameter": "model", "verdict": "as asked", "evidence": {}, "sentence": "model"}
    found = merge_verdicts([effect("a", "none"), effect("b", "none"), effect("c", "one"), other])
    assert [one["sentence"] for one in found] == [
        "temperature 0 (2 settings: a and b): none", "temperature 0 (c): one", "model",
    ]  # fmt: skip
