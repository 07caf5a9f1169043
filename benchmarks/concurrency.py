"""Is the concurrency asked for really in use, and are chunk times true?

    python -m benchmarks.concurrency [--concurrency 1000] [--seconds 10] [--streams 100 1000]

First, answers after 0.5 s: trials a second against ``concurrency / 0.5 s``, and the mean number of
requests in flight as the *server* counts them (from its first request to its last: after that the
run only drains) against the concurrency. Second, streams of 50 chunks 20 ms apart: each chunk holds
the instant it was written by the server's own clock, and the error is the chunk time recorded by
the client minus that.

A bare pyreqwest loop does the same beside each, at once before it: what that loop cannot keep, the
machine, the server or the transport library cannot. Both parts print what the run itself noted
about its own lateness: with a p99 over 5 ms its report says "client saturated".
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.harness import bare, bare_streams, checked, configuration, durable
from benchmarks.paced import paced_server, stats
from evalharness.cli.execution.event_loop import run_on_loop
from evalharness.cli.execution.prepare import prepare
from evalharness.store.folder.run import Run

DELAY_S = 0.5
GAP_S = 0.02


class Unstreamed(NamedTuple):
    """One run against answers that take ``DELAY_S``."""

    trials: int
    share_of_ideal: float  # trials a second over concurrency / DELAY_S, ramp and drain included
    share_in_flight: float  # mean requests in flight at the server over the concurrency
    bare_in_flight: float  # the same of the bare loop
    session: dict[str, Any]


class Streamed(NamedTuple):
    """One run against streams: seconds a chunk's recorded time is later than it was written."""

    chunks: int
    p50: float
    p99: float
    worst: float
    bare_p99: float
    bare_cpu_us: float  # processor time a chunk of the bare loop
    session: dict[str, Any]


def unstreamed(folder: Path, concurrency: int, trials: int) -> Unstreamed:
    """Run against delayed answers."""
    with paced_server(delay_s=DELAY_S) as address:
        config = configuration(folder, f"{address}/v1", trials, concurrency, name="delayed")
        prepared = prepare([config])
        count = len(prepared.plan)
        run_on_loop(lambda: bare(prepared, f"{address}/v1", concurrency))
        idle = stats(address, reset=True)
        took = run_on_loop(lambda: durable(prepared, folder / "delayed"))
        seen = stats(address)
    checked(folder / "delayed", count)
    return Unstreamed(
        count,
        count / took.recorded_s / (concurrency / DELAY_S),
        (seen["mean_in_flight"] or 0.0) / concurrency,
        (idle["mean_in_flight"] or 0.0) / concurrency,
        Run.open(folder / "delayed").manifest.sessions[-1],
    )


def streamed(folder: Path, concurrency: int, trials: int, chunks: int = 50) -> Streamed:
    """Run against streams and hold every chunk time against the server's clock."""
    with paced_server(gap_s=GAP_S, chunks=chunks) as address:
        config = configuration(
            folder, f"{address}/v1", trials, concurrency,
            name=f"streamed-{concurrency}", params={"stream": True}, keep_chunk_times=True,
        )  # fmt: skip
        prepared = prepare([config])
        bare_errors, cpu_s = run_on_loop(
            lambda: bare_streams(prepared, f"{address}/v1", concurrency)
        )
        run_on_loop(lambda: durable(prepared, folder / config.name))
    checked(folder / config.name, len(prepared.plan))
    run = Run.open(folder / config.name)
    table = run.table("records", ["sent_at", "text", "chunk_times_s"])
    errors: list[float] = []
    sent_ns = table["sent_at"].cast("int64").to_pylist()
    texts, times = table["text"].to_pylist(), table["chunk_times_s"].to_pylist()
    for sent, text, arrivals in zip(sent_ns, texts, times, strict=True):
        written = [int(stamp) for stamp in str(text).split()]
        errors += [at - (ns - sent) / 1e9 for at, ns in zip(arrivals, written, strict=True)]
    p50, p99, worst = np.quantile(errors, [0.5, 0.99, 1.0]).tolist()
    return Streamed(
        len(errors), p50, p99, worst, float(np.quantile(bare_errors, 0.99)),
        1e6 * cpu_s / len(bare_errors), run.manifest.sessions[-1],
    )  # fmt: skip


def lateness(session: dict[str, Any]) -> str:
    """What the run noted about itself, in words."""
    lag, wait = session["loop_lag_s"], session["commit_wait_s"]
    return (
        f"event loop late p99 {1e3 * lag['p99']:.1f} ms, journal wait p50 "
        f"{1e3 * wait['p50']:.1f} ms, p99 {1e3 * wait['p99']:.1f} ms, processor "
        f"{session['cpu_s'] / session['seconds']:.0%} of a core"
    )


def main() -> None:
    """Print one line a part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--concurrency", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--streams", type=int, nargs="*", default=[100, 1000])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, concurrency = Path(name), options.concurrency
        plain = unstreamed(folder, concurrency, int(concurrency * options.seconds / DELAY_S))
        print(
            f"delayed, {concurrency} in flight: {plain.trials} trials, "
            f"{plain.share_of_ideal:.1%} of concurrency/latency, server saw "
            f"{plain.share_in_flight:.1%} of it in use, {plain.bare_in_flight:.1%} by the bare "
            f"loop; {lateness(plain.session)}"
        )
        for streams in options.streams:
            flow = streamed(folder, streams, int(streams * options.seconds))
            print(
                f"streamed, {streams} in flight: {flow.chunks} chunks, chunk time error p50 "
                f"{1e3 * flow.p50:.2f} ms, p99 {1e3 * flow.p99:.2f} ms (bare loop "
                f"{1e3 * flow.bare_p99:.2f} ms, {flow.bare_cpu_us:.0f} µs of processor a chunk), "
                f"most {1e3 * flow.worst:.1f} ms; {lateness(flow.session)}"
            )


if __name__ == "__main__":
    main()
