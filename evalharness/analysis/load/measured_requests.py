"""The measured requests of a load point by prompt: whether each met the SLO, and its gaps.

The load section counts requests of a point; a comparison pairs prompts, so that it needs the same
figures in each cell (a prompt under a setting).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from evalharness.analysis import stats
from evalharness.analysis.data import encode, json_values
from evalharness.analysis.data.encode import Bools, Floats, Ints
from evalharness.analysis.data.frame import RunFrame
from evalharness.analysis.load.load_metrics import DeliveredRequests
from evalharness.analysis.load.summary import STRETCHES, DependentGroups

if TYPE_CHECKING:
    import pyarrow as pa


class MeasuredRequests(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """The measured requests that came to an end, delivered ones first, one entry each.

    Attributes:
        setting_ids, prompt_ids: of each.
        units: the cluster of its prompt, or the prompt itself where it has none.
        sent_s: when it was sent, seconds from the anchor; NaN unknown.
        good: 1 where it met every limit of the SLO, 0 where not, as an error never does; None
            without an SLO.
        itl_s: mean gap between its content chunks, seconds; NaN without two chunks.
    """

    setting_ids: list[str]
    prompt_ids: list[str]
    units: list[str]
    sent_s: Floats
    good: Floats | None
    itl_s: Floats


def measured_requests(
    delivered: pa.Table,
    failed: pa.Table,
    requests: DeliveredRequests,
    met: Bools | None,
    anchor_s: float,
    clusters: Mapping[str, str] = MappingProxyType({}),
) -> MeasuredRequests:
    """Put delivered and failed records of the measured phase together.

    Args:
        delivered, failed: the records; ``requests`` and ``met`` are of the delivered ones.
        requests: their metrics.
        met: which met every limit of the SLO; None without one.
        anchor_s: the schedule's zero, seconds since the epoch.
        clusters: of prompts that have one, by their ids.
    """

    def texts(name: str) -> list[Any]:
        return [*delivered[name].to_pylist(), *failed[name].to_pylist()]

    errors = len(failed)
    good = None if met is None else np.concatenate([met.astype(np.float64), np.zeros(errors)])
    gaps = [np.diff(chunks) for chunks in requests.chunks]
    itl = [float(gap.mean()) if gap.size else np.nan for gap in gaps]
    prompt_ids = texts("prompt_id")
    return MeasuredRequests(
        setting_ids=texts("setting_id"),
        prompt_ids=prompt_ids,
        units=[clusters.get(prompt, prompt) for prompt in prompt_ids],
        sent_s=np.concatenate([requests.sent_s, encode.to_floats(failed["sent_at"]) - anchor_s]),
        good=good,
        itl_s=np.concatenate([np.array(itl, np.float64), np.full(errors, np.nan)]),
    )


def goodput_interval(requests: MeasuredRequests) -> list[float] | None:
    """The 95 % interval of the share that met the SLO; None where it is undefined.

    The prompt (or its cluster) or the stretch of time is the independent unit, whichever gives the
    wider interval.
    """
    if requests.good is None or not len(requests.good):
        return None
    sent = np.nan_to_num(requests.sent_s)
    _, prompts = np.unique(requests.units, return_inverse=True)
    return share_interval(requests.good, DependentGroups.of(sent, prompts))


def share_interval(flags: Floats | Bools, groups: DependentGroups) -> list[float] | None:
    """The 95 % interval of the share of requests with a flag; None where it is undefined.

    The prompt or the stretch of time is the independent unit, whichever gives the wider interval.
    """
    if not len(flags):
        return None
    intervals: list[list[float]] = []
    for codes in (groups.time, groups.prompt):
        assert codes is not None
        sizes = np.bincount(codes).astype(np.float64)
        sums = np.bincount(codes, flags).astype(np.float64)
        ends = stats.ratio_ci(sums[sizes > 0], sizes[sizes > 0], scale="share")
        if ends is not None:
            intervals.append([max(0.0, ends[0]), min(1.0, ends[1])])
    return max(intervals, key=lambda ends: ends[1] - ends[0], default=None)


def rate_stretches(at_s: Floats, amounts: Floats, begin_s: float, end_s: float) -> Floats | None:
    """An amount per second in each of 20 stretches of the window; None without window or answer.

    Args:
        at_s: when each answer was complete, all within the window.
        amounts: what each counts: 1, or its tokens.
        begin_s, end_s: the window, which is cut into stretches of equal length.
    """
    if end_s <= begin_s or not len(at_s):
        return None
    width = (end_s - begin_s) / STRETCHES
    stretch = np.minimum(((at_s - begin_s) / width).astype(np.int64), STRETCHES - 1)
    return np.bincount(stretch, amounts, minlength=STRETCHES) / width


def rate_interval(stretches: Floats | None) -> list[float] | None:
    """The 95 % interval of a rate over its stretches, taken as independent; None if undefined."""
    return None if stretches is None else json_values.amount_interval(stretches, None)


def request_cells(
    frame: RunFrame, measured: Sequence[MeasuredRequests]
) -> dict[str, tuple[Floats, Ints]]:
    """``goodput`` and ``itl_s`` of each cell of a frame, and of how many requests each is the mean.

    Requests of prompts or settings that the frame has not got are left out.
    """
    settings = {name: index for index, name in enumerate(frame.setting_ids)}
    prompts = {name: index for index, name in enumerate(frame.prompt_ids)}
    cells: dict[str, tuple[Floats, Ints]] = {}
    for metric in ("goodput", "itl_s"):
        total, n = np.zeros(frame.cells), np.zeros(frame.cells, np.int64)
        for requests in measured:
            values = requests.good if metric == "goodput" else requests.itl_s
            if values is None:
                continue
            for s, p, value in zip(
                requests.setting_ids, requests.prompt_ids, values.tolist(), strict=True
            ):
                if s in settings and p in prompts and value == value:
                    cell = settings[s] * len(prompts) + prompts[p]
                    total[cell] += value
                    n[cell] += 1
        if n.any():
            cells[metric] = np.where(n > 0, total / np.maximum(n, 1), np.nan), n
    return cells
