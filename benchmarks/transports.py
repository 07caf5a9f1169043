"""What each way to send costs by itself: requests a second, and how late a stream is noted.

    python -m benchmarks.transports [--requests 20000] [--concurrency 64 1000] [--streams 1000]

Nothing of a run is around them: no throttle, no journal, no interpretation. Requests go to nginx
with a canned answer, without and with TLS (handshakes included); streams come from a server that
writes into each chunk when it wrote it. The reason for the default is in
docs/decisions/0012-direct.md.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np

from benchmarks.nginx import canned_server, canned_tls_server
from benchmarks.paced import paced_server
from evalharness.cli.execution.event_loop import run_on_loop
from evalharness.config.models import LimitsConfig
from evalharness.http import Exchange, TlsSettings, open_transport
from evalharness.http.certificates import SYSTEM_TRUST

Kind = Literal["auto", "reqwest", "httpx"]
KINDS: tuple[Kind, ...] = ("auto", "reqwest", "httpx")
GAP_S = 0.02
CHUNKS = 50
_BODY = b'{"model":"m","messages":[{"role":"user","content":"What is the capital of France?"}]%s}'
_HEADERS = {"content-type": "application/json"}
_CONTENT = b'"content":"'


class Sent(NamedTuple):
    """All exchanges of a loop, its seconds, and its processor time in seconds."""

    exchanges: list[Exchange]
    seconds: float
    cpu_s: float


async def send(
    kind: Kind,
    url: str,
    body: bytes,
    requests: int,
    concurrency: int,
    tls: TlsSettings = SYSTEM_TRUST,
) -> Sent:
    """Send the same body so many times, so many at once."""
    turns: Iterator[int] = iter(range(requests))
    seen: list[Exchange] = []

    async with open_transport(kind, LimitsConfig(concurrency=concurrency), tls) as transport:

        async def work() -> None:
            seen.extend([await transport.post(url, _HEADERS, body) for _ in turns])

        began, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(work() for _ in range(concurrency)))
        return Sent(seen, time.perf_counter() - began, time.process_time() - cpu)


def whole(
    kind: Kind,
    base_url: str,
    requests: int,
    concurrency: int,
    tls: TlsSettings = SYSTEM_TRUST,
) -> Sent:
    """Answers that come at once."""
    url = f"{base_url}/chat/completions"
    return _complete(run_on_loop(lambda: send(kind, url, _BODY % b"", requests, concurrency, tls)))


def streamed(
    kind: Kind, requests: int, concurrency: int, chunks: int = CHUNKS
) -> tuple[Sent, list[float]]:
    """Streams; also by how many seconds each chunk was noted later than it was written."""
    with paced_server(gap_s=GAP_S, chunks=chunks) as address:
        url = f"{address}/v1/chat/completions"
        body = _BODY % b',"stream":true'
        sent = _complete(run_on_loop(lambda: send(kind, url, body, requests, concurrency)))
    return sent, [late for exchange in sent.exchanges for late in _lateness(exchange)]


def _complete(sent: Sent) -> Sent:
    failed = [one.failure for one in sent.exchanges if one.failure is not None]
    if failed:
        raise SystemExit(f"{len(failed)} requests failed, the first with {failed[0]}")
    return sent


def _lateness(exchange: Exchange) -> Iterator[float]:
    for chunk, at_ns in zip(exchange.chunks, exchange.times_ns, strict=True):
        start = 0
        while (at := chunk.find(_CONTENT, start)) >= 0:
            start = at + len(_CONTENT)
            written_ns = int(chunk[start:].partition(b" ")[0])
            yield (exchange.sent_at_ns + at_ns - written_ns) / 1e9


def _print_whole(options: argparse.Namespace, base_url: str, tls: TlsSettings, scheme: str) -> None:
    for concurrency in options.concurrency:
        rates: dict[Kind, float] = {}
        for kind in options.kinds:
            # httpx takes milliseconds a request at a thousand connections.
            count = options.requests // (20 if kind == "httpx" else 1)
            sent = whole(kind, base_url, count, concurrency, tls)
            rates[kind] = count / sent.seconds
            print(
                f"{kind}, {scheme}, {concurrency} in flight: {rates[kind]:.0f} requests/s, "
                f"{1e6 * sent.cpu_s / count:.0f} µs of processor each"
            )
        if "auto" in rates and "reqwest" in rates:
            ratio = rates["auto"] / rates["reqwest"]
            print(f"auto to reqwest, {scheme}, {concurrency} in flight: {ratio:.2f}")


def main() -> None:
    """Print a line for each transport and concurrency."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--concurrency", type=int, nargs="+", default=[64, 1000])
    parser.add_argument("--streams", type=int, nargs="*", default=[100, 1000])
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    options = parser.parse_args()
    with canned_server() as base_url:
        _print_whole(options, base_url, SYSTEM_TRUST, "http")
    with canned_tls_server() as server:
        _print_whole(options, server.base_url, TlsSettings(ca_file=server.ca_file), "https")
    for streams in options.streams:
        for kind in options.kinds:
            sent, late = streamed(kind, 5 * streams, streams)
            p50, p99 = (1e3 * np.quantile(late, [0.5, 0.99])).tolist()
            print(
                f"{kind}, {streams} streams: {len(late)} chunks, noted late p50 {p50:.2f} ms, "
                f"p99 {p99:.2f} ms; {1e6 * sent.cpu_s / len(late):.1f} µs of processor a chunk"
            )


if __name__ == "__main__":
    main()
