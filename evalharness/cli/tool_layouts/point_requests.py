"""The measured requests of a load point, as arrays that all layouts are computed from."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from evalharness.analysis.data import encode
from evalharness.analysis.data.encode import Floats
from evalharness.records import Phase, Status
from evalharness.report.build.load_data import LoadPoint

COLUMNS = (
    "measurement", "phase", "status", "sent_at", "ttft_s", "ttfo_s", "last_content_s", "latency_s",
    "chunk_times_s", "prompt_tokens", "completion_tokens", "reasoning_tokens", "text",
    "error_message",
)  # fmt: skip


class PointRequests(NamedTuple):
    """What every measured request of a load point came to, in the order of sending.

    Times are seconds from sending, NaN where unknown, as are tokens; ``is_answered`` says which
    requests have an answer, the others failed. ``sent_s`` is in seconds since the epoch.
    """

    point: LoadPoint
    is_answered: list[bool]
    sent_s: Floats
    ttft_s: Floats
    ttfo_s: Floats
    last_content_s: Floats
    latency_s: Floats
    chunks: list[Floats]
    prompt_tokens: Floats
    output_tokens: Floats
    reasoning_tokens: Floats
    texts: list[str | None]
    errors: list[str | None]

    def answered(self, values: Floats) -> Floats:
        """The values of the requests that have an answer."""
        return values[np.array(self.is_answered, np.bool_)]

    @property
    def failed(self) -> int:
        """How many requests failed."""
        return len(self.is_answered) - sum(self.is_answered)

    @property
    def tpot_s(self) -> Floats:
        """(last content - first token) / (tokens - 1) of each answer of several tokens."""
        tokens = self.answered(self.output_tokens)
        span = self.answered(self.last_content_s) - self.answered(self.ttft_s)
        several = tokens > 1
        return span[several] / (tokens[several] - 1)

    @property
    def gaps_s(self) -> Floats:
        """Gaps between content chunks of the answers, pooled."""
        gaps = [np.diff(c) for c, ok in zip(self.chunks, self.is_answered, strict=True) if ok]
        return np.concatenate(gaps) if gaps else np.zeros(0)

    @property
    def span_s(self) -> float | None:
        """From the first request being sent to the last answer's last content; None without any."""
        ends = self.answered(self.sent_s + self.last_content_s)
        return float(np.nanmax(ends) - np.nanmin(self.sent_s)) if len(ends) else None


def point_requests(point: LoadPoint, records: pa.Table) -> PointRequests:
    """The measured requests of a point.

    Args:
        point: the load point.
        records: with :data:`COLUMNS`, of this measurement or more.
    """
    numbers, phases = records["measurement"].to_pylist(), records["phase"].to_pylist()
    keep = [
        n == point.measurement and phase == Phase.MEASURED.value
        for n, phase in zip(numbers, phases, strict=True)
    ]
    rows = records.filter(np.array(keep, np.bool_))
    rows = rows.take(np.argsort(encode.to_floats(rows["sent_at"]), kind="stable"))

    def floats(name: str) -> Floats:
        return encode.to_floats(rows[name])

    chunks: list[list[float] | None] = rows["chunk_times_s"].to_pylist()
    return PointRequests(
        point=point,
        is_answered=[status != Status.ERROR.value for status in rows["status"].to_pylist()],
        sent_s=floats("sent_at"),
        ttft_s=floats("ttft_s"),
        ttfo_s=floats("ttfo_s"),
        last_content_s=floats("last_content_s"),
        latency_s=floats("latency_s"),
        chunks=[np.array(times or [], np.float64) for times in chunks],
        prompt_tokens=floats("prompt_tokens"),
        output_tokens=floats("completion_tokens"),
        reasoning_tokens=floats("reasoning_tokens"),
        texts=rows["text"].to_pylist(),
        errors=rows["error_message"].to_pylist(),
    )


def number(value: float) -> float | None:
    """A number for JSON; None where it is unknown."""
    return None if np.isnan(value) else float(value)


def total(values: Floats) -> float | None:
    """The sum; None where a value is unknown, or there is none."""
    return None if not len(values) or np.isnan(values).any() else float(values.sum())


def per_second(amount: float | None, seconds: float | None) -> float | None:
    """A rate; None where either is unknown."""
    return None if amount is None or not seconds else amount / seconds
