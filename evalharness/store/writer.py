"""RunStore: the runner's view of a run folder. Append, know what is done, seal as it goes."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalharness.arrow import read_parquet, where_equal, where_not_in
from evalharness.errors import ConfigError, StorageError
from evalharness.records import AttemptResult, Intent, Prompt, Setting
from evalharness.store import seal
from evalharness.store.columns import prompt_table, setting_table, settings_from
from evalharness.store.files import publish_bytes
from evalharness.store.folder import CONFIG, RunFolder
from evalharness.store.journal import Journal, connect_for_reading
from evalharness.store.parts import PATTERN, write_table
from evalharness.store.recovery import Recovered, recover

if TYPE_CHECKING:
    import pyarrow as pa

_KEYS = ["prompt_id", "setting_id", "repeat"]


class RunStore:
    """A run folder opened for writing.

    Args:
        root: the run folder.
        code_version: version written into the manifest.
    """

    def __init__(self, root: Path, *, code_version: str) -> None:
        self.folder = RunFolder.open(root, code_version=code_version)
        self.failure: StorageError | None = None
        self.on_failure: Callable[[StorageError], None] = lambda _: None
        self._providers: dict[str, str] = {}
        self._sealer = ThreadPoolExecutor(1, thread_name_prefix="seal")
        self._sealing: asyncio.Task[None] | None = None
        self._unsealed = 0
        try:
            self._load_providers()
            self.journal = Journal(self.folder.journal_folder, on_failure=self._failed)
            self._finish_open_seal()
            self.recovered: Recovered = recover(self.journal.connection)
        except BaseException:
            self.folder.close()
            raise
        self._unsealed = len(self.recovered.finals)

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
        for prompt, digest in zip(prompts, digests, strict=True):
            if known.get(prompt.prompt_id, digest) != digest and self._has_records(prompt):
                raise ConfigError(
                    f"prompt `{prompt.prompt_id}` ({prompt.source or 'dataset'}) changed since "
                    f"run `{self.folder.root.name}` recorded answers to it",
                    hint="give the changed row a new id, or start a new run with name=…",
                )
        gone = where_not_in(old, "prompt_id", new["prompt_id"])
        inactive = pa.array([False] * len(gone), pa.bool_())
        gone = gone.set_column(gone.schema.get_field_index("active"), "active", inactive)
        return pa.concat_tables([new, gone.cast(new.schema)])

    def _has_records(self, prompt: Prompt) -> bool:
        return len(where_equal(self.done_keys(), "prompt_id", prompt.prompt_id)) > 0

    def done_keys(self) -> pa.Table:
        """prompt_id, setting_id and repeat of every trial that has its record."""
        import pyarrow as pa

        files = sorted((self.folder.root / "records").glob(PATTERN))
        tables = [read_parquet(file, _KEYS) for file in files]
        fresh = [r.intent for r in self.recovered.finals]
        schema = pa.schema([(k, pa.int64() if k == "repeat" else pa.string()) for k in _KEYS])
        rows = {key: [getattr(i, key) for i in fresh] for key in _KEYS}
        tables.append(pa.Table.from_pydict(rows, schema=schema))
        return pa.concat_tables([t.cast(schema) for t in tables])

    # ── while running ────────────────────────────────────────────────────────────────────────

    def start(self) -> None:
        """Start writing; call on the event loop."""
        self.journal.start()

    def append(self, value: Intent | AttemptResult, *, wait: bool = True) -> asyncio.Future[None]:
        """Make an intent or a result durable (see :meth:`Journal.append`)."""
        if isinstance(value, AttemptResult) and value.final:
            self._unsealed += 1
            if self._sealing is None and self._seal_is_due():
                self._sealing = asyncio.create_task(self._seal_in_background())
        return self.journal.append(value, wait=wait)

    def _seal_is_due(self) -> bool:
        return self._unsealed >= seal.SEAL_TRIALS or self.journal.pending_bytes >= seal.SEAL_BYTES

    async def _seal_in_background(self) -> None:
        try:
            await self.seal()
        except StorageError as error:
            self._failed(error)
        finally:
            self._sealing = None

    async def seal(self) -> None:
        """Turn everything finished so far into a part."""
        number = seal.next_part_number(self.folder)
        begun = await self.journal.execute(lambda db: seal.begin(db, number))
        if begun is None:
            return
        part, upto = begun
        self._unsealed, self.journal.pending_bytes = 0, 0
        loop = asyncio.get_running_loop()
        seqs = await loop.run_in_executor(self._sealer, self._write_parts, part, upto)
        await self.journal.execute(lambda db: seal.drop(db, part, seqs))

    def _write_parts(self, part: int, upto: int) -> list[int]:
        db = connect_for_reading(self.journal.path)
        assert db is not None
        try:
            return self._write_parts_from(db, part, upto)
        finally:
            db.close()

    def _write_parts_from(self, db: sqlite3.Connection, part: int, upto: int) -> list[int]:
        batch = seal.collect(db, upto, self.recovered_damage)
        parts = seal.write_parts(self.folder, part, batch, self._providers)
        seal.list_parts(self.folder, parts, batch)
        return batch.seqs

    async def finish(self, *, status: str, reason: str | None, **manifest: Any) -> None:
        """Seal the rest, write the final manifest and let the folder go.

        Raises:
            StorageError: the disk refused; what the journal holds stays there for a resume.
        """
        try:
            if self._sealing is not None:
                await self._sealing
            await self.journal.flush()
            await self.seal()
            self.folder.save_manifest(status=status, reason=reason, **manifest)
        finally:
            self.close()

    def close(self) -> None:
        """Stop threads and release the lock, saving nothing more."""
        self._sealer.shutdown()
        self.journal.close()
        self.folder.close()

    # ── opening ──────────────────────────────────────────────────────────────────────────────

    @property
    def recovered_damage(self) -> list[Any]:
        """Damaged journal entries found while sealing are added to what recovery found."""
        state = getattr(self, "recovered", None)
        return state.damage if state is not None else []

    def _finish_open_seal(self) -> None:
        db = self.journal.connection
        while (begun := seal.open_seal(db)) is not None:
            part, upto = begun
            seqs = self._write_parts_from(db, part, upto)
            db.execute("BEGIN IMMEDIATE")
            seal.drop(db, part, seqs)
            db.execute("COMMIT")

    def _settings(self) -> list[tuple[Setting, bool]]:
        table = self._read("settings.parquet")
        return [] if table is None else settings_from(table)

    def _load_providers(self) -> None:
        self._providers = {s.setting_id: s.provider for s, _ in self._settings()}

    def _read(self, name: str) -> pa.Table | None:
        path = self.folder.root / name
        return read_parquet(path) if path.exists() else None

    def _failed(self, error: StorageError) -> None:
        if self.failure is None:
            self.failure = error
            self.on_failure(error)
