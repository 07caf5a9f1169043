"""A worker's view of the run: its own journal, and parts that all workers number together.

Parts are in the run folder, which all share, or go to an object store (:mod:`.part_upload`).
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from evalharness.distributed.messages import CoordinatorLostError
from evalharness.distributed.part_upload import PartUpload
from evalharness.distributed.shard_board import Shard
from evalharness.errors import StorageError
from evalharness.store.folder import durable_files
from evalharness.store.folder.lock import take_lock
from evalharness.store.folder.run_folder import Manifest, RunFolder, now_iso
from evalharness.store.folder.writer import RunStore
from evalharness.store.journal.crash_recovery import CrashRecovery
from evalharness.store.journal.journal import Journal
from evalharness.store.journal.journal_format import FILE_NAME
from evalharness.store.parts import seal
from evalharness.store.parts.seal_schedule import SealScheduler
from evalharness.store.parts.setting_columns import SettingColumns

_UNLISTED = "parts"  # beside a journal: the folder of parts that are uploaded, then listed
_CLOSED = "the run ended while records were sealed"


class PartRegistry(Protocol):
    """Where a worker's parts are numbered and listed; raises what the connection raises."""

    async def next_part_number(self) -> int:
        """A number that no other part has."""
        ...

    async def list_parts(self, sealed: seal.SealedParts) -> str | None:
        """Wait until the manifest lists these parts; why it cannot, None when it does."""
        ...

    async def finish_shards(self, shards: list[Shard]) -> None:
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


class SharedSealScheduler(SealScheduler):
    """Seals what one worker has finished, under numbers that the coordinator gives.

    Args:
        folder: the run folder as the worker has it.
        journal: the worker's.
        settings: by setting_id.
        on_failure: called when a seal in the background failed.
        registry: where parts are numbered and listed.
        upload: uploads parts before they are listed; None where they are in the run folder.
    """

    def __init__(
        self,
        folder: RunFolder,
        journal: Journal,
        settings: Mapping[str, SettingColumns],
        on_failure: Callable[[StorageError], None],
        registry: PartRegistry,
        upload: PartUpload | None = None,
    ) -> None:
        super().__init__(folder, journal, settings, on_failure)
        self._registry = registry
        self._upload = upload
        self._loop = asyncio.get_running_loop()
        self._finished_shards: list[Shard] = []
        self._listing_lock = threading.Lock()
        self._listing: Future[str | None] | None = None  # of why parts could not be listed
        self._closed = False

    def finish_shard(self, shard: Shard) -> None:
        """Every trial of a shard has its record; the next seal puts them into a part."""
        self._finished_shards.append(shard)

    async def seal(self) -> None:
        """Seal what is finished; then report which shards are."""
        shards, self._finished_shards = self._finished_shards, []
        await super().seal()
        if shards:
            await self._registry.finish_shards(shards)

    async def seal_now(self) -> None:
        """Wait for a seal that goes on; then seal if a shard is finished and not reported."""
        if self.task is not None:
            await asyncio.shield(self.task)
        if self._finished_shards and self.task is None and not self.stopped:
            await asyncio.shield(self.start_seal())

    async def _part_number(self) -> int:
        return await self._registry.next_part_number()

    def _list(self, sealed: seal.SealedParts) -> None:
        if self._upload is not None:
            self._upload.upload(self._folder.root, sealed.parts)
        with self._listing_lock:
            if self._closed:
                raise StorageError(_CLOSED)
            call = self._registry.list_parts(sealed)
            self._listing = asyncio.run_coroutine_threadsafe(call, self._loop)
        try:
            refusal = self._listing.result()
        except CancelledError:
            raise StorageError(_CLOSED) from None
        if refusal is not None:
            raise StorageError(refusal)
        if self._upload is not None:
            self._upload.remove(self._folder.root, sealed.parts)

    def close(self) -> None:
        """As :meth:`SealScheduler.close`; a seal that waits to be listed is cancelled.

        The answer would come on the event loop, which this call blocks until sealing ends. The
        driver, which recovers the journal, finds the seal begun and repeats it.
        """
        with self._listing_lock:
            self._closed = True
            if self._listing is not None:
                self._listing.cancel()
        super().close()


class ShardStore(RunStore):
    """Records what one worker does.

    Args:
        root: the run folder.
        journal: folder of this worker's journal; it holds none yet.
        settings: by setting_id.
        registry: where parts are numbered and listed.
        upload: uploads parts; None where ``root`` is a folder that all share.

    Attributes:
        coordinator_lost: whether the coordinator cannot be reached any more.
        on_lost: called when that is noticed.
    """

    def __init__(
        self,
        root: Path,
        journal: Path,
        settings: Mapping[str, SettingColumns],
        registry: PartRegistry,
        upload: PartUpload | None = None,
    ) -> None:
        if upload is not None:
            root = journal / _UNLISTED
            for table in ("records", "attempts"):
                durable_files.make_folder(root / table)
        self._set_up(_SharedFolder(root, journal))
        self.coordinator_lost = False
        self.on_lost: Callable[[CoordinatorLostError], None] = lambda _: None
        self.recovery = CrashRecovery()
        try:
            assert not (journal / FILE_NAME).exists()
            self._journal = Journal(journal, on_failure=self._on_disk_failure)
            self._seal_scheduler = self._shared = SharedSealScheduler(
                self.folder, self._journal, settings, self._on_disk_failure, registry, upload
            )
        except BaseException:
            self.close()
            raise

    def finish_shard(self, shard: Shard) -> None:
        """Every trial of a shard has its record (:meth:`SharedSealScheduler.finish_shard`)."""
        self._shared.finish_shard(shard)

    async def seal_now(self) -> None:
        """Seal shards that are finished (see :meth:`SharedSealScheduler.seal_now`)."""
        await self._shared.seal_now()

    async def end(self) -> None:
        """Seal the rest and close; the driver recovers what the journal still holds.

        A failure of the disk is in ``failure`` afterwards.
        """
        try:
            if self.coordinator_lost:  # nobody lists parts any more; the journal has everything
                if self.seal_scheduler.task is not None:
                    await asyncio.wait({self.seal_scheduler.task})
                with suppress(StorageError):
                    await self.journal.flush()
            else:
                await self._seal_rest()
        finally:
            self.close()

    def _on_disk_failure(self, error: StorageError) -> None:
        """A lost coordinator is no failure of the disk: the journal has everything."""
        if isinstance(error, CoordinatorLostError):
            self.coordinator_lost = True
            self.on_lost(error)
        else:
            super()._on_disk_failure(error)
