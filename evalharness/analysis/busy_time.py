"""Rates and requests in flight over the time in which there were requests at all."""

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np

from evalharness.analysis.data.encode import Floats
from evalharness.analysis.load.summary import STRETCHES

_LEAST_S = 1e-9  # instants are recorded in nanoseconds: less is no time


class BusyTime(NamedTuple):
    """Periods that follow each other, taken as one time without the gaps between them.

    Attributes:
        begin, end: of the periods, ascending, seconds since some origin.
    """

    begin: Floats
    end: Floats

    @classmethod
    def of(cls, sent: Floats, end: Floats) -> Self:
        """The time in which some request was in flight; those never sent do not count."""
        known = ~np.isnan(sent)
        order = np.argsort(sent[known], kind="stable")
        sent, end = sent[known][order], end[known][order]
        if not len(sent):
            return cls(sent, end)
        latest = np.maximum.accumulate(end)
        first = np.r_[True, sent[1:] > latest[:-1]]
        last = np.r_[np.flatnonzero(first)[1:] - 1, len(sent) - 1]
        return cls(sent[first], latest[last])

    @classmethod
    def within(cls, begin: float, end: float) -> Self:
        """One period."""
        return cls(np.array([begin]), np.array([end]))

    @property
    def seconds(self) -> float:
        """How long it is."""
        return float((self.end - self.begin).sum())

    def in_flight(self, sent: Floats, end: Floats) -> Floats | None:
        """Mean of the requests in flight in each of 20 equal stretches; None where no time is."""
        if self.seconds < _LEAST_S:
            return None
        known = ~np.isnan(sent)
        first, last = self._place(sent[known]), self._place(end[known])
        edges = np.linspace(0.0, self.seconds, STRETCHES + 1)
        spent = np.array([np.clip(edge - first, 0.0, last - first).sum() for edge in edges])
        return np.diff(spent) / (self.seconds / STRETCHES)

    def rates(self, at: Floats, amounts: Floats) -> Floats | None:
        """An amount per second in each of 20 equal stretches; None where no time is, or unknown.

        Args:
            at: when each answer was complete; those outside are left out.
            amounts: what each counts; NaN is unknown.
        """
        inside = (at >= self.begin.min(initial=np.inf)) & (at <= self.end.max(initial=-np.inf))
        if self.seconds < _LEAST_S or np.isnan(amounts[inside]).any():
            return None
        width = self.seconds / STRETCHES
        stretch = np.minimum((self._place(at[inside]) / width).astype(np.int64), STRETCHES - 1)
        return np.bincount(stretch, amounts[inside], minlength=STRETCHES) / width

    def _place(self, moments: Floats) -> Floats:
        """Seconds of it that have passed at each moment."""
        lengths = np.cumsum(self.end - self.begin)
        passed = np.column_stack([lengths - (self.end - self.begin), lengths]).ravel()
        return np.interp(moments, np.column_stack([self.begin, self.end]).ravel(), passed)
