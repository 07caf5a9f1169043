"""Writes load points in the layout of another tool."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from evalharness.cli.export_rows import open_output
from evalharness.cli.tool_layouts import ToolLayout
from evalharness.cli.tool_layouts.aiperf import aiperf_result
from evalharness.cli.tool_layouts.guidellm import guidellm_report
from evalharness.cli.tool_layouts.point_requests import COLUMNS, PointRequests, point_requests
from evalharness.cli.tool_layouts.vllm import vllm_result
from evalharness.errors import ConfigError
from evalharness.process.text import first_names
from evalharness.report.build.load_data import LoadData
from evalharness.store.folder.run import Run

_A_LINE_A_POINT: Mapping[str, Callable[[PointRequests], dict[str, Any]]] = {
    "vllm": vllm_result,
    "aiperf": aiperf_result,
}


def write_layout(
    run: Run, data: LoadData | None, *, layout: ToolLayout, out: str | None, with_invalid: bool
) -> int:
    """Write the load points of a run; the number of them.

    guidellm has one report for all of them. vLLM and aiperf have a file a benchmark: with several
    load points a line each, as ``vllm bench serve --append-result`` writes them.

    Args:
        run: the run.
        data: its load points.
        layout: whose layout.
        out: the file; None is stdout.
        with_invalid: also those that the client made invalid.

    Raises:
        ConfigError: there is no load point, or some are invalid and not asked for.
    """
    points = [] if data is None else data.points
    if not points:
        raise ConfigError(
            f"run `{run.name}` has no load points: --format {layout} is of benchmarks",
            hint=f"evalharness export {run.name} --format jsonl writes its records",
        )
    invalid = [point.label for point in points if not point.valid]
    if invalid and not with_invalid:
        raise ConfigError(
            f"of `{run.name}` the client made {first_names(invalid)} invalid, and the layout of "
            f"{layout} has no place to say so",
            hint="--with-invalid writes them, too",
        )
    records = run.table("records", list(COLUMNS))
    requests = [point_requests(point, records) for point in points]
    with open_output(out) as file:
        if layout == "guidellm":
            file.write(json.dumps(guidellm_report(requests), allow_nan=False) + "\n")
        else:
            for each in requests:
                file.write(json.dumps(_A_LINE_A_POINT[layout](each), allow_nan=False) + "\n")
    return len(points)
