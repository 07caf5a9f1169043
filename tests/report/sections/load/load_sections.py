"""Load sections made by hand."""

from __future__ import annotations

from typing import Any

import msgspec

from evalharness.report.build.load_data import LoadData, LoadPoint
from evalharness.report.section import ReportData


def summary(n: int, **values: float) -> dict[str, Any]:
    return {"n": n, **values}


def load_point(**values: Any) -> LoadPoint:
    """A valid load point of one setting, apart from the values given as in the JSON."""
    times = {
        "ttft_s": {o: summary(199, p50=0.03, p95=0.05) for o in ("sent", "scheduled")},
        "ttfo_s": {"sent": {"n": 0}, "scheduled": {"n": 0}},
        "latency_s": {o: summary(199, p50=0.07, p95=0.1, p99=0.4) for o in ("sent", "scheduled")},
        "tpot_s": summary(199, p50=0.002, p95=0.003),
        "inter_chunk_s": {"n": 0},
        "tokens_per_s": {"n": 0},
        "completion_tokens": {"n": 0},
    }
    setting = {
        **times, "setting_id": "s", "label": "model=m",
        "ecdf": {"ttft_s": {"n": 2, "ecdf": [[0.1, 0.5], [0.2, 1.0]]},
                 "tpot_s": {"n": 0, "ecdf": []}},
    }  # fmt: skip
    point = {
        **times, "label": "poisson 10/s", "measurement": 1,
        "load": {"arrival": "poisson", "rate": 10}, "searched": False, "state": "complete",
        "reason": None, "window_s": 20.0, "requested_rate": 10.0, "achieved_rate": 9.5,
        "throughput_per_s": 9.4, "output_tokens_per_s": 170.0,
        "requests": {"scheduled": 200, "sent": 200, "delivered": 199, "failed": 1, "retries": 0,
                     "warmup": 0, "not_sent": 0},
        "concurrency": {"requested": None, "mean": 0.7, "most": 3},
        "schedule_delay_s": summary(200, p99=0.0774, max=0.1),
        "admission_delay_s": {"n": 0}, "client_lag_s": None, "goodput": None, "errors": [],
        "invalid": [], "valid": True, "settings": [setting],
        "timeline": {"bin_s": 2.0, "begin_s": 0.0, "end_s": 20.0,
                     "bins": [{"at_s": 0.0, "due": 10.0, "sent": 10.0, "done": 9.0, "failed": 0.5,
                               "chunks": 0.0, "in_flight": 0.7}]},
        "parameters": [{"provider": "p", "model": "m", "system": None, "template": None, "params": {}}],
        **values,
    }  # fmt: skip
    return msgspec.convert(point, LoadPoint)


def report_of(*points: LoadPoint, unfinished: int = 0, **values: Any) -> ReportData:
    """A report that has load points alone."""
    searches = values.get("searches", [])
    data = LoadData(points=list(points), searches=searches, unfinished_measurements=unfinished)
    return ReportData({"load": data, "settings": []})
