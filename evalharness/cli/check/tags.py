"""The records of a run whose prompts have a tag."""

from __future__ import annotations

from typing import Any

import numpy as np
from msgspec import structs

from evalharness.analysis.data.frame import RunFrame
from evalharness.errors import ConfigError
from evalharness.process.text import closest, did_you_mean, first_names
from evalharness.report.build.open_run import RunData


def tagged_frame(source: RunData, tag: str) -> RunFrame:
    """The frame of a run with the records of tagged prompts alone.

    Raises:
        ConfigError: no prompt has the tag.
    """
    rows: list[dict[str, Any]] = source.prompts.select(["prompt_id", "tags"]).to_pylist()
    chosen = {row["prompt_id"] for row in rows if tag in (row["tags"] or ())}
    frame = source.frame
    if not chosen:
        known = sorted({name for row in rows for name in row["tags"] or ()})
        close = closest(tag, known)
        hint = did_you_mean(close) if close else f"the prompts have: {first_names(known)}"
        raise ConfigError(f"--tag {tag}: no prompt of the run has this tag", hint=hint)
    is_chosen = np.array([prompt in chosen for prompt in frame.prompt_ids], np.bool_)
    keep = is_chosen[frame.prompt]
    cells = np.tile(is_chosen, len(frame.setting_ids))
    return structs.replace(
        frame,
        rows=frame.rows[keep],
        setting=frame.setting[keep],
        prompt=frame.prompt[keep],
        repeat=frame.repeat[keep],
        status=frame.status[keep],
        output=frame.output[keep],
        answer=None if frame.answer is None else frame.answer[keep],
        scores={name: values[keep] for name, values in frame.scores.items()},
        cost_usd=None if frame.cost_usd is None else frame.cost_usd[keep],
        has_target=frame.has_target & is_chosen,
        request_cells={
            name: (np.where(cells, means, np.nan), np.where(cells, counts, 0))
            for name, (means, counts) in frame.request_cells.items()
        },
        rates={},  # of a load point as a whole
    )
