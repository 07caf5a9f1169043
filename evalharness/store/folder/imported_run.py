"""Writes the folder of an imported run: the same files as a run's, without attempts or journal."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from evalharness.errors import ConfigError
from evalharness.store.folder.run_folder import RunFolder, read_manifest
from evalharness.store.parts.part_files import write_part, write_table

if TYPE_CHECKING:
    import pyarrow as pa

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def write_imported_run(
    *,
    results_dir: Path,
    name: str,
    records: pa.Table,
    prompts: pa.Table,
    settings: pa.Table,
    notes: list[str],
    answers_supplied: bool,
    code_version: str,
) -> Path:
    """Write tables that conform to :mod:`evalharness.schema` as ``results_dir/name``.

    Raises:
        ConfigError: the name is not one a run can have, or there is a run of that name.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"`{name}` cannot be the name of a run", hint="letters, digits, . _ - (at most 64)"
        )
    root = results_dir / name
    existing = read_manifest(root)
    if existing is not None and not existing.is_only_begun:
        raise ConfigError(
            f"there is a run `{name}` already", hint="choose another name, or remove its folder"
        )
    folder = RunFolder.open(root, code_version=code_version)
    try:
        write_table(root / "prompts.parquet", prompts)
        write_table(root / "settings.parquet", settings)
        part = write_part(root, "records", 1, records)
        folder.save_manifest(
            status="imported",
            recorded=len(records),
            planned=None,
            by_status=dict(sorted(Counter(records["status"].to_pylist()).items())),
            parts=[part],
            notes=notes,
            answers_supplied=answers_supplied,
        )
    finally:
        folder.close()
    return root
