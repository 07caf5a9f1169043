"""``evalharness import FILE RUN``: stores responses from elsewhere as a run folder."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated, NamedTuple

from evalharness.cli.parser import Command, Example, Option, Positional
from evalharness.config.package_version import __version__
from evalharness.errors import EXIT_OK, ConfigError


class ImportOptions(NamedTuple):
    """The arguments of ``evalharness import``; ``map`` are pairs ``THEIRS=OURS`` of columns."""

    file: Annotated[str, Positional("FILE", "CSV, JSONL or Parquet")]
    run: Annotated[str, Positional("RUN", "name of the new run")]
    map: Annotated[Sequence[str], Option(metavar="THEIRS=OURS")] = ()


def run(options: ImportOptions) -> int:
    """Import the file under ``results/``."""
    return import_file(options.file, options.run, options.map)


def import_file(file: str, run: str, mapping: Sequence[str], results: str = "results") -> int:
    """Read a file by the import rules and write it as a new run."""
    from pathlib import Path

    from evalharness.importing import read_import
    from evalharness.process.text import plural
    from evalharness.store.folder.imported_run import write_imported_run

    imported = read_import(Path(file), mapping=_mapping(mapping))
    root = write_imported_run(
        results_dir=Path(results),
        name=run,
        records=imported.records,
        prompts=imported.prompts,
        settings=imported.settings,
        notes=imported.notes,
        answers_supplied=imported.answers_supplied,
        code_version=__version__,
    )
    for note in imported.notes:
        print(note, file=sys.stderr)
    print(
        f"{plural(len(imported.records), 'record')} of {plural(len(imported.prompts), 'prompt')} "
        f"under {plural(len(imported.settings), 'setting')} imported; "
        f"evalharness report {root.name}",
        file=sys.stderr,
    )
    return EXIT_OK


def _mapping(pairs: Sequence[str]) -> dict[str, str]:
    mapping: dict[str, str] = {}
    for pair in pairs:
        theirs, equals, ours = pair.partition("=")
        if not equals or not theirs or not ours:
            raise ConfigError(f"`--map {pair}` is not THEIRS=OURS", hint="--map id=prompt_id")
        if theirs in mapping:
            raise ConfigError(f"`--map` names the column `{theirs}` twice")
        mapping[theirs] = ours
    return mapping


COMMAND = Command(
    "import",
    description="Reads one response a row and stores them as a run, which report, compare, check "
    "and judge read like any other. Columns: docs/import.md.",
    examples=(
        Example("evalharness import responses.csv mine", "columns prompt_id and text at least"),
        Example(
            "evalharness import responses.jsonl mine --map id=prompt_id --map output=text",
            "columns that are called otherwise",
        ),
    ),
    options=ImportOptions,
    run=run,
)
