"""When a run was paused by its user: that time is nobody's waiting in our queue."""

from __future__ import annotations


class PauseTimes:
    """Pauses of a session, by the clock of its records (nanoseconds since the Unix epoch)."""

    def __init__(self) -> None:
        self._ended: list[tuple[int, int]] = []
        self.since_ns: int | None = None
        """Since when it is paused; None where it is not."""

    def begin(self, now_ns: int) -> None:
        """A pause begins; one that holds goes on."""
        if self.since_ns is None:
            self.since_ns = now_ns

    def end(self, now_ns: int) -> None:
        """The pause is over; nothing changes where there is none."""
        if self.since_ns is not None:
            self._ended.append((self.since_ns, now_ns))
            self.since_ns = None

    def overlap_ns(self, start_ns: int, end_ns: int) -> int:
        """How much of the time from ``start_ns`` to ``end_ns`` was paused, in nanoseconds."""
        if self.since_ns is None and not self._ended:
            return 0
        pauses = [*self._ended]
        if self.since_ns is not None:
            pauses.append((self.since_ns, end_ns))
        return sum(
            max(0, min(end_ns, end) - max(start_ns, begin))
            for begin, end in pauses
            if end > start_ns
        )
