"""``evalharness mark RUN TRIAL_ID pass``: what a person says of records, which stay as they are."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, NamedTuple

from evalharness.cli.parser import (
    Command,
    Example,
    Option,
    Parser,
    Positional,
    add_arguments,
    help_texts,
    options_from,
)
from evalharness.errors import EXIT_OK, ConfigError

if TYPE_CHECKING:
    from evalharness.store.folder.annotations import Edit
    from evalharness.store.folder.run import Run


class MarkOptions(NamedTuple):
    """The arguments of ``evalharness mark``; None where one was not given.

    The last of ``words`` is pass, fail or clear, those before it are trials.
    """

    run: Annotated[str, Positional("RUN", "a name under results/, a path or a URL")]
    words: Annotated[
        Sequence[str], Positional("WORD", "ids of trials, then pass, fail or clear")
    ] = ()
    prompt: Annotated[str | None, Option("records of this prompt", "ID")] = None
    setting: Annotated[str | None, Option("records of this setting, by id or label", "S")] = None
    repeat: Annotated[int | None, Option("records of this repeat, from 0", "N")] = None
    note: Annotated[str | None, Option('a note on them; "" takes it away', "TEXT")] = None
    reader: Annotated[
        str | None, Option("who says so (EVALHARNESS_READER, else the user)", "NAME")
    ] = None
    file: Annotated[str | None, Option("marks of many records, CSV or JSONL", "FILE")] = None


def run(options: MarkOptions) -> int:
    """Mark every record that is named; print the marks of the run where none is.

    Raises:
        ConfigError: no record is named or meant, or the file cannot be read.
        StorageError: the disk or the store refused; nothing was changed.
    """
    from evalharness.process.text import plural
    from evalharness.store.folder.annotations import change_annotations
    from evalharness.store.folder.run import Run

    run = Run.open(options.run)
    edits = _edits(run, options)
    if edits is None:
        return _print_counts(run)
    change = change_annotations(run.root, edits)
    if change.set_aside is not None:
        print(
            f"annotations.parquet was damaged; it is {change.set_aside.name} now, and a new one "
            "was begun",
            file=sys.stderr,
        )
    print(f"{run.name}: {plural(len({e.trial for e in edits}), 'record')} changed")
    return EXIT_OK


def _edits(run: Run, options: MarkOptions) -> list[Edit] | None:
    """The changes that were typed; None where nothing is to change."""
    from msgspec import UNSET

    from evalharness.cli.marks.rows import read_mark_rows
    from evalharness.store.folder.annotations import Edit, Mark, reader_name
    from evalharness.store.folder.find_trials import find_trials

    reader = options.reader or reader_name()
    keys = (options.prompt, options.setting, options.repeat)
    verdicts = {mark.value: mark for mark in Mark} | {"clear": None}
    words = list(options.words)
    verdict = words.pop() if words and words[-1] in verdicts else None
    if options.file is not None:
        if words or verdict or options.note is not None or any(k is not None for k in keys):
            raise ConfigError("--file names the records itself", hint="leave the others out")
        return read_mark_rows(run, options.file, reader)
    if verdict is None and options.note is None:
        if not words and all(key is None for key in keys):
            return None
        raise ConfigError(
            "it is not said what to mark the records as",
            hint=f"evalharness mark {options.run} … pass (or fail, clear, --note TEXT)",
        )
    if not words and all(key is None for key in keys):
        raise ConfigError(
            "no record is named", hint=f"evalharness mark {options.run} --prompt ID {verdict or ''}"
        )
    prompt, setting, repeat = keys
    trials = find_trials(run, trial_ids=words, prompt=prompt, setting=setting, repeat=repeat)
    note = UNSET if options.note is None and verdict != "clear" else options.note or None
    mark = UNSET if verdict is None else verdicts[verdict]
    return [Edit(trial=trial, reader=reader, mark=mark, note=note) for trial in trials]


def _print_counts(run: Run) -> int:
    """Print who marked how many records."""
    from evalharness.report.words.sanitize import printable
    from evalharness.store.folder.annotations import Mark, read_annotations

    annotations = read_annotations(run.root)
    if annotations.damage is not None:
        print(f"{run.name}: annotations.parquet {annotations.damage}", file=sys.stderr)
    elif not annotations.rows:
        print(f"{run.name}: no marks")
    for reader in sorted({row.reader for row in annotations.rows}):
        rows = [row for row in annotations.rows if row.reader == reader]
        counts = [f"{sum(row.mark is mark for row in rows)} {mark.value}" for mark in Mark]
        notes = sum(row.note is not None for row in rows)
        print(printable(f"{run.name}: {reader}: {', '.join(counts)}, {notes} with a note"))
    return EXIT_OK


def parse(arguments: list[str]) -> MarkOptions:
    """Parse a command line on which the words may stand before or behind the flags."""
    parser = Parser(prog="evalharness mark", **help_texts(COMMAND))
    add_arguments(parser, MarkOptions)
    return options_from(MarkOptions, parser.parse_intermixed_args(arguments))


COMMAND = Command(
    "mark",
    description="Marks records of a run as passed or failed by a person, with a note if wanted; "
    "without either, counts the marks. They are in annotations.parquet beside run.json: no record "
    "changes, and the run may be going on. `evalharness report RUN scoring=human` counts them as "
    "scores. --file reads the columns trial_id (or prompt_id, setting, repeat), human_mark, "
    "human_note and reader, as `evalharness export` writes them.",
    examples=(
        Example("evalharness mark quickstart --prompt p7 --repeat 0 fail", "every such record"),
        Example("evalharness mark quickstart --file marks.csv", "marks from a spreadsheet"),
    ),
    options=MarkOptions,
    run=run,
    parse=parse,
)
