"""Requests of a load point by prompt, and the intervals of its rates."""

from __future__ import annotations

from typing import Any

import numpy as np
from msgspec import structs

from evalharness.analysis.comparison.compare import compare
from evalharness.analysis.data.metrics import ALL_METRICS
from evalharness.analysis.load.measured_requests import (
    MeasuredRequests,
    goodput_interval,
    rate_interval,
    rate_stretches,
    request_cells,
)
from tests.analysis.record_frames import frame_of


def _requests(
    good: list[float], prompts: list[str], setting: str = "s0", **more: Any
) -> MeasuredRequests:
    n = len(good)
    return MeasuredRequests(
        setting_ids=[setting] * n, prompt_ids=prompts, units=prompts, sent_s=np.arange(n, dtype=np.float64),
        good=np.array(good), itl_s=np.array(more.get("itl_s", [np.nan] * n)),
    )  # fmt: skip


def test_a_share_whose_misses_come_together_is_known_less_well() -> None:
    """Half of the requests missed in turn, or in one half of the time: 200 values are not 200."""
    prompts = [f"p{i % 50}" for i in range(200)]
    mixed = goodput_interval(_requests([float(i % 3 > 0) for i in range(200)], prompts))
    late = goodput_interval(_requests([float(i < 133) for i in range(200)], prompts))
    assert mixed is not None
    assert late is not None
    assert late[1] - late[0] > 2 * (mixed[1] - mixed[0])
    assert goodput_interval(_requests([], [])) is None


def test_the_interval_of_a_rate_holds_the_rate() -> None:
    """Poisson arrivals of 50/s, 400 times: the interval misses the rate in about 5 % of them."""
    draws = np.random.default_rng(0)
    missed = 0
    for _ in range(400):
        at = np.sort(draws.uniform(0, 20, draws.poisson(1000)))
        low, high = rate_interval(rate_stretches(at, np.ones(len(at)), 0.0, 20.0)) or (0.0, 0.0)
        missed += not low <= 50 <= high
    assert missed <= 0.08 * 400
    assert rate_interval(rate_stretches(np.empty(0), np.empty(0), 0.0, 20.0)) is None


def _row(setting: str, prompt: str, **more: Any) -> dict[str, Any]:
    return {"setting_id": setting, "prompt_id": prompt, "text": "x", **more}


def test_times_goodput_and_errors_are_compared_prompt_by_prompt() -> None:
    """Each metric's difference is the mean over prompts, by hand; the word of each unit is right."""
    rows: list[dict[str, Any]] = []
    for p in range(8):
        for setting, first in (("s0", 0.1), ("s1", 0.3)):
            fast = {"ttft_s": first, "last_content_s": first + 1.0, "latency_s": first + 1.1}
            rows.append(
                _row(setting, f"p{p}", **fast, completion_tokens=11 if setting == "s0" else 6)
            )
            failed = setting == "s1" and p < 4
            rows.append(_row(setting, f"p{p}", status="error" if failed else "ok"))
    settings = [
        {
            "setting_id": s,
            "params_json": f'{{"temperature": {t}}}',
            "axes_json": f'{{"temperature": {t}}}',
        }
        for t, s in enumerate(("s0", "s1"))
    ]
    frame = frame_of(rows, settings=settings)
    prompts = [f"p{p}" for p in range(8)]
    cells = request_cells(
        frame,
        [_requests([1.0] * 8, prompts, itl_s=[0.1] * 8),
         _requests([1.0] * 6 + [0.0] * 2, prompts, "s1", itl_s=[0.2] * 8),
         _requests([0.0], ["of another plan"], "s1")],
    )  # fmt: skip
    frame = structs.replace(frame, request_cells=cells)
    found = {row.metric: row for row in compare(frame, by="temperature", metrics=ALL_METRICS)}
    expected = {"ttft_s": 0.2, "tpot_s": 0.1, "itl_s": 0.1, "goodput": -0.25, "error_share": 0.25}
    for metric, difference in expected.items():
        assert found[metric].difference is not None
        assert abs(found[metric].difference - difference) < 1e-9, metric
        assert found[metric].n == 8
    assert (found["error_share"].wins, found["error_share"].ties) == (4, 4)
    assert "goodput −25.0 pp" in found["goodput"].sentence
    assert "ttft_s +0.2 s" in found["ttft_s"].sentence
    assert found["ttft_s"].percentiles is not None


def test_without_an_error_there_is_no_line_on_errors() -> None:
    """0 against 0 is left out, and so are times that nothing was streamed for."""
    rows = [_row(f"s{t}", f"p{p}") for p in range(6) for t in range(2)]
    settings = [
        {
            "setting_id": s,
            "params_json": f'{{"temperature": {t}}}',
            "axes_json": f'{{"temperature": {t}}}',
        }
        for t, s in enumerate(("s0", "s1"))
    ]
    found = compare(frame_of(rows, settings=settings), by="temperature", metrics=ALL_METRICS)
    assert not {row.metric for row in found} & {
        "error_share",
        "ttft_s",
        "tpot_s",
        "itl_s",
        "goodput",
    }
