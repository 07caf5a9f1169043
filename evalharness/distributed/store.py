"""A worker's view of the shared run folder: a journal of its own, parts under everybody's names."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from evalharness.distributed.messages import CoordinatorLostError
from evalharness.distributed.shard_board import Shard
from evalharness.errors import StorageError
from evalharness.store.folder.lock import take_lock
from evalharness.store.folder.run_folder import Manifest, RunFolder, now_iso
from evalharness.store.folder.writer import RunStore
from evalharness.store.journal.crash_recovery import Recovered
from evalharness.store.journal.journal import Journal
from evalharness.store.journal.journal_format import FILE_NAME
from evalharness.store.parts import seal
from evalharness.store.parts.seal_schedule import Sealing

_CLOSED = "the run ended while records were sealed"


class ListParts(Protocol):
    """How a worker has its parts listed; raises what the connection raises."""

    async def part_number(self) -> int:
        """A number that no other part has."""
        ...

    async def sealed(self, sealed: seal.Sealed) -> str | None:
        """Wait until the manifest lists these parts; why it cannot, None when it does."""
        ...

    async def finished(self, shards: list[Shard]) -> None:
        """Every trial of these shards is in a part."""
        ...


class _SharedFolder(RunFolder):
    """The run folder as a worker has it: the lock is its journal's, the manifest the driver's."""

    def __init__(self, root: Path, journal: Path) -> None:
        now = now_iso()
        unused = Manifest(
            code_version="", name=root.name, status="running", created_at=now, updated_at=now
        )
        super().__init__(root, take_lock(journal), unused)
        self._own_journal = journal

    @property
    def journal_folder(self) -> Path:
        return self._own_journal

    def save_manifest(self, **changes: Any) -> None:
        raise AssertionError("only the driver writes run.json")


class SharedSealing(Sealing):
    """Seals what one worker has finished, under numbers that the coordinator gives.

    Args:
        folder: the run folder as the worker has it.
        journal: the worker's.
        providers: by setting_id.
        on_failure: called when a seal in the background failed.
        listing: where parts are numbered and listed.
    """

    def __init__(
        self,
        folder: RunFolder,
        journal: Journal,
        providers: Mapping[str, str],
        on_failure: Callable[[StorageError], None],
        listing: ListParts,
    ) -> None:
        super().__init__(folder, journal, providers, on_failure)
        self._listing = listing
        self._loop = asyncio.get_running_loop()
        self._complete: list[Shard] = []
        self._asking = threading.Lock()
        self._asked: Future[str | None] | None = None  # whether parts are listed
        self._closed = False

    def completed(self, shard: Shard) -> None:
        """Every trial of a shard has its record; the next seal takes them along."""
        self._complete.append(shard)

    async def seal(self) -> None:
        """Seal what is finished; then say which shards are."""
        complete, self._complete = self._complete, []
        await super().seal()
        if complete:
            await self._listing.finished(complete)

    async def seal_now(self) -> None:
        """The same, unless there is nothing to say; after a seal that is going on."""
        if self.task is not None:
            await asyncio.shield(self.task)
        if self._complete and self.task is None and not self.stopped:
            await asyncio.shield(self.begin())

    async def _part_number(self) -> int:
        return await self._listing.part_number()

    def _list(self, sealed: seal.Sealed) -> None:
        with self._asking:
            if self._closed:
                raise StorageError(_CLOSED)
            listing = self._listing.sealed(sealed)
            self._asked = asyncio.run_coroutine_threadsafe(listing, self._loop)
        try:
            refused = self._asked.result()
        except CancelledError:
            raise StorageError(_CLOSED) from None
        if refused is not None:
            raise StorageError(refused)

    def close(self) -> None:
        """As :meth:`Sealing.close`; a seal that waits for its listing is given up.

        Its answer would come on the event loop, which this call holds until sealing ends. Whoever
        takes the journal over finds the seal begun, and repeats it.
        """
        with self._asking:
            self._closed = True
            if self._asked is not None:
                self._asked.cancel()
        super().close()


class ShardStore(RunStore):
    """Records what one worker does.

    Args:
        root: the run folder.
        journal: folder of this worker's journal; it holds none yet.
        providers: by setting_id.
        listing: where parts are numbered and listed.
    """

    def __init__(
        self, root: Path, journal: Path, providers: Mapping[str, str], listing: ListParts
    ) -> None:
        self._begin(_SharedFolder(root, journal))
        self.lost = False
        self.on_lost: Callable[[CoordinatorLostError], None] = lambda _: None
        self.recovered = Recovered()
        try:
            assert not (journal / FILE_NAME).exists()
            self._journal = Journal(journal, on_failure=self._failed)
            self._sealing = self._shared = SharedSealing(
                self.folder, self._journal, providers, self._failed, listing
            )
        except BaseException:
            self.close()
            raise

    def completed(self, shard: Shard) -> None:
        """Every trial of a shard has its record (see :meth:`SharedSealing.completed`)."""
        self._shared.completed(shard)

    async def seal_now(self) -> None:
        """Seal shards that are complete (see :meth:`SharedSealing.seal_now`)."""
        await self._shared.seal_now()

    async def end(self) -> None:
        """Seal the rest and close; what the journal still holds is taken over by the driver.

        A failure of the disk is in ``failure`` afterwards.
        """
        try:
            if self.lost:  # nobody lists parts any more; the journal has everything
                if self.sealing.task is not None:
                    await asyncio.wait({self.sealing.task})
                with suppress(StorageError):
                    await self.journal.flush()
            else:
                await self._seal_rest()
        finally:
            self.close()

    def _failed(self, error: StorageError) -> None:
        """A coordinator that is gone is no failure of the disk: the journal has everything."""
        if isinstance(error, CoordinatorLostError):
            self.lost = True
            self.on_lost(error)
        else:
            super()._failed(error)
