"""Durable trials a second against a server that answers at once, beside a bare pyreqwest loop.

    python -m benchmarks.throughput [--trials 40000] [--concurrency 64 1000]

Each line is one run of the real command's own parts: journal committed before every request and
after every answer, sealed into Parquet, progress on. The bare loop sends the same bodies over the
same transport library and throws the answers away. Both run in the same minute; the ratio is the
figure to read, the absolute ones belong to the machine.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
from pathlib import Path

from benchmarks.harness import bare, checked, configuration, durable
from benchmarks.nginx import canned_server
from evalharness.commands.eventloop import run_on_loop
from evalharness.commands.run import prepare


def main() -> None:
    """Print one line a concurrency."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=40_000)
    parser.add_argument("--concurrency", type=int, nargs="+", default=[64, 1000])
    options = parser.parse_args()
    with canned_server() as base_url, tempfile.TemporaryDirectory() as folder:
        for concurrency in options.concurrency:
            config = configuration(Path(folder), base_url, options.trials, concurrency)
            prepared = prepare([config])
            trials = len(prepared.plan)
            loop_s = run_on_loop(bare(prepared, base_url, concurrency))
            root = Path(folder) / config.name
            ours_s = run_on_loop(durable(prepared, root))
            checked(root, trials)
            size = sum(p.stat().st_size for p in root.glob("records/*.parquet"))
            rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(
                f"concurrency {concurrency}: {trials / ours_s:.0f} durable trials/s, bare loop "
                f"{trials / loop_s:.0f}/s, ratio {loop_s / ours_s:.2f}; "
                f"{size / trials:.0f} bytes a record, {rss:.0f} MiB at most"
            )


if __name__ == "__main__":
    main()
