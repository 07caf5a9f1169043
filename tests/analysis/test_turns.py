"""Figures by turn, against the formulas written out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from evalharness.analysis import stats
from evalharness.analysis.data.encode import Floats
from evalharness.analysis.turns import turn_figures
from tests.analysis.record_frames import frame_of

CONVERSATIONS, REPEATS = 6, 3


def _rows() -> list[dict[str, Any]]:
    """Two turns; the second turn of the last conversation failed in its last repeat."""
    rows: list[dict[str, Any]] = []
    for c in range(CONVERSATIONS):
        for turn in (1, 2):
            for repeat in range(REPEATS):
                failed = (c, turn, repeat) == (CONVERSATIONS - 1, 2, REPEATS - 1)
                prompt = 10 + c if turn == 1 else 40 + 3 * c + repeat
                rows.append({
                    "prompt_id": f"c{c}.{turn}", "repeat": repeat, "text": "x",
                    "status": "error" if failed else "ok",
                    "ttft_s": None if failed else 0.1 * turn + 0.01 * c + 0.001 * repeat,
                    "latency_s": None if failed else 0.5 * turn + 0.01 * c + 0.001 * repeat,
                    "prompt_tokens": None if failed else prompt,
                    "completion_tokens": None if failed else 20,
                    "cached_tokens": None if failed else (0 if turn == 1 else 10 + c),
                })  # fmt: skip
    return [*rows, {"prompt_id": "alone", "latency_s": 9.0, "prompt_tokens": 999}]


def test_figures_of_a_turn_are_over_conversations() -> None:
    names = [f"c{c}.{turn}" for c in range(CONVERSATIONS) for turn in (1, 2)]
    frame = frame_of(_rows(), clusters={name: name.partition(".")[0] for name in names})
    (setting,) = turn_figures(frame, {name: int(name[-1]) for name in names})
    first, second = setting.turns
    assert [t.turn for t in setting.turns] == [1, 2]
    assert (first.conversations, first.answers, first.failed) == (6, 18, 0)
    assert (second.conversations, second.answers, second.failed) == (6, 17, 1)
    rows = [r for r in _rows() if r["prompt_id"].endswith(".2") and r["status"] == "ok"]
    unit = np.array([int(r["prompt_id"][1]) for r in rows])
    tokens = np.array([r["prompt_tokens"] for r in rows], np.float64)
    cached = np.array([r["cached_tokens"] for r in rows], np.float64)

    def by_unit(values: Floats) -> Floats:
        return np.bincount(unit, values).astype(np.float64)

    assert second.latency_s.n == second.ttft_s.n == second.prompt_tokens.n == 17
    assert second.latency_s.p50 == np.median([r["latency_s"] for r in rows])
    assert second.prompt_tokens.mean == pytest.approx(tokens.mean())
    assert second.prompt_tokens.ci95 == pytest.approx(
        stats.ratio_ci(by_unit(tokens), by_unit(np.ones(17)), scale="amount")
    )
    assert second.cached_share.mean == pytest.approx(cached.sum() / tokens.sum())
    assert second.cached_share.ci95 == pytest.approx(
        stats.ratio_ci(by_unit(cached), by_unit(tokens), scale="amount")
    )
    # Repeats of one conversation are one unit: taken as 17 units, the interval is narrower.
    as_rows = stats.ratio_ci(tokens, np.ones(17), scale="amount")
    ours = second.prompt_tokens.ci95
    assert as_rows is not None
    assert ours is not None
    assert ours[1] - ours[0] > as_rows[1] - as_rows[0]
    assert first.cached_share.mean == 0.0
    assert first.cached_share.ci95 is None


def test_what_no_server_says_is_unknown() -> None:
    rows = [{"prompt_id": "c.1", "text": "x"}, {"prompt_id": "c.2", "text": "x"}]
    (setting,) = turn_figures(frame_of(rows), {"c.1": 1, "c.2": 2})
    for turn in setting.turns:
        assert (turn.cached_share.mean, turn.cached_share.n) == (None, 0)
        assert (turn.prompt_tokens.mean, turn.latency_s.p50) == (None, None)
