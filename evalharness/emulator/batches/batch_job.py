"""One batch: its lines, what became of each, and how far it is."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from enum import StrEnum

import msgspec

from evalharness.emulator.validation.error_bodies import Headers, Problem


class BatchPhase(StrEnum):
    """How far a batch is; both forms derive their own statuses from it."""

    VALIDATING = "validating"
    RUNNING = "running"
    FINALIZING = "finalizing"
    ENDED = "ended"


class LineFate(StrEnum):
    """What became of a line, in Anthropic's words."""

    SUCCEEDED = "succeeded"
    ERRORED = "errored"
    EXPIRED = "expired"
    CANCELED = "canceled"


class BatchLine(msgspec.Struct, frozen=True):
    """One request of a batch; ``body`` are the very bytes that were sent."""

    custom_id: str
    url: str
    body: bytes


class LineResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a line.

    ``status`` and ``body`` are the endpoint's answer; None where there is none: the line was never
    served, or its answer was broken.
    """

    custom_id: str
    fate: LineFate
    status: int | None = None
    body: bytes | None = None


class BatchInputFault(msgspec.Struct, frozen=True):
    """Why an input file is refused; ``line`` counts from 1, None is the file as a whole."""

    code: str
    message: str
    param: str | None = None
    line: int | None = None


class BatchInputError(Exception):
    """An input file that cannot be run."""

    def __init__(self, faults: list[BatchInputFault]) -> None:
        super().__init__(faults[0].message)
        self.faults = faults


class BatchJob:
    """A batch while it runs and after.

    Attributes:
        read_lines: gives the lines; raises :class:`BatchInputError` where they are not valid.
        headers: what the endpoints need of the create call's headers, the key above all.
        error_body: a refusal in the words of the batch's protocol.
        moments: when each phase began, and when canceling did, in nanoseconds since 1970.
        written: the lines of the output, once the batch has ended: in the order in which they are
            written, some twice or under an unknown id if the options say so.
        enqueued_tokens: tokens of the prompts, by their size.
    """

    def __init__(
        self,
        object_id: str,
        account: str,
        ordinal: int,
        headers: Headers,
        read_lines: Callable[[], list[BatchLine]],
        error_body: Callable[[Problem], bytes],
    ) -> None:
        self.object_id = object_id
        self.account = account
        self.ordinal = ordinal
        self.headers = headers
        self.read_lines = read_lines
        self.error_body = error_body
        self.phase = BatchPhase.VALIDATING
        self.moments: dict[str, int] = {"created": time.time_ns()}
        self.lines: list[BatchLine] = []
        self.results: list[LineResult] = []
        self.written: list[LineResult] = []
        self.faults: list[BatchInputFault] = []
        self.enqueued_tokens = 0
        self.when_ended: Callable[[], None] | None = None
        self._cancel = asyncio.Event()

    @property
    def canceling(self) -> bool:
        """Whether somebody asked to cancel it."""
        return self._cancel.is_set()

    @property
    def can_cancel(self) -> bool:
        """Whether canceling still has an effect."""
        return self.phase in (BatchPhase.VALIDATING, BatchPhase.RUNNING)

    def cancel(self) -> None:
        """Serve no further line; those that were served keep their answers."""
        if not self.canceling:
            self.moments["cancel"] = time.time_ns()
            self._cancel.set()

    def enter(self, phase: BatchPhase) -> None:
        """Begin a phase."""
        if phase is BatchPhase.ENDED and self.when_ended is not None:
            self.when_ended()
        self.phase = phase
        self.moments[phase.value] = time.time_ns()

    def counts(self) -> Counter[LineFate]:
        """How many lines came to each end so far."""
        return Counter(result.fate for result in self.results)

    async def wait_until(self, due: float) -> bool:
        """Wait until the loop's clock says ``due``; True as soon as the batch is canceled."""
        try:
            async with asyncio.timeout_at(due):
                await self._cancel.wait()
        except TimeoutError:
            return False
        return True
