"""RunStore: the runner's view of a run folder. Append, know what is done, seal as it goes."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalharness.arrow import conform, where_not_in
from evalharness.errors import ConfigError, StorageError
from evalharness.records import AttemptResult, Intent, Prompt, Setting
from evalharness.store import leftovers, reopen, seal
from evalharness.store.buffers import empty
from evalharness.store.columns import prompt_table, setting_table, settings_from
from evalharness.store.entries import (
    FILE_NAME,
    Damage,
    unreadable,
)
from evalharness.store.files import publish_bytes
from evalharness.store.folder import (
    CONFIG,
    MANIFEST,
    UNFINISHED,
    RunFolder,
    now_iso,
    take_lock,
)
from evalharness.store.journal import Journal
from evalharness.store.parts import PATTERN, read_sealed, write_table
from evalharness.store.recovery import Recovered, Unfinished, recover
from evalharness.store.sealer import Sealer, Work

if TYPE_CHECKING:
    import pyarrow as pa

_KEYS = ["prompt_id", "setting_id", "repeat"]


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
            reopen.relist(self.folder)
            self._load_providers()
            damage = self._missing_journal()
            self._journal = Journal(self.folder.journal_folder, on_failure=self._failed)
            damage += leftovers.adopt_all(self.folder, self.journal.connection, self._providers)
            self.recovered = self._recover([*damage, *self._journal.damage])
        except BaseException:
            self.close()
            raise
        self._unsealed = len(self.recovered.finals)
        if self.folder.manifest.reopened:
            self._add_earlier_attempts()

    def _begin(self, folder: RunFolder) -> None:
        self.folder = folder
        self.failure: StorageError | None = None
        self.on_failure: Callable[[StorageError], None] = lambda _: None
        self._providers: dict[str, str] = {}
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="seal")
        self._sealer = Sealer(folder.lock)
        self._sealing: asyncio.Task[None] | None = None
        self._unsealed = 0
        self._found_sealing: list[Damage] = []
        self._journal: Journal | None = None

    @property
    def journal(self) -> Journal:
        """Where entries go."""
        assert self._journal is not None
        return self._journal

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
        self._note_damage()
        kept_prompts = self._merge_prompts(prompts, digests)
        known = {s.setting_id: s for s, _ in self._settings()}
        wanted = {s.setting_id for s in settings}
        orphaned = [s for key, s in known.items() if key not in wanted]
        rows = [(s, True) for s in settings] + [(s, False) for s in orphaned]
        write_table(self.folder.root / "prompts.parquet", kept_prompts)
        write_table(self.folder.root / "settings.parquet", setting_table(rows))
        publish_bytes(self.folder.root / CONFIG, config_yaml.encode())
        self._providers = {s.setting_id: s.provider for s, _ in rows}
        self.folder.save_manifest(planned=planned, status="running", reason=None)
        return orphaned

    def _merge_prompts(self, prompts: Sequence[Prompt], digests: Sequence[str]) -> pa.Table:
        import pyarrow as pa

        new = prompt_table(prompts, digests)
        old = self._read("prompts.parquet")
        if old is None:
            return new
        known = dict(zip(old["prompt_id"].to_pylist(), old["digest"].to_pylist(), strict=True))
        pairs = zip(prompts, digests, strict=True)
        changed = [p for p, new_digest in pairs if known.get(p.prompt_id, new_digest) != new_digest]
        recorded = self.done_keys()["prompt_id"].unique().to_pylist() if changed else []
        for prompt in changed:
            if prompt.prompt_id in recorded:
                raise ConfigError(
                    f"prompt `{prompt.prompt_id}` ({prompt.source or 'dataset'}) changed since "
                    f"run `{self.folder.root.name}` recorded answers to it",
                    hint="give the changed row a new id, or start a new run with name=…",
                )
        gone = where_not_in(old, "prompt_id", new["prompt_id"])
        inactive = pa.array([False] * len(gone), pa.bool_())
        gone = gone.set_column(gone.schema.get_field_index("active"), "active", inactive)
        return pa.concat_tables([new, conform(gone, new.schema)])

    def done_keys(self) -> pa.Table:
        """prompt_id, setting_id and repeat of every trial that has its record."""
        import pyarrow as pa

        files = sorted((self.folder.root / "records").glob(PATTERN))
        tables = [read_sealed(file, _KEYS) for file in files]
        fresh = [r.intent for r in self.recovered.finals]
        schema = pa.schema([(k, pa.int64() if k == "repeat" else pa.string()) for k in _KEYS])
        if not files and not fresh:
            return empty(schema)
        rows = {key: [getattr(i, key) for i in fresh] for key in _KEYS}
        tables.append(pa.Table.from_pydict(rows, schema=schema))
        return pa.concat_tables([t.cast(schema) for t in tables])

    def reopen_errors(self, *, prompts: Sequence[Prompt], repeats: int) -> int:
        """Let the plan's trials that were recorded as errors be asked again; how many they are.

        Call it after :meth:`save_plan`, before :meth:`done_keys`.

        Raises:
            StorageError: a part is damaged, or the disk refused.
        """
        if self.recovered.finals:  # of a process that was killed: into a part, like all others
            db, number = self.journal.connection, seal.next_part_number(self.folder)
            db.execute("BEGIN IMMEDIATE")
            seal.begin(db, number)
            db.execute("COMMIT")
            self._finish_open_seal(db)
            self.recovered.finals.clear()
            self._unsealed = 0
        settings = [s.setting_id for s, active in self._settings() if active]
        ids = [p.prompt_id for p in prompts]
        count = reopen.reopen_errors(self.folder, prompts=ids, settings=settings, repeats=repeats)
        if count:
            self._add_earlier_attempts()
        return count

    def _add_earlier_attempts(self) -> None:
        recorded = {final.intent.trial_id for final in self.recovered.finals}
        for trial_id, earlier in reopen.earlier_attempts(self.folder).items():
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
        """Count finished trials, and begin a seal when there are enough."""
        if isinstance(value, AttemptResult) and value.final:
            self._unsealed += 1
            # What room a failing disk has is for answers in flight.
            if self._sealing is None and self.failure is None and self._seal_is_due():
                self._sealer.move_out()
                self._sealing = asyncio.create_task(self._seal_in_background())

    def _seal_is_due(self) -> bool:
        return self._unsealed >= seal.SEAL_TRIALS or self.journal.pending_bytes >= seal.SEAL_BYTES

    async def _seal_in_background(self) -> None:
        try:
            await self.seal()
        except StorageError as error:
            self._failed(error)
        except Exception as error:
            # The journal holds everything; going on would only make it longer.
            self._failed(StorageError(f"records cannot be sealed: {error!r}"))
        finally:
            self._sealing = None

    async def seal(self) -> None:
        """Turn everything finished so far into a part."""
        number = await self._part_number()
        begun = await self.journal.execute(lambda db: seal.begin(db, number))
        if begun is None:
            return
        part, upto = begun
        self._unsealed, self.journal.pending_bytes = 0, 0
        work = Work(str(self.folder.root), str(self.journal.path), part, upto, self._providers)
        loop = asyncio.get_running_loop()
        seqs = await loop.run_in_executor(self._executor, self._make_part, work)
        if self.failure is not None:  # the next session finds the seal begun, and repeats it
            return
        await self.journal.execute(lambda db: seal.drop(db, part, seqs))

    async def _part_number(self) -> int:
        """The number of the next part."""
        return seal.next_part_number(self.folder)

    def _list(self, sealed: seal.Sealed) -> None:
        """Let the manifest list what was sealed; on the sealing thread."""
        seal.list_parts(self.folder, sealed)

    def _make_part(self, work: Work) -> list[int]:
        """Write and list a part; the numbers of the entries that are in it then."""
        done = self._sealer.make_part(work)
        self._found_sealing += done.damage
        if done.sealed is not None:
            self._list(done.sealed)
        return done.seqs

    def note_session(self, facts: dict[str, Any]) -> None:
        """Add what a session of the run was like to the manifest, written with its next change."""
        manifest = self.folder.manifest
        manifest.sessions = [*manifest.sessions, {"ended_at": now_iso(), **facts}]

    async def finish(self, *, status: str, reason: str | None, **manifest: Any) -> None:
        """Seal the rest, write the final manifest and let the folder go.

        After a failure of the disk nothing is sealed: what is committed stays in the journal.

        Raises:
            StorageError: the disk refused; what the journal holds stays there for a resume.
        """
        try:
            await self._flush_and_seal()
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

    async def _flush_and_seal(self) -> None:
        try:
            if self._sealing is not None:
                await self._sealing
            await self.journal.flush()
            if self.failure is None:
                await self.seal()
        except StorageError as error:
            self._failed(error)

    def close(self) -> None:
        """Stop threads and release the lock, saving nothing more."""
        self._executor.shutdown()
        self._sealer.close()
        if self._journal is not None:
            self._journal.close()
        self.folder.close()

    # ── opening ──────────────────────────────────────────────────────────────────────────────

    @property
    def damaged(self) -> int:
        """How many damaged entries were found, at the start and while sealing."""
        at_start = {d.seq for d in self.recovered.damage if d.seq}
        later = {d.seq for d in self._found_sealing if d.seq} - at_start
        return len(self.recovered.damage) + len(later)

    def _missing_journal(self) -> list[Damage]:
        """What a journal that is gone means: a run that was not finished had one."""
        path = self.folder.journal_folder / FILE_NAME
        if self.folder.manifest.status not in UNFINISHED or _has_content(path):
            return []
        if not (self.folder.root / MANIFEST).exists():  # the first start of this run
            return []
        return [Damage(0, "the journal is gone, with every answer not sealed yet")]

    def _recover(self, damage: list[Damage]) -> Recovered:
        db = self.journal.connection
        try:
            if damage:
                self._reopen_last_seal(db)
            self._finish_open_seal(db)
            leftovers.list_unlisted(self.folder, self._providers)
            self._found_sealing.clear()  # recovery finds and reports it again
            return recover(db, damage)
        except sqlite3.Error as error:
            raise unreadable(self.journal.path, error) from error

    def _reopen_last_seal(self, db: sqlite3.Connection) -> None:
        """A damaged journal may have lost the seal it was in; finishing it twice does no harm."""
        number = seal.next_part_number(self.folder) - 1
        upto = db.execute("SELECT max(seq) FROM entry").fetchone()[0]
        if number and upto is not None:
            db.execute("INSERT OR IGNORE INTO seal (part, upto) VALUES (?, ?)", (number, upto))

    def _finish_open_seal(self, db: sqlite3.Connection) -> None:
        seal.finish_open_seals(self.folder, db, self._providers, self._found_sealing)

    def _note_damage(self) -> None:
        """Keep in the manifest what recovery found, for every later report."""
        if self.recovered.damage:
            found = Counter(d.reason for d in self.recovered.damage)
            what = "; ".join(f"{reason} ({count}×)" for reason, count in found.items())
            self.folder.manifest.notes.append(f"{now_iso()}: damage in the journal: {what}")

    def _settings(self) -> list[tuple[Setting, bool]]:
        table = self._read("settings.parquet")
        return [] if table is None else settings_from(table)

    def _load_providers(self) -> None:
        self._providers = {s.setting_id: s.provider for s, _ in self._settings()}

    def _read(self, name: str) -> pa.Table | None:
        path = self.folder.root / name
        return read_sealed(path) if path.exists() else None

    def _failed(self, error: StorageError) -> None:
        if self.failure is None:
            self.failure = error
            self.on_failure(error)


def _has_content(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0
