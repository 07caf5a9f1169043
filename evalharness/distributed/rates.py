"""What the progress line says of the workers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evalharness.distributed.messages import Counted

# Two messages that come together are no rate.
_LEAST_S = 0.1


class Rates:
    """How many trials a second each worker finishes, as it told last.

    Args:
        now: monotonic seconds.
    """

    def __init__(self, now: float) -> None:
        self._told_at = now
        self._rates: dict[str, float] = {}

    def told(self, counted: Mapping[str, Counted], alive: Sequence[str], now: float) -> str:
        """The workers that live, with what some of them have told since the last call.

        One that has told nothing yet is shown as ``-``.
        """
        seconds = max(_LEAST_S, now - self._told_at)
        self._told_at = now
        self._rates.update((name, one.finished / seconds) for name, one in counted.items())
        shown = (f"{self._rates[name]:.0f}" if name in self._rates else "-" for name in alive)
        noun = "worker" if len(alive) == 1 else "workers"
        return f"{len(alive)} {noun} ({' '.join(shown)} /s)"
