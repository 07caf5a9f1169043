"""Schedules the seals of a run: when enough trials are finished, and at the end."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from evalharness.errors import StorageError
from evalharness.store.folder.run_folder import RunFolder
from evalharness.store.journal.journal import Journal
from evalharness.store.journal.journal_format import Damage
from evalharness.store.parts import seal
from evalharness.store.parts.seal_process import SealProcess, SealRequest
from evalharness.store.parts.setting_columns import SettingColumns


class SealScheduler:
    """Seals one journal into one folder, a part at a time.

    Args:
        folder: where parts go.
        journal: where entries come from.
        settings: by setting_id.
        on_failure: called when a seal in the background failed.

    Attributes:
        settings: by setting_id, of everything that is recorded.
        unsealed: number of finished trials in the journal, without those being sealed.
        task: the seal that runs in the background.
        stopped: whether the disk has failed; then nothing is sealed any more.
        damage: damage found while sealing.
    """

    def __init__(
        self,
        folder: RunFolder,
        journal: Journal,
        settings: Mapping[str, SettingColumns],
        on_failure: Callable[[StorageError], None],
    ) -> None:
        self.settings = dict(settings)
        self.unsealed = 0
        self.task: asyncio.Task[None] | None = None
        self.stopped = False
        self.damage: list[Damage] = []
        self._folder = folder
        self._journal = journal
        self._on_failure = on_failure
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="seal")
        self._process = SealProcess(folder.lock)

    def count_finished(self) -> None:
        """Count a finished trial, and start a seal when there are enough."""
        self.unsealed += 1
        # The remaining room on a failing disk is for answers in flight.
        if self.task is None and not self.stopped and self._is_due():
            self._process.start_with_next_part()
            self.start_seal()

    def _is_due(self) -> bool:
        if self.unsealed >= seal.SEAL_TRIALS:
            return True
        return self._journal.pending_bytes >= seal.SEAL_BYTES

    def start_seal(self) -> asyncio.Task[None]:
        """Start a seal in the background; an error goes to ``on_failure``."""
        self.task = asyncio.create_task(self._seal_in_background())
        return self.task

    async def _seal_in_background(self) -> None:
        try:
            await self.seal()
        except StorageError as error:
            self._on_failure(error)
        except Exception as error:
            # The journal holds everything; continuing would only make it longer.
            self._on_failure(StorageError(f"records cannot be sealed: {error!r}"))
        finally:
            self.task = None

    async def seal(self) -> None:
        """Seal all trials finished so far into a part.

        Raises:
            StorageError: the disk refused.
        """
        number = await self._part_number()
        seal_row = await self._journal.execute(lambda db: seal.begin_seal(db, number))
        if seal_row is None:
            return
        part, last_seq = seal_row
        self.unsealed, self._journal.pending_bytes = 0, 0
        root, path = str(self._folder.root), str(self._journal.path)
        request = SealRequest(root, path, part, last_seq, self.settings)
        loop = asyncio.get_running_loop()
        seqs = await loop.run_in_executor(self._executor, self._make_part, request)
        if self.stopped:  # the next session finds the open seal and repeats it
            return
        await self._journal.execute(lambda db: seal.drop_entries(db, part, seqs))

    async def seal_rest(self) -> None:
        """Wait for the running seal and for the journal to be on disk, and seal the rest.

        Raises:
            StorageError: the disk refused.
        """
        if self.task is not None:
            await self.task
        await self._journal.flush()
        if not self.stopped:
            await self.seal()

    def seal_before_start(self, db: sqlite3.Connection) -> None:
        """Seal before the journal's thread is started, in this thread.

        Raises:
            StorageError: the disk refused.
        """
        number = seal.next_part_number(self._folder)
        db.execute("BEGIN IMMEDIATE")
        seal.begin_seal(db, number)
        db.execute("COMMIT")
        seal.finish_open_seals(self._folder, db, self.settings, self.damage)
        self.unsealed = 0

    async def _part_number(self) -> int:
        """The number of the next part."""
        return seal.next_part_number(self._folder)

    def _list(self, sealed: seal.SealedParts) -> None:
        """List sealed parts in the manifest; runs on the sealing thread."""
        seal.list_parts(self._folder, sealed)

    def _make_part(self, request: SealRequest) -> list[int]:
        """Write and list a part; returns the numbers of its entries."""
        outcome = self._process.make_part(request)
        self.damage += outcome.damage
        if outcome.sealed is not None:
            self._list(outcome.sealed)
        return outcome.seqs

    def close(self) -> None:
        """Wait for the part that is being made, and end the helper."""
        self._executor.shutdown()
        self._process.close()
