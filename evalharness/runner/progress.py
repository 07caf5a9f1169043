"""Progress for people: a bar on a terminal, plain lines elsewhere. The only user of tqdm."""

from __future__ import annotations

import sys
import time
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol

from evalharness.records import Reply, Status

if TYPE_CHECKING:
    from tqdm import tqdm

_LINE_EVERY_S = 10.0
_WAIT_EVERY_S = 30.0


class Progress(Protocol):
    """What a runner reports while it works."""

    def start(self, *, total: int, done: int, label: str) -> None:
        """``total`` trials are planned and ``done`` of them were recorded before.

        A ``total`` of 0 is not known beforehand.
        """
        ...

    def count_attempt(self, reply: Reply, cost_usd: Decimal | None) -> None:
        """An attempt has ended; ``cost_usd`` is None when its cost is unknown."""
        ...

    def count_trial(self, reply: Reply) -> None:
        """A trial got its record."""
        ...

    def count_worker(
        self, *, finished: int, failed: int, tokens: int, cost_usd: Decimal | None, unknown: int
    ) -> None:
        """Add what a worker in another process did since its last report.

        ``unknown`` counts attempts of unknown cost.
        """
        ...

    def show_workers(self, text: str) -> None:
        """Show a text about the workers beside the counts."""
        ...

    def show_wait(self, reason: str | None, left_s: float | None = None) -> None:
        """Show what is waited for, None for nothing; called about once a second.

        ``left_s`` is the seconds left; None where that is unknown.
        """
        ...

    def set_paused(self, paused: bool) -> None:
        """The user has paused the run, or it goes on: that time is no part of rates."""
        ...

    def print_line(self, text: str) -> None:
        """Print a line without breaking the bar."""
        ...

    def close(self) -> None:
        """Show the final state."""
        ...


class _Counts:
    """The counts that both the bar and the lines show."""

    def __init__(self) -> None:
        self.total = self.done = self.earlier = self.failed = 0
        self.tokens = 0
        self.unknown = 0  # attempts of unknown cost: in doubt, or without a price
        self.cost: Decimal | None = None
        self.reason: str | None = None
        self.workers: str | None = None
        self.began = time.monotonic()
        self.paused_at: float | None = None

    def set_paused(self, paused: bool) -> float:
        """Begin or end a pause; seconds of the pause that has ended."""
        now, before = time.monotonic(), self.paused_at
        self.paused_at = (now if before is None else before) if paused else None
        ended_s = 0.0 if paused or before is None else now - before
        self.began += ended_s
        return ended_s

    def add(self, reply: Reply, cost_usd: Decimal | None) -> None:
        usage = reply.usage
        self.tokens += (usage.prompt_tokens or 0) + (usage.completion_tokens or 0)
        if cost_usd is None:
            self.unknown += 1
        else:
            self.cost = (self.cost or Decimal(0)) + cost_usd

    def finish(self, reply: Reply) -> None:
        self.done += 1
        self.failed += reply.status is Status.ERROR

    def add_worker(
        self, finished: int, failed: int, tokens: int, cost_usd: Decimal | None, unknown: int
    ) -> None:
        self.done += finished
        self.failed += failed
        self.tokens += tokens
        self.unknown += unknown
        if cost_usd is not None:
            self.cost = (self.cost or Decimal(0)) + cost_usd

    @property
    def rate(self) -> float:
        """Trials finished per second of this session."""
        now = time.monotonic() if self.paused_at is None else self.paused_at
        return (self.done - self.earlier) / max(1e-9, now - self.began)

    @property
    def projected(self) -> Decimal | None:
        """Cost of this session if the remaining trials cost what those so far did on average."""
        fresh = self.done - self.earlier
        if self.cost is None or fresh == 0 or not self.total:
            return None
        return self.cost * (self.total - self.earlier) / fresh

    def details(self) -> str:
        parts = [f"ok {self.done - self.earlier - self.failed}", f"failed {self.failed}"]
        parts.append(f"{_short(self.tokens)} tokens")
        if self.cost:
            projected = self.projected
            projected_note = f" of ~{_dollars(projected)}" if projected is not None else ""
            session_note = " this session" if self.earlier else ""
            unknown_note = f" (+ {self.unknown} attempts of unknown cost)" if self.unknown else ""
            parts.append(f"{_dollars(self.cost)}{projected_note}{session_note}{unknown_note}")
        if self.workers:
            parts.append(self.workers)
        if self.reason:
            parts.append(self.reason)
        return ", ".join(parts)


def _dollars(amount: Decimal) -> str:
    """Three significant digits; cents from a dollar on."""
    if amount >= 1:
        return f"${amount:,.2f}"
    return f"${amount:.{2 - amount.adjusted()}f}"


def _with_time(reason: str | None, left_s: float | None) -> str | None:
    return reason if reason is None or left_s is None else f"{reason}, {left_s:.0f} s left"


def _short(number: int) -> str:
    for limit, suffix in ((1_000_000, "M"), (1_000, "k")):
        if number >= limit:
            return f"{number / limit:.1f}{suffix}"
    return str(number)


class BarProgress:
    """A tqdm bar on stderr: done/total, ok/failed, requests/s, tokens, cost, time left."""

    def __init__(self) -> None:
        self._counts = _Counts()
        self._bar: tqdm[Any] | None = None
        self._shown_at = 0.0

    def start(self, *, total: int, done: int, label: str) -> None:
        """Show the bar."""
        if _in_notebook():
            from tqdm.autonotebook import tqdm
        else:
            from tqdm import tqdm

        counts = self._counts
        counts.total, counts.done, counts.earlier = total, done, done
        counts.began = time.monotonic()
        self._bar = tqdm(
            total=total or None, initial=done, desc=label, unit="trial", file=sys.stderr,
            dynamic_ncols=True, smoothing=0.1, mininterval=0.2,
        )  # fmt: skip

    def count_attempt(self, reply: Reply, cost_usd: Decimal | None) -> None:
        """Count tokens and cost."""
        self._counts.add(reply, cost_usd)

    def count_trial(self, reply: Reply) -> None:
        """Advance the bar; the text beside it changes only a few times a second."""
        self._counts.finish(reply)
        if self._bar is None:
            return
        now = time.monotonic()
        if now - self._shown_at > 0.2:
            self._shown_at = now
            self._bar.set_postfix_str(self._counts.details(), refresh=False)
        self._bar.update()

    def count_worker(
        self, *, finished: int, failed: int, tokens: int, cost_usd: Decimal | None, unknown: int
    ) -> None:
        """Advance by what a worker has done."""
        self._counts.add_worker(finished, failed, tokens, cost_usd, unknown)
        if self._bar is not None:
            self._bar.set_postfix_str(self._counts.details(), refresh=False)
            self._bar.update(finished)

    def show_workers(self, text: str) -> None:
        """Show it beside the counts."""
        self._counts.workers = text

    def show_wait(self, reason: str | None, left_s: float | None = None) -> None:
        """Show what is being waited for, counting down."""
        shown = _with_time(reason, left_s)
        if shown == self._counts.reason or self._bar is None:
            return
        self._counts.reason = shown
        self._bar.set_postfix_str(self._counts.details())

    def set_paused(self, paused: bool) -> None:
        """The bar counts no time of the pause."""
        ended_s = self._counts.set_paused(paused)
        if self._bar is not None:
            self._bar.start_t += ended_s
            self._bar.last_print_t += ended_s

    def print_line(self, text: str) -> None:
        """Print above the bar."""
        if self._bar is None:
            print(text, file=sys.stderr, flush=True)
        else:
            self._bar.write(text, file=sys.stderr)

    def close(self) -> None:
        """Leave the finished bar on the screen."""
        if self._bar is not None:
            self._bar.set_postfix_str(self._counts.details(), refresh=False)
            self._bar.close()


class LineProgress:
    """Plain lines on stderr every ten seconds, for logs and pipes."""

    def __init__(self) -> None:
        self._counts = _Counts()
        self._label = ""
        self._printed_at = 0.0
        self._waits_printed: dict[str, float] = {}

    def start(self, *, total: int, done: int, label: str) -> None:
        """Print what begins."""
        counts = self._counts
        counts.total, counts.done, counts.earlier = total, done, done
        counts.began = self._printed_at = time.monotonic()
        self._label = label
        if total:
            self.print_line(
                f"{label}: {total - done} trials to send, {done} of {total} recorded before"
            )

    def count_attempt(self, reply: Reply, cost_usd: Decimal | None) -> None:
        """Count tokens and cost."""
        self._counts.add(reply, cost_usd)

    def count_trial(self, reply: Reply) -> None:
        """Print a line when one is due."""
        self._counts.finish(reply)
        self._print_when_due()

    def _print_when_due(self) -> None:
        now = time.monotonic()
        if now - self._printed_at >= _LINE_EVERY_S:
            self._printed_at = now
            self.print_line(self._line())

    def count_worker(
        self, *, finished: int, failed: int, tokens: int, cost_usd: Decimal | None, unknown: int
    ) -> None:
        """Print a line when one is due."""
        self._counts.add_worker(finished, failed, tokens, cost_usd, unknown)
        self._print_when_due()

    def show_workers(self, text: str) -> None:
        """Show it in the lines that follow."""
        self._counts.workers = text

    def show_wait(self, reason: str | None, left_s: float | None = None) -> None:
        """Print a reason when it is new, and every half minute while it holds."""
        self._counts.reason = _with_time(reason, left_s)
        now = time.monotonic()
        if reason is None or now - self._waits_printed.get(reason, -_WAIT_EVERY_S) < _WAIT_EVERY_S:
            return
        self._waits_printed = {
            r: at for r, at in self._waits_printed.items() if now - at < _WAIT_EVERY_S
        }
        self._waits_printed[reason] = now
        self.print_line(f"{self._label}: {self._counts.reason}")

    def set_paused(self, paused: bool) -> None:
        """The rate counts no time of the pause."""
        self._counts.set_paused(paused)

    def print_line(self, text: str) -> None:
        """Print a line."""
        print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Print the last line, where there was a first."""
        if self._label:
            self.print_line(self._line())

    def _line(self) -> str:
        counts = self._counts
        rate = counts.rate
        seconds_left = (counts.total - counts.done) / rate if rate > 0 else 0.0
        remaining = "" if seconds_left <= 0 else f", about {seconds_left:.0f} s left"
        of_total = f"/{counts.total}" if counts.total else ""
        return (
            f"{self._label}: {counts.done}{of_total} trials, {rate:.1f}/s, "
            f"{counts.details()}{remaining}"
        )


class SilentProgress(LineProgress):
    """Counts and shows nothing, except lines that a person must see."""

    def start(self, *, total: int, done: int, label: str) -> None:
        """Show nothing."""

    def _print_when_due(self) -> None:
        """Show nothing."""

    def show_wait(self, reason: str | None, left_s: float | None = None) -> None:
        """Show nothing."""

    def close(self) -> None:
        """Show nothing."""


def progress_for_terminal() -> Progress:
    """A bar on a terminal and in a notebook, plain lines elsewhere."""
    return BarProgress() if sys.stderr.isatty() or _in_notebook() else LineProgress()


def _in_notebook() -> bool:
    """Whether this is a Jupyter kernel, whose front end shows a bar."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return type(shell).__name__ == "ZMQInteractiveShell"
