"""A knee planted at a known rate: how near ``load=sweep`` comes to it, and in how many points.

``python -m benchmarks.knee`` runs the command against emulators of so many workers, each of which
takes a known time for an answer: their knee is at workers / time, and as many requests in flight as
workers fill them (a little more, since a request is in flight on its way, too). The exit code is 1
where one of the two is more than 10 % off, or where it takes more than eight points.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import sys
import tempfile
from typing import Any, NamedTuple

from evalharness.cli import main as evalharness

_TOLERANCE, _MOST_POINTS = 0.1, 8
_TOKENS = 11


class Planted(NamedTuple):
    """A server: so many workers, milliseconds to the first token and between tokens."""

    workers: int
    ttft_ms: float
    itl_ms: float
    sigma: float = 0.0
    arrival: str = "constant"

    @property
    def name(self) -> str:
        """The server in words."""
        spread = f", sigma {self.sigma:g}" if self.sigma else ""
        return f"{self.workers} × {self._answer_s:.3g} s{spread}, {self.arrival}"

    @property
    def _answer_s(self) -> float:
        return (self.ttft_ms + (_TOKENS - 1) * self.itl_ms) / 1000

    @property
    def rate(self) -> float:
        """The planted knee, requests/s. The lognormal spread is around the median."""
        mean = 2.718281828459045 ** (self.sigma**2 / 2)
        return self.workers / (self._answer_s * mean)


SERVERS = (
    Planted(4, 100, 10),
    Planted(8, 50, 5),
    Planted(16, 200, 20),
    Planted(2, 20, 2),
    Planted(16, 200, 20, sigma=0.3),
    Planted(16, 200, 20, arrival="poisson"),
)


def measure(server: Planted, seconds: float, more: list[str]) -> dict[str, Any]:
    """The sweep of a run against the server, as the report has it."""
    name = "".join(letter for letter in server.name if letter.isalnum())
    arguments = [
        "run", "--yes", f"name={name}", "load=sweep", f"load.arrival={server.arrival}",
        f"load.duration_s={seconds}", "load.warmup_s=2", "provider=emulator", "sweep=none",
        "scoring=none", "params.stream=true", f"provider.emulator.workers={server.workers}",
        f"provider.emulator.ttft_ms={server.ttft_ms}", f"provider.emulator.itl_ms={server.itl_ms}",
        f"provider.emulator.delay_sigma={server.sigma}",
        f"provider.emulator.output_tokens={_TOKENS}", *more,
    ]  # fmt: skip
    shown = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(shown):
        code = evalharness(arguments)
    # 1: a point was invalid, which the sweep says.
    if code not in (0, 1):
        raise SystemExit(f"{server.name}: exit code {code}\n{shown.getvalue()}")
    with contextlib.redirect_stdout(io.StringIO()) as out:
        evalharness(["report", name, "--json"])
    return json.loads(out.getvalue())["load"]["sweeps"][0]


def row(server: Planted, sweep: dict[str, Any]) -> tuple[str, bool]:
    """A line of the table, and whether it holds what is promised."""
    found, points = sweep["knee_rate"], len(sweep["measurements"])
    error = None if found is None else found / server.rate - 1
    flight = sweep["knee_concurrency"]
    low, high = flight["ci95"] or (None, None)
    inside = abs(flight["value"] / server.workers - 1) <= _TOLERANCE
    near = error is not None and abs(error) <= _TOLERANCE
    holds = near and points <= _MOST_POINTS and inside
    cells = [
        server.name, f"{server.rate:.3g}",
        f"{sweep['knee_low'] or 0:g} to {sweep['knee_high'] or 0:g}",
        "–" if found is None else f"{found:.3g}", "–" if error is None else f"{error:+.1%}",
        str(points), str(server.workers),
        f"{flight['value']:.3g} {_interval(low, high)}", "" if holds else "fails",
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |", holds


def _interval(low: float | None, high: float | None) -> str:
    """None where the throughput was the same in every stretch of the point."""
    return "" if low is None or high is None else f"[{low:.3g}, {high:.3g}]"


def main() -> int:
    """Print the table; 1 where a server is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20, help="of each load point")
    options, more = parser.parse_known_args()
    print("| server | planted/s | tried/s | found/s | error | points | workers | in flight | |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|---|")
    all_hold = True
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for server in SERVERS:
            line, holds = row(server, measure(server, options.seconds, more))
            all_hold &= holds
            print(line, flush=True)
    return 0 if all_hold else 1


if __name__ == "__main__":
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")
    sys.exit(main())
