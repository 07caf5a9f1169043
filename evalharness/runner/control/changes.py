"""The changes of a run in its manifest: what holds after them, and in words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from evalharness.config.limit_changes import LimitValue, stored_value, value_text
from evalharness.config.models import LimitsConfig
from evalharness.store.folder.control import ControlChange


class ControlState(NamedTuple):
    """What users have changed and not changed back.

    Attributes:
        paused: whether the run is paused.
        values: limits that were set, by key.
    """

    paused: bool
    values: dict[str, LimitValue]


def state_after(changes: Sequence[ControlChange]) -> ControlState:
    """What holds after these changes."""
    paused, values = False, dict[str, LimitValue]()
    for change in changes:
        if change.command == "restart":
            paused, values = False, {}
        elif change.command == "set" and change.key is not None:
            values[change.key] = change.new
        else:
            paused = change.command == "pause"
    return ControlState(paused, values)


def begin_session(
    changes: Sequence[ControlChange], limits: LimitsConfig, who: str
) -> tuple[list[ControlChange], list[str]]:
    """The changes with the start of a session among them, and sentences that tell of it.

    A session starts unpaused, with the limits of its configuration. Where nothing was changed
    before, there is nothing to add.
    """
    state = state_after(changes)
    if not state.paused and not state.values:
        return [*changes], []
    sentences = ["the run was paused; it goes on now"] if state.paused else []
    for key, value in state.values.items():
        own = stored_value(limits, key)
        if own != value:
            sentences.append(
                f"limits.{key}={value_text(value)}, which was set while it ran, held until then; "
                f"now limits.{key}={value_text(own)} of the configuration holds"
            )
    restart = ControlChange(at=now_iso_ms(), who=who, command="restart")
    return [*changes, restart], sentences


def now_iso_ms() -> str:
    """The current instant in UTC, ISO 8601 with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
