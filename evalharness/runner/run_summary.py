"""Why a run ended, and what it did."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal

import msgspec

from evalharness.errors import EXIT_FAILED, EXIT_OK, EXIT_STORAGE, EvalharnessError
from evalharness.records import Intent, Outcome, Reply, Status


class StopReason(msgspec.Struct, frozen=True):
    """A decision to start nothing new.

    ``reason`` is a sentence for people; ``exit_code`` is the command's; ``status`` goes into the
    manifest (``interrupted`` or ``stopped``); ``hint`` is what to do next, if there is something.
    """

    reason: str
    exit_code: int
    status: str = "stopped"
    hint: str | None = None

    @classmethod
    def from_error(cls, error: EvalharnessError) -> StopReason:
        """The stop that an error causes."""
        return cls(error.message, error.exit_code, hint=error.hint)


@dataclass
class RunSummary:
    """What one session of a run did; counts of this session only, unless said otherwise.

    ``billed_usd`` is None until some response states a price. ``in_doubt`` lists attempts that may
    have been billed without an answer, of this session and found at its start. ``unsaved`` counts
    answers that arrived and that a failing disk did not take: their attempts are in doubt, too.
    ``sent`` counts attempts that were sent (all but those known not to be), ``retried`` those
    of them whose trial had sent one before; ``waiting`` are in batches at the provider, and in
    neither. ``invalid_points`` counts load points that did not
    produce the load that was configured.
    """

    planned: int = 0
    already_recorded: int = 0
    recorded: int = 0
    sent: int = 0
    retried: int = 0
    waiting: int = 0
    by_status: Counter[str] = field(default_factory=Counter[str])
    prompt_tokens: int = 0
    completion_tokens: int = 0
    billed_usd: Decimal | None = None
    in_doubt: list[Intent] = field(default_factory=list[Intent])
    quarantined: int = 0
    unsaved: int = 0
    invalid_points: int = 0
    stop: StopReason | None = None
    seconds: float = 0.0
    cpu_s: float = 0.0

    def set_stop(self, decision: StopReason) -> None:
        """Note why the run stops. The first decision stays, unless local storage fails."""
        if self.stop is None or decision.exit_code == EXIT_STORAGE:
            self.stop = decision

    def count(self, reply: Reply) -> None:
        """Add a trial's final reply."""
        self.recorded += 1
        self.by_status[reply.status.value] += 1

    def count_attempt(self, outcome: Outcome, sent_before: int) -> int:
        """Add an attempt of a trial that had sent ``sent_before``; how many it has sent now."""
        if outcome is Outcome.NOT_SENT:
            return sent_before
        self.sent += 1
        self.retried += sent_before > 0
        return sent_before + 1

    def count_usage(self, reply: Reply) -> None:
        """Add what an attempt, final or not, used and was billed."""
        self.prompt_tokens += reply.usage.prompt_tokens or 0
        self.completion_tokens += reply.usage.completion_tokens or 0
        if reply.billed_usd is not None:
            self.billed_usd = (self.billed_usd or Decimal(0)) + reply.billed_usd

    @property
    def remaining(self) -> int:
        """Trials of the plan that still have no record."""
        return self.planned - self.already_recorded - self.recorded

    @property
    def failed(self) -> int:
        """Trials recorded as an error in this session."""
        return self.by_status[Status.ERROR.value]

    @property
    def exit_code(self) -> int:
        """The command's exit code by the table in :mod:`evalharness.errors`."""
        drained_all = self.stop is not None and self.stop.status == "interrupted"
        if self.stop is not None and (self.remaining or not drained_all):
            return self.stop.exit_code
        missed = self.failed or self.remaining or self.invalid_points
        return EXIT_FAILED if missed else EXIT_OK
