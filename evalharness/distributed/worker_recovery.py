"""What workers leave, taken over by the driver: from the shared folder, or from their own disks."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from evalharness.distributed.journal_merge import (
    Adopted,
    adopt,
    drop_handed_over,
    earlier_attempts,
    take_in,
)
from evalharness.distributed.leases import Leases, Where, perhaps_sent
from evalharness.distributed.messages import Again
from evalharness.distributed.shard_board import Shard
from evalharness.errors import RunInUseError, StorageError
from evalharness.planning.plan import Plan
from evalharness.records import AttemptResult, Trial
from evalharness.runner.budget import Money
from evalharness.runner.run_summary import Summary
from evalharness.store.folder import durable_files
from evalharness.store.folder.writer import RunStore
from evalharness.store.journal import worker_journals
from evalharness.store.journal.crash_recovery import Unfinished
from evalharness.store.journal.journal_format import FILE_NAME
from evalharness.store.parts.part_files import read_sealed
from evalharness.store.parts.to_arrow import attempt_table

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


class Nodes(Protocol):
    """The machines of a cluster."""

    def alive(self) -> list[str]:
        """Those that answer."""
        ...

    async def read_journal(self, node: str, folder: str) -> dict[str, bytes] | None:
        """See :func:`read_journal`; None where the node is lost.

        Raises:
            RunInUseError: the worker is alive.
            StorageError: the node is alive, and the journal cannot be read.
        """
        ...

    async def discard(self, node: str, folder: str) -> None:
        """Remove a journal that was taken over; nothing where the node is lost.

        Raises:
            StorageError: the node is alive, and does not answer.
        """
        ...


class Left(NamedTuple):
    """What a worker left.

    Attributes:
        results: attempts of its own that its journal held and no part does.
        parts: that were listed only now: it was making them.
    """

    results: list[AttemptResult]
    parts: list[str]


class Estate:
    """Takes over journals, and knows what is done.

    Args:
        plan: of the run.
        store: of the driver; not yet started.
        nodes: where journals on workers' own disks are.
        leases: who had what; None where journals are in the shared folder.
        money: says what an attempt may cost at most.
        summary: told what is in doubt.
    """

    def __init__(
        self,
        plan: Plan,
        store: RunStore,
        nodes: Nodes,
        leases: Leases | None,
        money: Money,
        summary: Summary,
    ) -> None:
        self._plan = plan
        self._store = store
        self._nodes = nodes
        self._leases = leases
        self._money = money
        self._summary = summary
        self._providers = {s.setting_id: s.provider for s in plan.settings}
        self.listing = asyncio.Lock()  # whoever holds it may change the manifest
        self.earlier = earlier_attempts(store)
        # By position: trial_id, and attempts in a part whose records were never written.
        self._tried: dict[int, tuple[str, Unfinished]] = {}

    def done(self) -> NDArray[np.bool_]:
        """Which trials of the plan have their record."""
        return self._plan.done_map(self._store.done_keys())

    def known(self, shards: Sequence[Shard]) -> list[Again]:
        """What is known of shards whose worker was lost, and taken over."""
        import numpy as np

        done = self.done() if shards else np.zeros(0, dtype=np.bool_)
        by_shard: list[Again] = []
        for shard in shards:
            flags = self._plan.recorded_at(done, *shard)
            mine = {
                trial: results
                for trial, results in self.earlier.items()
                if shard.start <= results[-1].intent.position < shard.stop
            }
            tried = dict(one for at, one in self._tried.items() if shard.start <= at < shard.stop)
            by_shard.append(Again(np.packbits(flags).tobytes(), mine, tried))
        return by_shard

    async def adopt(self, name: str) -> Left:
        """Take over what a worker left where there is something.

        Raises:
            RunInUseError: it is alive.
            StorageError: the disk refused, or the journal's node does.
        """
        async with self.listing:
            listed = {part.path for part in self._store.folder.manifest.parts}
            where = None if self._leases is None else self._leases.journals.get(name)
            node = None if where is None else await self._fetch(name, where)
            # Without a shard there was nothing to send.
            lost = node is None and self._leases is not None and name in self._leases.shards
            left = self._store.folder.journal_folder / name
            found: list[Adopted] = []
            if left.exists():
                again = where is not None  # it may have been taken over before, and dropped
                found.append(
                    await adopt(self._store, left, self._providers, self.earlier, again=again)
                )
            if lost:
                found.append(await self._put_in_doubt(name))
            if self._leases is not None:
                await asyncio.to_thread(self._leases.over, name)
            if where is not None and node is not None:
                # Not before all it held is settled: a kill in between would put that in doubt.
                with suppress(StorageError):  # nobody will look there again
                    await self._nodes.discard(node, where.folder)
            parts = [part.path for part in self._store.folder.manifest.parts]
        for adopted in found:
            self._summary.in_doubt.extend(adopted.in_doubt)
        return Left(
            [result for adopted in found for result in adopted.results],
            [path for path in parts if path not in listed],
        )

    async def adopt_rest(self) -> bool:
        """Take over everything that is left; whether there was something."""
        folders = self._store.folder.journal_folder.glob("worker-*/")
        names = {left.name for left in folders}
        names |= set() if self._leases is None else {*self._leases.journals}
        for name in sorted(names):
            await self.adopt(name)
        return bool(names)

    def attempts(self, parts: Collection[str], results: list[AttemptResult]) -> pa.Table:
        """Attempts in some parts and some that are in none, as a table."""
        import pyarrow as pa

        root = self._store.folder.root
        sealed = [read_sealed(root / part) for part in parts if part.startswith("attempts/")]
        return pa.concat_tables([attempt_table(results), *sealed])

    async def _fetch(self, name: str, where: Where) -> str | None:
        """Bring a journal from its disk into the shared folder; the node that had it."""
        for node in (where.node, *(n for n in self._nodes.alive() if n != where.node)):
            found = await self._nodes.read_journal(node, where.folder)
            if found:
                await asyncio.to_thread(self._keep, name, found)
                return node
        return None

    def _keep(self, name: str, found: dict[str, bytes]) -> None:
        folder = self._store.folder.journal_folder / name
        durable_files.make_folder(folder)
        # The log first: without the file itself nobody takes the folder for a journal.
        for file in sorted(found, key=lambda file: file == FILE_NAME):
            durable_files.publish_bytes(folder / file, found[file])
        durable_files.sync_folder(folder.parent)

    async def _put_in_doubt(self, name: str) -> Adopted:
        """A journal is lost: what its worker had and no part holds may have been sent."""
        assert self._leases is not None
        shards = self._leases.shards.get(name, ())
        # A part may have its name already; who would have listed it is lost.
        ours = self._made_from(shards)
        listed = await asyncio.to_thread(
            worker_journals.list_unlisted, self._store.folder, self._providers, ours=ours
        )
        done, unfinished = self.done(), self._store.recovered.unfinished
        trials = [
            trial
            for start, stop in shards
            for trial in self._plan.trials(done, start=start, stop=stop)
        ]
        await self._ask_again([t for t in trials if t.trial_id in listed.tried], listed.tried)
        intents = perhaps_sent(
            (trial for trial in trials if trial.trial_id not in listed.tried),
            lambda trial: unfinished[trial].attempts if trial in unfinished else 0,
            lambda trial: self._money.worst_case(trial, self._plan.body(trial)),
            time.time_ns(),
        )
        entries = {(one.trial_id, one.attempt, False): one for one in intents}
        return await take_in(self._store, dict(entries), self.earlier)

    def _made_from(self, shards: Sequence[Shard]) -> worker_journals.Ours:
        """Tells whether a part was made by whoever had these shards: nobody else had a trial."""

        @cache
        def had() -> set[str]:
            return {
                trial.trial_id
                for start, stop in shards
                for trial in self._plan.trials(start=start, stop=stop)
            }

        return lambda trials: not had().isdisjoint(trials)

    async def _ask_again(self, trials: Sequence[Trial], tried: dict[str, Unfinished]) -> None:
        """Note trials whose attempts are in a part, answer included, and whose records are lost."""
        for trial in trials:
            state = self._store.recovered.unfinished[trial.trial_id] = tried[trial.trial_id]
            self._tried[trial.position] = trial.trial_id, state
            self.earlier.pop(trial.trial_id, None)
        await drop_handed_over(self._store, {trial.trial_id for trial in trials})


def read_journal(folder: str) -> dict[str, bytes] | None:
    """Files of a journal on this machine, {} where there is none, None while its worker lives.

    Nobody writes to it meanwhile: its lock is held.
    """
    path = Path(folder)
    if not (path / FILE_NAME).exists():
        return {}
    try:
        with worker_journals.locked(path):
            names = (FILE_NAME, f"{FILE_NAME}-wal")
            return {n: (path / n).read_bytes() for n in names if (path / n).exists()}
    except RunInUseError:
        return None


def discard_journal(folder: str) -> None:
    """Remove a journal on this machine."""
    shutil.rmtree(folder, ignore_errors=True)
