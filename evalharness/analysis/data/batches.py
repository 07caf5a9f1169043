"""Which records of a frame are answers of a batch: nobody knows when each was served."""

from __future__ import annotations

import numpy as np

from evalharness.analysis.data.encode import Bools
from evalharness.analysis.data.frame import RunFrame
from evalharness.pricing.usage_columns import is_in_batch


def in_batch(frame: RunFrame) -> Bools:
    """Where the request was in a batch, one entry a record, in the order of the frame."""
    if "batch_id" not in frame.records.column_names:
        return np.zeros(len(frame.rows), np.bool_)
    blocks = [is_in_batch(block) for block in frame.records.tables(["batch_id"])]
    return np.concatenate(blocks)[frame.rows]
