"""Gates on load points: each reads its own figure, and what is not valid does not hold."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from evalharness.cli.gates import GATES, check_gate
from evalharness.report.build.load_data import LoadData, LoadSearch
from tests.report.sections.load.load_sections import load_point

GOODPUT = {"slo": {"ttft_s": 1.0}, "share": 0.9, "share_sent": 0.9, "per_s": 1.0, "good": 180,
           "of": 200, "unjudged": 0, "ci95": [0.85, 0.94]}  # fmt: skip


def _data(**values: Any) -> LoadData:
    search = {
        "settings": ["s"], "labels": ["m"], "result": "between", "low": 10.0, "high": 12.0,
        "rates": [10.0, 12.0], "unmeasured_rates": [], "goodput": 0.95, "shown_rate": 10.0, "outcome": "",
    }  # fmt: skip
    point = load_point(
        goodput=GOODPUT, throughput_ci95=[9.0, 9.8],
        output_tokens_per_s=47.0, output_tokens_ci95=[45.0, 49.0],
        tpot_s={"n": 199, "p95": 0.003, "ci95": {"p95": [0.002, 0.004]}},
        inter_chunk_s={"n": 199, "p95": 0.005, "ci95": {"p95": [0.004, None]}}, **values,
    )  # fmt: skip
    searches = [msgspec.convert(search, LoadSearch)]
    return LoadData(points=[point], searches=searches, unfinished_measurements=0)


@pytest.mark.parametrize(
    ("flag", "value", "bound"),
    [
        ("max_tpot_p95_s", 0.003, 0.004),
        ("max_itl_p95_s", 0.005, None),
        ("min_goodput", 0.9, 0.85),
        ("min_throughput_per_s", 9.4, 9.0),
        ("min_output_tokens_per_s", 47.0, 45.0),
        ("min_saturation_per_s", 10.0, None),
    ],
)
def test_each_gate_reads_its_figure_and_bound(flag: str, value: float, bound: float | None) -> None:
    """A limit equal to the figure holds; with confidence the worse end decides."""
    gate = next(gate for gate in GATES if gate.flag == flag)
    assert gate.load is not None
    figure, ends = gate.load(_data(), "s")
    assert figure == value
    assert check_gate(gate, "m", value, figure, ends, confident=False).holds
    assert check_gate(gate, "m", value, figure, ends, confident=True).bound == bound
    assert gate.load(_data(), "another") == (None, None)
    if flag != "min_saturation_per_s":
        assert gate.load(_data(valid=False), "s") == (None, None)
