"""What is said of batches that go on: while they are waited for, and when the command ends."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from msgspec import structs

from evalharness.batch.open_batch import BatchWork, OpenBatch
from evalharness.errors import EXIT_INTERRUPTED
from evalharness.process.text import plural
from evalharness.runner.run_summary import StopReason


def describe_wait(batches: Collection[OpenBatch], seconds: float) -> str:
    """What is waited for until the next look, in one line; counts are those of the provider."""
    states = [batch.state for batch in batches]
    done = sum((s.done or 0) + (s.failed or 0) for s in states)
    total = sum(s.requests for s in states)
    due = datetime.now().astimezone() + timedelta(seconds=seconds)
    return (
        f"{plural(len(states), 'batch', 'batches')} at {_names(batches)}: {done}/{total} requests "
        f"done, next look at {due:%H:%M:%S}"
    )


def with_waiting_batches(
    stop: StopReason | None, work: BatchWork, *, cancels: bool
) -> StopReason | None:
    """The end of a command that leaves batches: the run waits, whatever ended the command.

    Args:
        stop: why it ends.
        work: with the batches.
        cancels: it was to cancel them.
    """
    if not any(batch.may_be_sent for batch in work.open):
        return stop
    stop = stop or StopReason("interrupted", EXIT_INTERRUPTED)
    sent = [batch for batch in work.visible if batch.may_be_sent]
    if not sent:  # nobody knows whether the others go on: the reason to stop says what to do
        return structs.replace(stop, status="waiting")
    requests = plural(sum(len(batch.intents) for batch in sent), "request")
    singular = len(sent) == 1
    hint = f"{plural(len(sent), 'batch', 'batches')} with {requests} "
    if cancels:
        hint += (
            f"{'is' if singular else 'are'} not ended yet at {_names(sent)}: with --cancel the "
            "command goes on cancelling, without it the answers are fetched"
        )
    else:
        hint += (
            f"{'goes' if singular else 'go'} on at {_names(sent)}: the same command fetches the "
            "answers, and --cancel cancels"
        )
    both = hint if stop.hint is None else f"{stop.hint}; {hint}"
    return structs.replace(stop, status="waiting", hint=both)


def _names(batches: Collection[OpenBatch]) -> str:
    return "/".join(dict.fromkeys(batch.state.provider for batch in batches))
