"""Is the concurrency asked for really in use, and are chunk times true?

    python -m benchmarks.concurrency [--concurrency 1000] [--seconds 10]

First, answers after 0.5 s: trials a second against ``concurrency / 0.5 s``, and the mean number of
requests in flight as the *server* counts them (from its first request to its last: after that the
run only drains) against the concurrency. Second, streams of 50 chunks 20 ms apart: each chunk holds
the instant it was written by the server's own clock, and the error is the chunk time recorded by
the client minus that. Both print what the run itself noted about its own lateness; where the
machine is too slow for the load the report of such a run says "client saturated".
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.harness import checked, configuration, durable
from benchmarks.paced import paced_server, stats
from evalharness.commands.eventloop import run_on_loop
from evalharness.commands.run import prepare
from evalharness.store.run import Run

DELAY_S = 0.5
GAP_S = 0.02


class Unstreamed(NamedTuple):
    """One run against answers that take ``DELAY_S``."""

    trials: int
    share_of_ideal: float  # trials a second over concurrency / DELAY_S, ramp and drain included
    share_in_flight: float  # mean requests in flight at the server over the concurrency
    session: dict[str, Any]


class Streamed(NamedTuple):
    """One run against streams: seconds a chunk's recorded time is later than it was written."""

    chunks: int
    p50: float
    p99: float
    worst: float
    session: dict[str, Any]


def unstreamed(folder: Path, concurrency: int, trials: int) -> Unstreamed:
    """Run against delayed answers."""
    with paced_server(delay_s=DELAY_S) as address:
        config = configuration(folder, f"{address}/v1", trials, concurrency, name="delayed")
        prepared = prepare([config])
        count = len(prepared.plan)
        took = run_on_loop(durable(prepared, folder / "delayed"))
        seen = stats(address)
    checked(folder / "delayed", count)
    return Unstreamed(
        count,
        count / took.recorded_s / (concurrency / DELAY_S),
        (seen["mean_in_flight"] or 0.0) / concurrency,
        Run.open(folder / "delayed").manifest.sessions[-1],
    )


def streamed(folder: Path, concurrency: int, trials: int, chunks: int = 50) -> Streamed:
    """Run against streams and hold every chunk time against the server's clock."""
    with paced_server(gap_s=GAP_S, chunks=chunks) as address:
        config = configuration(
            folder, f"{address}/v1", trials, concurrency,
            name="streamed", params={"stream": True}, keep_chunk_times=True,
        )  # fmt: skip
        prepared = prepare([config])
        run_on_loop(durable(prepared, folder / "streamed"))
    checked(folder / "streamed", len(prepared.plan))
    run = Run.open(folder / "streamed")
    table = run.table("records", ["sent_at", "text", "chunk_times_s"])
    errors: list[float] = []
    sent_ns = table["sent_at"].cast("int64").to_pylist()
    texts, times = table["text"].to_pylist(), table["chunk_times_s"].to_pylist()
    for sent, text, arrivals in zip(sent_ns, texts, times, strict=True):
        written = [int(stamp) for stamp in str(text).split()]
        errors += [at - (ns - sent) / 1e9 for at, ns in zip(arrivals, written, strict=True)]
    p50, p99, worst = np.quantile(errors, [0.5, 0.99, 1.0]).tolist()
    return Streamed(len(errors), p50, p99, worst, run.manifest.sessions[-1])


def lateness(session: dict[str, Any]) -> str:
    """What the run noted about itself, in words."""
    lag, wait = session["loop_lag_s"], session["commit_wait_s"]
    return (
        f"event loop late p99 {1e3 * lag['p99']:.1f} ms, journal wait p50 "
        f"{1e3 * wait['p50']:.1f} ms, p99 {1e3 * wait['p99']:.1f} ms"
    )


def main() -> None:
    """Print one line a part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--concurrency", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, concurrency = Path(name), options.concurrency
        plain = unstreamed(folder, concurrency, int(concurrency * options.seconds / DELAY_S))
        print(
            f"delayed, {concurrency} in flight: {plain.trials} trials, "
            f"{plain.share_of_ideal:.1%} of concurrency/latency, server saw "
            f"{plain.share_in_flight:.1%} of it in use; {lateness(plain.session)}"
        )
        flow = streamed(folder, concurrency, int(concurrency * options.seconds))
        print(
            f"streamed, {concurrency} in flight: {flow.chunks} chunks, chunk time error p50 "
            f"{1e3 * flow.p50:.2f} ms, p99 {1e3 * flow.p99:.2f} ms, most {1e3 * flow.worst:.1f} "
            f"ms; {lateness(flow.session)}"
        )


if __name__ == "__main__":
    main()
