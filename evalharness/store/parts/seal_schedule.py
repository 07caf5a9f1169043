"""When finished trials of a run become a part: often enough while it goes on, and at its end."""

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
from evalharness.store.parts.seal_process import Sealer, Work


class Sealing:
    """Seals one journal into one folder, a part at a time.

    Args:
        folder: where parts go.
        journal: where entries come from.
        providers: by setting_id.
        on_failure: called when a seal in the background failed.

    Attributes:
        providers: by setting_id, of everything that is recorded.
        unsealed: finished trials that the journal holds, but for those being sealed.
        task: the seal that goes on in the background.
        stopped: whether the disk has failed: then nothing is sealed any more.
        damage: what was found damaged while sealing.
    """

    def __init__(
        self,
        folder: RunFolder,
        journal: Journal,
        providers: Mapping[str, str],
        on_failure: Callable[[StorageError], None],
    ) -> None:
        self.providers = dict(providers)
        self.unsealed = 0
        self.task: asyncio.Task[None] | None = None
        self.stopped = False
        self.damage: list[Damage] = []
        self._folder = folder
        self._journal = journal
        self._on_failure = on_failure
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="seal")
        self._sealer = Sealer(folder.lock)

    def finished(self) -> None:
        """Count a finished trial, and begin a seal when there are enough."""
        self.unsealed += 1
        # What room a failing disk has is for answers in flight.
        if self.task is None and not self.stopped and self._is_due():
            self._sealer.move_out()
            self.begin()

    def _is_due(self) -> bool:
        if self.unsealed >= seal.SEAL_TRIALS:
            return True
        return self._journal.pending_bytes >= seal.SEAL_BYTES

    def begin(self) -> asyncio.Task[None]:
        """Seal in the background; a failure is told to ``on_failure``."""
        self.task = asyncio.create_task(self._seal_in_background())
        return self.task

    async def _seal_in_background(self) -> None:
        try:
            await self.seal()
        except StorageError as error:
            self._on_failure(error)
        except Exception as error:
            # The journal holds everything; going on would only make it longer.
            self._on_failure(StorageError(f"records cannot be sealed: {error!r}"))
        finally:
            self.task = None

    async def seal(self) -> None:
        """Turn everything finished so far into a part.

        Raises:
            StorageError: the disk refused.
        """
        number = await self._part_number()
        begun = await self._journal.execute(lambda db: seal.begin(db, number))
        if begun is None:
            return
        part, upto = begun
        self.unsealed, self._journal.pending_bytes = 0, 0
        root, path = str(self._folder.root), str(self._journal.path)
        work = Work(root, path, part, upto, self.providers)
        loop = asyncio.get_running_loop()
        seqs = await loop.run_in_executor(self._executor, self._make_part, work)
        if self.stopped:  # the next session finds the seal begun, and repeats it
            return
        await self._journal.execute(lambda db: seal.drop(db, part, seqs))

    async def seal_rest(self) -> None:
        """After the seal that goes on, wait until all is on disk, and seal that.

        Raises:
            StorageError: the disk refused.
        """
        if self.task is not None:
            await self.task
        await self._journal.flush()
        if not self.stopped:
            await self.seal()

    def seal_before_start(self, db: sqlite3.Connection) -> None:
        """Seal before the journal starts, here and now.

        Raises:
            StorageError: the disk refused.
        """
        number = seal.next_part_number(self._folder)
        db.execute("BEGIN IMMEDIATE")
        seal.begin(db, number)
        db.execute("COMMIT")
        seal.finish_open_seals(self._folder, db, self.providers, self.damage)
        self.unsealed = 0

    async def _part_number(self) -> int:
        """The number of the next part."""
        return seal.next_part_number(self._folder)

    def _list(self, sealed: seal.Sealed) -> None:
        """Let the manifest list what was sealed; on the sealing thread."""
        seal.list_parts(self._folder, sealed)

    def _make_part(self, work: Work) -> list[int]:
        """Write and list a part; the numbers of the entries that are in it then."""
        done = self._sealer.make_part(work)
        self.damage += done.damage
        if done.sealed is not None:
            self._list(done.sealed)
        return done.seqs

    def close(self) -> None:
        """Wait for a part that is being made, and end the helper."""
        self._executor.shutdown()
        self._sealer.close()
