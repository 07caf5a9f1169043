"""The load mode against servers whose times are known: is what it measures what was set?

    python benchmarks/load.py [--rate 20] [--requests 200]

For each case the emulator is set to a time to the first token and between tokens; the medians that
the real command measures, over real sockets, must be within 5 % + 2 ms of them, with the client
free and with a queue in front of the server (one place in flight), where the times from the
schedule must show the queue and those from sending must not. A busy machine adds its own delays:
the schedule delay and the lag of the event loop are printed beside every figure, and whether the
measurement counts. Exit 1 when a median of a valid measurement is off.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from evalharness.cli import main as command

CASES = ((20, 0), (50, 10), (200, 5), (200, 20))  # ttft_ms, itl_ms
TOKENS = 16
SHARE, MARGIN_S = 0.05, 0.002


def measure(name: str, *arguments: str) -> dict[str, Any]:
    """Run one load point in the current folder; its facts."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = command(
            ["run", f"name={name}", "provider=emulator", "sweep=none", "scoring=none",
             f"provider.emulator.output_tokens={TOKENS}", "params.stream=true", *arguments]
        )  # fmt: skip
    if code not in (0, 1):
        raise SystemExit(err.getvalue())
    data = json.loads(Path("results", name, "summary.json").read_text())
    return data["load"]["points"][0]


def off(measured: float, wanted: float) -> bool:
    return abs(measured - wanted) > SHARE * wanted + MARGIN_S


def line(what: str, point: dict[str, Any], wanted: dict[str, float]) -> bool:
    """Print a case; whether a median of a valid measurement is off."""
    found = {
        "ttft": point["ttft_s"]["sent"]["p50"],
        "tpot": point["tpot_s"]["p50"],
        "latency": point["latency_s"]["sent"]["p50"],
    }
    wrong = [name for name, value in wanted.items() if off(found[name], value)]
    shown = ", ".join(
        f"{name} {1e3 * found[name]:.1f} ms (set {1e3 * wanted[name]:.1f})" for name in wanted
    )
    delay, lag = point["schedule_delay_s"], point["client_lag_s"]
    print(
        f"{what}: {shown}; sent {1e3 * (delay['p99'] or delay['max']):.1f} ms late (p99), event "
        f"loop {1e3 * lag['p99']:.1f} ms, {'valid' if point['valid'] else 'INVALID'}"
        + (f" OFF: {', '.join(wrong)}" if wrong else "")
    )
    return bool(wrong) and point["valid"]


def main() -> None:
    """Print one line a case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=20.0)
    parser.add_argument("--requests", type=int, default=200)
    options = parser.parse_args()
    failed = False
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs")
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for ttft, itl in CASES:
            server = (f"provider.emulator.ttft_ms={ttft}", f"provider.emulator.itl_ms={itl}")
            wanted = {
                "ttft": ttft / 1e3,
                "tpot": itl / 1e3,
                "latency": (ttft + (TOKENS - 1) * itl) / 1e3,
            }
            load = (f"load.rate={options.rate}", f"load.requests={options.requests}")
            point = measure(f"free-{ttft}-{itl}", "load=poisson", *load, *server)
            failed |= line(f"poisson {options.rate:g}/s, {ttft}/{itl} ms", point, wanted)
        rate = 1.5 / wanted["latency"]
        point = measure(
            "queued", "load=constant", f"load.rate={rate}", "load.requests=40",
            "load.concurrency=1", *server,
        )  # fmt: skip
        failed |= line(f"one place, {rate:.1f}/s", point, wanted)
        sent, due = point["latency_s"]["sent"]["p95"], point["latency_s"]["scheduled"]["p95"]
        # The i-th of 40 waits i · (latency − 1/rate).
        queue = 0.95 * 39 * (wanted["latency"] - 1 / rate)
        print(
            f"  p95 from sending {sent:.2f} s, from schedule {due:.2f} s "
            f"(the queue alone: {queue:.2f} s); marked {'valid' if point['valid'] else 'invalid'}"
        )
        failed |= due < 0.9 * (queue + wanted["latency"]) or sent > 1.5 * wanted["latency"]
        failed |= point["valid"]
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
