"""Are the times and rates that a benchmark reports those that the server saw?

    python -m benchmarks.truth [--streams 1000] [--gap 0.2] [--seconds 20] [--rate 2000]

A real ``evalharness run load=closed`` keeps so many streams in flight, over http and over TLS,
against a server that writes into each chunk when it sent it, by this machine's clock. The error of
a time to first token is what the run recorded minus what the server says, counted from the recorded
instant of sending; that of a gap between chunks is the recorded gap minus the server's. Then
``load=constant`` offers a rate of short answers: requests sent in the window over its length, and
what the server counted over the time it saw. Promised: errors within 5 ms (p99), rates within 1 %.
The exit code is 1 where a promise does not hold.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import trustme
from numpy.typing import NDArray

import evalharness as package
from benchmarks.paced import paced_server, stats
from evalharness.cli import main as evalharness

Floats = NDArray[np.float64]
_WITHIN_S, _RATE_SHARE = 0.005, 0.01
_DELAY_S = 0.05


class Errors(NamedTuple):
    """Recorded minus true, in seconds: of times to first token, and of gaps between chunks."""

    ttft_s: Floats
    gap_s: Floats


def run(name: str, address: str, *arguments: str) -> dict[str, Any]:
    """Measure one load point in the current folder; its row."""
    Path("prompts.jsonl").write_text(
        "".join(f'{{"id": "p{n}", "prompt": "Say something about {n}."}}\n' for n in range(50))
    )
    shown = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(shown):
        code = evalharness(
            ["run", "--yes", f"name={name}", "provider=openai_compatible",
             f"provider.base_url={address}/v1", "provider.model=paced", "sweep=none",
             "scoring=none", "dataset.path=prompts.jsonl", *arguments]
        )  # fmt: skip
    # 1: the client was late, which this program is about.
    if code not in (0, 1):
        raise SystemExit(f"{name}: exit code {code}\n{shown.getvalue()}")
    return package.load(f"results/{name}").load().iloc[0].to_dict()


def stream_errors(name: str) -> Errors:
    """Of every measured answer of a run."""
    records = package.load(f"results/{name}").records()
    measured = records[(records["phase"] == "measured") & (records["status"] == "ok")]
    ttft: list[float] = []
    gaps: list[Floats] = []
    for sent, first, times, text in zip(
        measured["sent_at"], measured["ttft_s"], measured["chunk_times_s"], measured["text"],
        strict=True,
    ):  # fmt: skip
        true_ns = np.array(text.split(), np.int64)
        ttft.append(first - (int(true_ns[0]) - sent.value) / 1e9)
        gaps.append(np.diff(np.asarray(times)) - np.diff(true_ns) / 1e9)
    return Errors(np.array(ttft), np.concatenate(gaps))


@contextlib.contextmanager
def certificate() -> Iterator[tuple[str, str]]:
    """A server's certificate with its key, and the file of who signed it."""
    authority = trustme.CA()
    with tempfile.TemporaryDirectory() as folder:
        trusted, own = Path(folder, "ca.pem"), Path(folder, "own.pem")
        authority.cert_pem.write_to_path(trusted)
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(own)
        yield str(own), str(trusted)


def row(what: str, errors: Floats) -> tuple[str, bool]:
    """A line of the table, and whether it holds what is promised."""
    size = np.abs(errors)
    p50, p99 = np.percentile(size, [50, 99])
    holds = bool(p99 <= _WITHIN_S)
    figures = " | ".join(f"{1e3 * value:.3f}" for value in (p50, p99, size.max()))
    return f"| {what} | {len(errors):,} | {figures} | {'' if holds else 'fails'} |", holds


def streams(options: argparse.Namespace, scheme: str) -> bool:
    """Measure streams over http or https; whether the promise holds."""
    chunks = max(2, round(options.length / options.gap))
    load = (
        "load=closed", f"load.concurrency={options.streams}", f"load.duration_s={options.seconds}",
        f"load.warmup_s={options.length * 1.2}", "params.stream=true",
    )  # fmt: skip
    with certificate() as (own, trusted):
        secure = scheme == "https"
        with paced_server(
            gap_s=options.gap, chunks=chunks, certificate=own if secure else ""
        ) as address:
            more = (f"provider.ca_file={trusted}",) if secure else ()
            point = run(scheme, address, *load, *more)
    errors = stream_errors(scheme)
    lines = [
        row(f"TTFT, {options.streams} streams over {scheme}", errors.ttft_s),
        row(f"gap between chunks, {options.streams} streams over {scheme}", errors.gap_s),
    ]
    for line, _ in lines:
        print(line, flush=True)
    print(f"  {point['in_flight_mean']:.0f} in flight, valid: {point['valid']}", flush=True)
    return all(holds for _, holds in lines)


def rate(options: argparse.Namespace) -> bool:
    """Offer a rate; whether what was sent and what the server saw are within 1 %."""
    with paced_server(delay_s=_DELAY_S) as address:
        point = run(
            "rate", address, "load=constant", f"load.rate={options.rate}",
            f"load.duration_s={options.seconds}",
        )  # fmt: skip
        seen = stats(address)
    server = (seen["requests"] - 1) / seen["span_s"]
    sent = point["achieved_rate"]
    holds = True
    for what, value in (("sent in the window", sent), ("seen by the server", server)):
        error = value / options.rate - 1
        good = abs(error) <= _RATE_SHARE
        holds &= good
        print(f"{options.rate:g}/s, {what}: {value:.1f}/s ({error:+.2%}){'' if good else ' fails'}")
    print(f"  valid: {point['valid']} {point['invalid'] or ''}")
    return holds


def main() -> int:
    """Print the figures; 1 where a promise does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--gap", type=float, default=0.2, help="seconds between chunks")
    parser.add_argument("--length", type=float, default=10, help="seconds of a stream")
    parser.add_argument("--seconds", type=float, default=20, help="of each load point")
    parser.add_argument("--rate", type=float, default=2000, help="requests/s")
    options = parser.parse_args()
    print("| error, ms | n | p50 | p99 | largest | |")
    print("|---|---:|---:|---:|---:|---|")
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        held = [streams(options, scheme) for scheme in ("http", "https")]
        held.append(rate(options))
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
