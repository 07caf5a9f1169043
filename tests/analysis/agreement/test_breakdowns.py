"""Agreement broken down by what repeats have in common, and contrasts within prompts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from evalharness.analysis.agreement.breakdowns import breakdowns
from tests.analysis.record_frames import cell, frame_of


def groups(rows, name):
    table = getattr(breakdowns(frame_of(rows))[0], name)
    return {r.group: (r.agreement, r.pairs, r.prompts) for r in table}


def test_breakdown_by_fingerprint():
    """Pairs are split by whether both carry the same fingerprint; a null is unknown."""
    rows = cell(["a", "a", "b", "a"])
    for r, fingerprint in zip(rows, ["f", "f", "g", None], strict=True):
        r["system_fingerprint"] = fingerprint
    table = groups(rows, "system_fingerprint")
    assert table["equal"] == (1.0, 1, 1)
    assert table["different"] == (0.0, 2, 1)
    assert table["unknown"] == (pytest.approx(2 / 3), 3, 1)
    assert table["both f"] == (1.0, 1, 1)


def test_breakdown_is_a_mean_over_prompts():
    """A prompt with many pairs weighs no more than one with few."""
    rows = cell("aaaa", "p", response_model="m") + cell("xy", "q", response_model="m")
    assert groups(rows, "response_model") == {"equal": (0.5, 7, 2)}


def test_breakdowns_by_circumstance():
    """Time gap, requests in flight, length and cached tokens each sort pairs by their rule."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    rows = cell(["a", "a", "b" * 30])
    for r, gap, in_flight, cached in zip(rows, (0, 5, 7205), (1, 3, 1), (0, 8, None), strict=True):
        r.update(sent_at=start + timedelta(seconds=gap), in_flight=in_flight, cached_tokens=cached)
    assert groups(rows, "time_gap") == {"1-10 s": (1.0, 1, 1), ">= 1 h": (0.0, 2, 1)}
    assert groups(rows, "in_flight") == {"1": (0.0, 1, 1), "2-4": (0.5, 2, 1)}
    assert groups(rows, "output_length") == {"0-20": (1.0, 1, 1), "21-100": (0.0, 2, 1)}
    assert groups(rows, "cached_tokens") == {"one": (1.0, 1, 1), "unknown": (0.0, 2, 1)}


def test_circumstances_are_compared_within_prompts():
    """A prompt is its own control: by hand, with exact sign flips, from six prompts on."""

    def of(prompts: int) -> list[dict[str, Any]]:
        rows = []
        for i in range(prompts):
            # Equal under one fingerprint; across the two one pair of four is equal.
            for text, fingerprint in (("a", "f"), ("a", "f"), ("a", "g"), ("b", "g")):
                rows += cell([text], f"p{i}", system_fingerprint=fingerprint, in_flight=1 + i)
        # A prompt all of whose outputs differ, under one fingerprint: in one group, so in no pair.
        return rows + cell("xy", "alone", system_fingerprint="f", in_flight=1)

    assert breakdowns(frame_of(of(5)))[0].contrasts == []
    # Same fingerprint: ff equal, gg not: 1/2. Different: aa, ab, aa, ab: 1/2. No difference.
    [found] = breakdowns(frame_of(of(6)))[0].contrasts
    assert (found.by, found.group, found.against) == (
        "system_fingerprint", "different", "equal",
    )  # fmt: skip
    assert (found.difference, found.prompts, found.p) == (0.0, 6, 1.0)
    rows = [r for i in range(7) for r in cell("aab", f"p{i}", response_model="m")]
    for i, r in enumerate(rows):
        r.update(cached_tokens=0 if i % 3 == 2 else 8, response_model="m" if i % 3 < 2 else "n")
    found = {row.by: row for row in breakdowns(frame_of(rows))[0].contrasts}
    # Two patterns of 2^7 are as extreme as -1 throughout; Holm doubles the smaller of two.
    assert found["response_model"].difference == -1.0
    assert found["response_model"].p == 2 / 128
    assert found["response_model"].p_adjusted == 4 / 128
    cached = found["cached_tokens"]
    assert (cached.group, cached.against, cached.difference) == ("both", "one", 1.0)
