"""The plan's files in a run folder, ``prompts.parquet`` and ``settings.parquet``, and done trials.

Prompts and settings that a new plan no longer has stay in both files, flagged as not in the
current plan, because records refer to them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from evalharness.columnar.arrow_ops import conform, where_not_in
from evalharness.errors import ConfigError
from evalharness.records import Intent, Prompt, Setting
from evalharness.store.folder.earlier_settings import distinguish
from evalharness.store.journal.arrow_buffers import empty_table
from evalharness.store.parts.part_files import PATTERN, read_sealed, write_table
from evalharness.store.parts.to_arrow import prompt_table, setting_table, settings_from_table

if TYPE_CHECKING:
    import pyarrow as pa

_PROMPTS, _SETTINGS = "prompts.parquet", "settings.parquet"
_KEYS = ["prompt_id", "setting_id", "repeat"]


def read_settings(root: Path) -> list[tuple[Setting, bool]]:
    """Every setting of a run folder, and whether its newest plan has it.

    Raises:
        StorageError: the file is damaged.
    """
    table = _read(root / _SETTINGS)
    return [] if table is None else settings_from_table(table)


def save_plan(
    root: Path,
    prompts: Sequence[Prompt],
    digests: Sequence[str],
    settings: Sequence[Setting],
    recorded: Callable[[], pa.Table],
) -> list[Setting]:
    """Write a plan's prompts and settings; return recorded settings that it no longer has.

    Args:
        root: the run folder.
        prompts: of the plan.
        digests: of the prompts' contents, in the same order.
        settings: of the plan.
        recorded: returns the keys of the recorded trials (see :func:`done_keys`); called only
            when a prompt has changed.

    Raises:
        ConfigError: a prompt id now names other content than the records under it answered.
        StorageError: a file is damaged, or the disk refused.
    """
    prompt_rows = _merge_prompts(root, prompts, digests, recorded)
    wanted = {s.setting_id for s in settings}
    orphaned = [s for s, _ in read_settings(root) if s.setting_id not in wanted]
    orphaned = distinguish(settings, orphaned)
    rows = [(s, True) for s in settings] + [(s, False) for s in orphaned]
    write_table(root / _PROMPTS, prompt_rows)
    write_table(root / _SETTINGS, setting_table(rows))
    return orphaned


def _merge_prompts(
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
    known = dict(zip(old["prompt_id"].to_pylist(), old["content_hash"].to_pylist(), strict=True))
    pairs = zip(prompts, digests, strict=True)
    changed = [p for p, new_digest in pairs if known.get(p.prompt_id, new_digest) != new_digest]
    answered = recorded()["prompt_id"].unique().to_pylist() if changed else []
    for prompt in changed:
        if prompt.prompt_id in answered:
            raise ConfigError(
                f"prompt `{prompt.prompt_id}` ({prompt.source or 'dataset'}) changed since "
                f"run `{root.name}` recorded answers to it",
                hint="start a new run with name=…"
                if (prompt.source or "").startswith("workload:")  # nobody writes its ids
                else "give the changed row a new id, or start a new run with name=…",
            )
    orphaned = where_not_in(old, "prompt_id", new["prompt_id"])
    inactive = pa.array([False] * len(orphaned), pa.bool_())
    orphaned = orphaned.set_column(
        orphaned.schema.get_field_index("in_current_plan"), "in_current_plan", inactive
    )
    return pa.concat_tables([new, conform(orphaned, new.schema)])


def done_keys(root: Path, unsealed: Sequence[Intent]) -> pa.Table:
    """prompt_id, setting_id and repeat of every trial with a record in a part, and of ``fresh``.

    Raises:
        StorageError: a part is damaged.
    """
    import pyarrow as pa

    files = sorted((root / "records").glob(PATTERN))
    tables = [read_sealed(file, _KEYS) for file in files]
    schema = pa.schema([(k, pa.int64() if k == "repeat" else pa.string()) for k in _KEYS])
    if not files and not unsealed:
        return empty_table(schema)
    rows = {key: [getattr(i, key) for i in unsealed] for key in _KEYS}
    tables.append(pa.Table.from_pydict(rows, schema=schema))
    return pa.concat_tables([t.cast(schema) for t in tables])


def _read(path: Path) -> pa.Table | None:
    return read_sealed(path) if path.exists() else None
