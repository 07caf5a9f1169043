"""RunStore: a run folder opened for writing, as the runner uses it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalharness.errors import StorageError
from evalharness.records import AttemptResult, Intent, Prompt, Setting
from evalharness.store.folder import open_for_write, plan_files
from evalharness.store.folder.durable_files import write_bytes_durably
from evalharness.store.folder.run_folder import CONFIG, RunFolder, now_iso, take_lock
from evalharness.store.journal import worker_journals
from evalharness.store.journal.crash_recovery import UnfinishedTrial
from evalharness.store.journal.journal import Journal
from evalharness.store.parts import retry_errors
from evalharness.store.parts.recorded_answers import RecordedAnswer, read_recorded_answers
from evalharness.store.parts.seal_schedule import SealScheduler
from evalharness.store.parts.setting_columns import columns_by_setting

if TYPE_CHECKING:
    import pyarrow as pa


class RunStore:
    """A run folder opened for writing.

    Args:
        root: the run folder.
        code_version: version written into the manifest.
        lock: of the folder, if the caller holds it already (see :func:`.lock.lock_existing`).
    """

    def __init__(self, root: Path, *, code_version: str, lock: int | None = None) -> None:
        lock_fd = take_lock(root) if lock is None else lock
        self._set_up(RunFolder.open_locked(root, lock_fd, code_version=code_version))
        try:
            retry_errors.relist_parts(self.folder)
            settings = columns_by_setting(s for s, _ in plan_files.read_settings(self.folder.root))
            damage = open_for_write.check_journal_exists(self.folder)
            self._journal = Journal(self.folder.journal_folder, on_failure=self._on_disk_failure)
            damage += worker_journals.merge_all(self.folder, self.journal.connection, settings)
            damage += self._journal.damage
            self.recovery = open_for_write.prepare_folder(
                self.folder, self._journal, settings, damage
            )
            self._seal_scheduler = SealScheduler(
                self.folder, self._journal, settings, self._on_disk_failure
            )
        except BaseException:
            self.close()
            raise
        self._seal_scheduler.unsealed = len(self.recovery.finals)
        if self.folder.manifest.reopened:
            self._add_earlier_attempts()

    def _set_up(self, folder: RunFolder) -> None:
        self.folder = folder
        self.failure: StorageError | None = None
        self.on_failure: Callable[[StorageError], None] = lambda _: None
        self._journal: Journal | None = None
        self._seal_scheduler: SealScheduler | None = None

    @property
    def journal(self) -> Journal:
        """The journal that takes the entries."""
        assert self._journal is not None
        return self._journal

    @property
    def seal_scheduler(self) -> SealScheduler:
        """Turns journal entries into parts."""
        assert self._seal_scheduler is not None
        return self._seal_scheduler

    # ── the plan ─────────────────────────────────────────────────────────────────────────────

    def save_plan(
        self,
        *,
        config_yaml: str,
        prompts: Sequence[Prompt],
        digests: Sequence[str],
        settings: Sequence[Setting],
        planned: int,
        unverified: Sequence[str] = (),
    ) -> list[Setting]:
        """Write the plan; return recorded settings that the plan no longer has.

        ``unverified`` names providers whose certificates are not checked: earlier ones stay noted.

        Raises:
            ConfigError: a prompt id now names other content than the records under it answered.
        """
        open_for_write.note_damage(self.folder, self.recovery.damage)
        root = self.folder.root
        orphaned = plan_files.save_plan(root, prompts, digests, settings, self.done_keys)
        write_bytes_durably(root / CONFIG, config_yaml.encode())
        self.seal_scheduler.settings = columns_by_setting([*settings, *orphaned])
        noted = sorted({*self.folder.manifest.unverified, *unverified})
        self.folder.save_manifest(planned=planned, status="running", reason=None, unverified=noted)
        return orphaned

    def done_keys(self) -> pa.Table:
        """prompt_id, setting_id and repeat of every trial that has its record."""
        return plan_files.done_keys(self.folder.root, [r.intent for r in self.recovery.finals])

    def recorded_answers(self, trial_ids: Collection[str]) -> dict[str, RecordedAnswer]:
        """What these trials were answered, as :func:`.recorded_answers.read_recorded_answers`."""
        return read_recorded_answers(self.folder.root, self.recovery.finals, trial_ids)

    def retry_errors(self, *, prompts: Sequence[Prompt], repeats: int) -> int:
        """Remove the plan's error records, so that their trials are sent again; how many.

        Call it after :meth:`save_plan`, before :meth:`done_keys`.

        Raises:
            StorageError: a part is damaged, or the disk refused.
        """
        if self.recovery.finals:  # of a process that was killed; they go into a part first
            self.seal_scheduler.seal_before_start(self.journal.connection)
            self.recovery.finals.clear()
        known = plan_files.read_settings(self.folder.root)
        settings = [s.setting_id for s, active in known if active]
        ids = [p.prompt_id for p in prompts]
        count = retry_errors.remove_error_records(
            self.folder, prompts=ids, settings=settings, repeats=repeats
        )
        if count:
            self._add_earlier_attempts()
        return count

    def _add_earlier_attempts(self) -> None:
        recorded = {final.intent.trial_id for final in self.recovery.finals}
        for trial_id, earlier in retry_errors.earlier_attempts(self.folder).items():
            if trial_id not in recorded:
                trial = self.recovery.unfinished.setdefault(trial_id, UnfinishedTrial())
                trial.attempts = max(trial.attempts, earlier.attempts)
                trial.sent += earlier.sent
                trial.in_doubt += earlier.in_doubt

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
            self.seal_scheduler.count_finished()

    async def seal(self) -> None:
        """Turn everything finished so far into a part (see :meth:`SealScheduler.seal`)."""
        await self.seal_scheduler.seal()

    def note_session(self, facts: dict[str, Any]) -> None:
        """Add statistics of a session to the manifest, which is written with its next change."""
        manifest = self.folder.manifest
        manifest.sessions = [*manifest.sessions, {"ended_at": now_iso(), **facts}]

    # ── the end ──────────────────────────────────────────────────────────────────────────────

    @property
    def damage_count(self) -> int:
        """How many damaged entries were found, at the start and while sealing."""
        at_start = {d.seq for d in self.recovery.damage if d.seq}
        later = {d.seq for d in self.seal_scheduler.damage if d.seq} - at_start
        return len(self.recovery.damage) + len(later)

    async def finish(self, *, status: str, reason: str | None, **manifest: Any) -> None:
        """Seal the rest, write the final manifest and release the folder.

        After a disk failure nothing is sealed: what is committed stays in the journal.

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
            await self.seal_scheduler.seal_rest()
        except StorageError as error:
            self._on_disk_failure(error)

    def close(self) -> None:
        """Stop threads and release the lock; nothing more is saved."""
        if self._seal_scheduler is not None:
            self._seal_scheduler.close()
        if self._journal is not None:
            self._journal.close()
        self.folder.close()

    def _on_disk_failure(self, error: StorageError) -> None:
        if self.failure is None:
            self.failure = error
            if self._seal_scheduler is not None:
                self._seal_scheduler.stopped = True
            self.on_failure(error)
