"""What ``--cancel`` does: every batch is asked to end, and how many were is said at the end."""

from __future__ import annotations

from evalharness.batch.client import CallFailedError
from evalharness.batch.open_batch import OpenBatch
from evalharness.errors import EXIT_OK
from evalharness.process.text import plural
from evalharness.runner.run_summary import StopReason


class BatchCanceller:
    """Asks for batches to be cancelled, each until the provider has said that it will."""

    def __init__(self) -> None:
        self._cancelled: set[str] = set()
        self._unseen: set[str] = set()

    async def ask(self, batch: OpenBatch) -> CallFailedError | None:
        """Ask for a batch to be cancelled, unless that was done; why the provider refuses.

        Raises:
            NoAnswerYetError: it did not answer: ask again later.
        """
        state = batch.state
        if state.batch_id is None or state.name in self._cancelled:
            return None
        try:
            await batch.client.cancel(state.batch_id)
        except CallFailedError as error:
            return error
        self.count(batch)
        return None

    def count(self, batch: OpenBatch) -> None:
        """Count a batch that will not be served."""
        self._cancelled.add(batch.state.name)

    def count_unseen(self, batch: OpenBatch) -> None:
        """Count a batch that is given up, because nobody can see what becomes of it."""
        self._unseen.add(batch.state.name)

    def stop_reason(self) -> StopReason:
        """The end of a command that has cancelled what there was."""
        unseen = len(self._unseen)
        cancelled = len(self._cancelled - self._unseen)
        if not unseen and not cancelled:
            text = "no batch of this run was under way"
        else:
            text = f"{plural(cancelled, 'batch', 'batches')} of this run cancelled"
            text += f", {unseen} that cannot be seen given up" if unseen else ""
            text += ", as --cancel asks"
        return StopReason(text, EXIT_OK, status="interrupted")
