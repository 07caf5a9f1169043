"""RunStore: the runner's view of a run folder. Append, know what is done, seal as it goes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalharness.errors import StorageError
from evalharness.records import AttemptResult, Intent, Prompt, Setting
from evalharness.store.folder import open_for_write, plan_files
from evalharness.store.folder.durable_files import publish_bytes
from evalharness.store.folder.run_folder import CONFIG, RunFolder, now_iso, take_lock
from evalharness.store.journal import worker_journals
from evalharness.store.journal.crash_recovery import Unfinished
from evalharness.store.journal.journal import Journal
from evalharness.store.parts import retry_errors
from evalharness.store.parts.seal_schedule import Sealing

if TYPE_CHECKING:
    import pyarrow as pa


class RunStore:
    """A run folder opened for writing.

    Args:
        root: the run folder.
        code_version: version written into the manifest.
        lock: of the folder, where the caller holds it already (see :func:`.folder.hold_existing`).
    """

    def __init__(self, root: Path, *, code_version: str, lock: int | None = None) -> None:
        held = take_lock(root) if lock is None else lock
        self._begin(RunFolder.locked(root, held, code_version=code_version))
        try:
            retry_errors.relist(self.folder)
            providers = {
                s.setting_id: s.provider for s, _ in plan_files.settings_of(self.folder.root)
            }
            damage = open_for_write.missing_journal(self.folder)
            self._journal = Journal(self.folder.journal_folder, on_failure=self._failed)
            damage += worker_journals.adopt_all(self.folder, self.journal.connection, providers)
            damage += self._journal.damage
            self.recovered = open_for_write.recover_folder(
                self.folder, self._journal, providers, damage
            )
            self._sealing = Sealing(self.folder, self._journal, providers, self._failed)
        except BaseException:
            self.close()
            raise
        self._sealing.unsealed = len(self.recovered.finals)
        if self.folder.manifest.reopened:
            self._add_earlier_attempts()

    def _begin(self, folder: RunFolder) -> None:
        self.folder = folder
        self.failure: StorageError | None = None
        self.on_failure: Callable[[StorageError], None] = lambda _: None
        self._journal: Journal | None = None
        self._sealing: Sealing | None = None

    @property
    def journal(self) -> Journal:
        """Where entries go."""
        assert self._journal is not None
        return self._journal

    @property
    def sealing(self) -> Sealing:
        """What turns entries into parts."""
        assert self._sealing is not None
        return self._sealing

    # ── the plan ─────────────────────────────────────────────────────────────────────────────

    def save_plan(
        self,
        *,
        config_yaml: str,
        prompts: Sequence[Prompt],
        digests: Sequence[str],
        settings: Sequence[Setting],
        planned: int,
    ) -> list[Setting]:
        """Write what is going to be asked; return recorded settings the new plan no longer has.

        Raises:
            ConfigError: a prompt id now names other content than the records under it answered.
        """
        open_for_write.note_damage(self.folder, self.recovered.damage)
        root = self.folder.root
        orphaned = plan_files.save(root, prompts, digests, settings, self.done_keys)
        publish_bytes(root / CONFIG, config_yaml.encode())
        self.sealing.providers = {s.setting_id: s.provider for s in [*settings, *orphaned]}
        self.folder.save_manifest(planned=planned, status="running", reason=None)
        return orphaned

    def done_keys(self) -> pa.Table:
        """prompt_id, setting_id and repeat of every trial that has its record."""
        return plan_files.done_keys(self.folder.root, [r.intent for r in self.recovered.finals])

    def reopen_errors(self, *, prompts: Sequence[Prompt], repeats: int) -> int:
        """Let the plan's trials that were recorded as errors be asked again; how many they are.

        Call it after :meth:`save_plan`, before :meth:`done_keys`.

        Raises:
            StorageError: a part is damaged, or the disk refused.
        """
        if self.recovered.finals:  # of a process that was killed: into a part, like all others
            self.sealing.seal_before_start(self.journal.connection)
            self.recovered.finals.clear()
        known = plan_files.settings_of(self.folder.root)
        settings = [s.setting_id for s, active in known if active]
        ids = [p.prompt_id for p in prompts]
        count = retry_errors.reopen_errors(
            self.folder, prompts=ids, settings=settings, repeats=repeats
        )
        if count:
            self._add_earlier_attempts()
        return count

    def _add_earlier_attempts(self) -> None:
        recorded = {final.intent.trial_id for final in self.recovered.finals}
        for trial_id, earlier in retry_errors.earlier_attempts(self.folder).items():
            if trial_id not in recorded:
                known = self.recovered.unfinished.setdefault(trial_id, Unfinished())
                known.attempts = max(known.attempts, earlier.attempts)
                known.sent += earlier.sent
                known.in_doubt += earlier.in_doubt

    # ── while running ────────────────────────────────────────────────────────────────────────

    def start(self, *, in_flight: int = 1, answer_bytes: int = 0) -> None:
        """Start writing; call on the event loop (arguments and errors: :meth:`Journal.start`)."""
        self.journal.start(in_flight=in_flight, answer_bytes=answer_bytes)

    def append(self, value: Intent | AttemptResult) -> asyncio.Future[None]:
        """Make an intent or a result durable (see :meth:`Journal.append`)."""
        self._count(value)
        return self.journal.append(value)

    def put(self, value: Intent | AttemptResult) -> None:
        """The same without waiting (see :meth:`Journal.put`)."""
        self._count(value)
        self.journal.put(value)

    def _count(self, value: Intent | AttemptResult) -> None:
        if isinstance(value, AttemptResult) and value.final:
            self.sealing.finished()

    async def seal(self) -> None:
        """Turn everything finished so far into a part (see :meth:`Sealing.seal`)."""
        await self.sealing.seal()

    def note_session(self, facts: dict[str, Any]) -> None:
        """Add what a session of the run was like to the manifest, written with its next change."""
        manifest = self.folder.manifest
        manifest.sessions = [*manifest.sessions, {"ended_at": now_iso(), **facts}]

    # ── the end ──────────────────────────────────────────────────────────────────────────────

    @property
    def damaged(self) -> int:
        """How many damaged entries were found, at the start and while sealing."""
        at_start = {d.seq for d in self.recovered.damage if d.seq}
        later = {d.seq for d in self.sealing.damage if d.seq} - at_start
        return len(self.recovered.damage) + len(later)

    async def finish(self, *, status: str, reason: str | None, **manifest: Any) -> None:
        """Seal the rest, write the final manifest and let the folder go.

        After a failure of the disk nothing is sealed: what is committed stays in the journal.

        Raises:
            StorageError: the disk refused; what the journal holds stays there for a resume.
        """
        try:
            await self._seal_rest()
            if self.failure is None:
                self.folder.save_manifest(status=status, reason=reason, **manifest)
            else:
                with suppress(StorageError):
                    reason = self.failure.message
                    self.folder.save_manifest(status="stopped", reason=reason, **manifest)
        finally:
            self.close()
        if self.failure is not None:
            raise self.failure

    async def _seal_rest(self) -> None:
        try:
            await self.sealing.seal_rest()
        except StorageError as error:
            self._failed(error)

    def close(self) -> None:
        """Stop threads and release the lock, saving nothing more."""
        if self._sealing is not None:
            self._sealing.close()
        if self._journal is not None:
            self._journal.close()
        self.folder.close()

    def _failed(self, error: StorageError) -> None:
        if self.failure is None:
            self.failure = error
            if self._sealing is not None:
                self._sealing.stopped = True
            self.on_failure(error)
