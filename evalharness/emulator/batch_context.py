"""Which line of a batch is being served: the ledger notes it, the bill is discounted for it.

A line goes through the same endpoints as any other request. They need not know of batches: the
line is a context variable, which holds for the task that serves it and for nothing else.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

import msgspec


class BatchRequest(msgspec.Struct, frozen=True):
    """A line of a batch."""

    batch_id: str
    custom_id: str


_current: ContextVar[BatchRequest | None] = ContextVar("batch request", default=None)


def current_batch_request() -> BatchRequest | None:
    """The line that this task serves; None for a request of its own."""
    return _current.get()


@contextmanager
def serving_batch_request(request: BatchRequest) -> Generator[None]:
    """What is served in the block is this line of a batch."""
    token = _current.set(request)
    try:
        yield
    finally:
        _current.reset(token)
