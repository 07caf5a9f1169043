"""The outputs of one prompt account for all its records."""

from __future__ import annotations

import pytest

from evalharness.report.build.prompt_variants import outcomes_by_setting, variants_of
from evalharness.report.build_report import Report


def test_variants_of_a_prompt_account_for_all_its_records(hostile: Report) -> None:
    """Counts add up to the outputs, by setting too; the commonest comes first, unmarked."""
    frame = hostile.frame
    every = range(len(frame.prompt_ids))
    for prompt, found in zip(every, variants_of(frame, every), strict=True):
        variants = found.variants
        assert len(variants) == found.distinct
        trials = int((frame.prompt == prompt).sum())
        assert sum(v.count for v in variants) + found.errors == trials
        assert variants_of(frame, [prompt]) == [found]
        assert all(sum(s.count for s in v.settings) == v.count for v in variants)
        assert [v.count for v in variants] == sorted((v.count for v in variants), reverse=True)
        assert variants[0].first_difference_chars is None
        for variant in variants[1:]:
            at = variant.first_difference_chars
            assert at is not None
            assert variant.text[:at] == variants[0].text[:at]
            assert variant.text[at : at + 1] != variants[0].text[at : at + 1]


def test_one_prompt_by_setting_accounts_for_all_its_records(hostile: Report) -> None:
    """Usable repeats and errors of every setting add up to the records of the prompt."""
    frame = hostile.frame
    for place, prompt in enumerate(frame.prompt_ids):
        rows = outcomes_by_setting(frame, prompt)
        assert sum(r.n + r.errors for r in rows) == int((frame.prompt == place).sum())
        assert all(sum(r.counts) == r.n for r in rows)
        assert [r.errors for r in rows] == [0, 1, 0]
        pairs = [sum(c * (c - 1) for c in r.counts) / (r.n * (r.n - 1)) for r in rows]
        assert [r.agreement for r in rows] == pytest.approx(pairs)
