"""What a run folder is asked: ``prompts.parquet``, ``settings.parquet``, and which trials are done.

Prompts and settings that a new plan no longer has stay in both files, inactive, for the records
that answer them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from evalharness.columnar.arrow_ops import conform, where_not_in
from evalharness.errors import ConfigError
from evalharness.records import Intent, Prompt, Setting
from evalharness.store.journal.arrow_buffers import empty
from evalharness.store.parts.part_files import PATTERN, read_sealed, write_table
from evalharness.store.parts.to_arrow import prompt_table, setting_table, settings_from

if TYPE_CHECKING:
    import pyarrow as pa

_PROMPTS, _SETTINGS = "prompts.parquet", "settings.parquet"
_KEYS = ["prompt_id", "setting_id", "repeat"]


def settings_of(root: Path) -> list[tuple[Setting, bool]]:
    """Every setting of a run folder, and whether its newest plan has it.

    Raises:
        StorageError: the file is damaged.
    """
    table = _read(root / _SETTINGS)
    return [] if table is None else settings_from(table)


def save(
    root: Path,
    prompts: Sequence[Prompt],
    digests: Sequence[str],
    settings: Sequence[Setting],
    recorded: Callable[[], pa.Table],
) -> list[Setting]:
    """Write what a plan asks, beside what earlier ones asked; settings it no longer has.

    Args:
        root: the run folder.
        prompts: of the plan.
        digests: of the prompts' contents, in the same order.
        settings: of the plan.
        recorded: gives the keys of the recorded trials (see :func:`done_keys`), asked where needed.

    Raises:
        ConfigError: a prompt id now names other content than the records under it answered.
        StorageError: a file is damaged, or the disk refused.
    """
    kept = _merged(root, prompts, digests, recorded)
    wanted = {s.setting_id for s in settings}
    orphaned = [s for s, _ in settings_of(root) if s.setting_id not in wanted]
    rows = [(s, True) for s in settings] + [(s, False) for s in orphaned]
    write_table(root / _PROMPTS, kept)
    write_table(root / _SETTINGS, setting_table(rows))
    return orphaned


def _merged(
    root: Path,
    prompts: Sequence[Prompt],
    digests: Sequence[str],
    recorded: Callable[[], pa.Table],
) -> pa.Table:
    import pyarrow as pa

    new = prompt_table(prompts, digests)
    old = _read(root / _PROMPTS)
    if old is None:
        return new
    known = dict(zip(old["prompt_id"].to_pylist(), old["digest"].to_pylist(), strict=True))
    pairs = zip(prompts, digests, strict=True)
    changed = [p for p, new_digest in pairs if known.get(p.prompt_id, new_digest) != new_digest]
    answered = recorded()["prompt_id"].unique().to_pylist() if changed else []
    for prompt in changed:
        if prompt.prompt_id in answered:
            raise ConfigError(
                f"prompt `{prompt.prompt_id}` ({prompt.source or 'dataset'}) changed since "
                f"run `{root.name}` recorded answers to it",
                hint="give the changed row a new id, or start a new run with name=…",
            )
    gone = where_not_in(old, "prompt_id", new["prompt_id"])
    inactive = pa.array([False] * len(gone), pa.bool_())
    gone = gone.set_column(gone.schema.get_field_index("active"), "active", inactive)
    return pa.concat_tables([new, conform(gone, new.schema)])


def done_keys(root: Path, fresh: Sequence[Intent]) -> pa.Table:
    """prompt_id, setting_id and repeat of every trial with a record in a part, and of ``fresh``.

    Raises:
        StorageError: a part is damaged.
    """
    import pyarrow as pa

    files = sorted((root / "records").glob(PATTERN))
    tables = [read_sealed(file, _KEYS) for file in files]
    schema = pa.schema([(k, pa.int64() if k == "repeat" else pa.string()) for k in _KEYS])
    if not files and not fresh:
        return empty(schema)
    rows = {key: [getattr(i, key) for i in fresh] for key in _KEYS}
    tables.append(pa.Table.from_pydict(rows, schema=schema))
    return pa.concat_tables([t.cast(schema) for t in tables])


def _read(path: Path) -> pa.Table | None:
    return read_sealed(path) if path.exists() else None
