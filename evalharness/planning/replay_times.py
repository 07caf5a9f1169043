"""When the rows of a dataset are due in a replay."""

from __future__ import annotations

import math
from collections.abc import Sequence

from evalharness.errors import ConfigError
from evalharness.records import Prompt, Setting


def check_replay_times(settings: Sequence[Setting], prompts: Sequence[Prompt]) -> None:
    """Check, before anything is sent, that the rows of every replay have their times.

    Raises:
        ConfigError: a row without a time, or rows out of order.
    """
    for column in {s.load["column"] for s in settings if "column" in s.load}:
        replay_times(prompts, column)


def replay_times(prompts: Sequence[Prompt], column: str) -> list[float]:
    """The seconds in a dataset column, from the first row's on.

    Raises:
        ConfigError: a row without a number, or one earlier than the row before.
    """
    times: list[float] = []
    for prompt in prompts:
        if prompt.turn not in (None, 1):
            continue  # sent after the answer to the turn before
        value = prompt.fields.get(column)
        where = prompt.source or f"prompt {prompt.prompt_id}"
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not math.isfinite(value)
        ):
            raise ConfigError(f"{where}: column `{column}` must hold seconds, got {value!r}")
        if times and value < times[-1]:
            raise ConfigError(
                f"{where}: column `{column}` goes back in time ({value} after {times[-1]})",
                hint="sort the rows by that column",
            )
        times.append(float(value))
    return [at - times[0] for at in times]
