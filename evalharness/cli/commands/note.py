"""``evalharness note RUN "…"``: a note and tags of a run, which no record knows of."""

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
from evalharness.errors import EXIT_OK, ConfigError, EvalharnessError

if TYPE_CHECKING:
    from evalharness.store.folder.notes import RunNotes


class NoteOptions(NamedTuple):
    """The arguments of ``evalharness note``; ``text`` is empty where none was given."""

    run: Annotated[str, Positional("RUN", "a name, path, URL, or a pattern for several")]
    text: Annotated[Sequence[str], Positional("TEXT", 'the note; "" takes it away')] = ()
    tag: Annotated[Sequence[str], Option("add a tag; repeatable", "T")] = ()
    untag: Annotated[Sequence[str], Option("take a tag away; repeatable", "T")] = ()


def run(options: NoteOptions) -> int:
    """Change note and tags of every run that is named, or print them where nothing is to change.

    Raises:
        ConfigError: a tag is empty, or holds spaces or commas.
        RunNotFoundError: there is no such run.
        StorageError: the disk or the store refused.
    """
    from evalharness.report.words.sanitize import printable
    from evalharness.store.folder.notes import RunNotes, change_notes, read_notes
    from evalharness.store.folder.run import find_run
    from evalharness.store.folder.run_patterns import expand_runs

    for tag in options.tag:
        _check_tag(tag)
    runs = expand_runs([options.run])
    _check_text(options)
    text = " ".join(options.text).strip() if options.text else None

    def edit(notes: RunNotes) -> RunNotes:
        note = notes.note if text is None else text or None
        changed = RunNotes(note=note, tags=notes.tags)
        return changed.with_tags([*options.tag], [*options.untag])

    changes = text is not None or options.tag or options.untag

    def change(run: str) -> None:
        root = find_run(run)
        before = read_notes(root)
        for tag in options.untag:
            if tag not in before.tags:
                print(f"{root.name} has no tag `{printable(tag)}`", file=sys.stderr)
        notes = change_notes(root, edit) if changes else before
        print(printable(f"{root.name}: {_sentence(notes)}"))

    if len(runs) == 1:
        change(runs[0])
        return EXIT_OK
    exit_code = EXIT_OK
    for run in runs:  # one that is damaged keeps no note from the others
        try:
            change(run)
        except EvalharnessError as error:
            hint = f" → {error.hint}" if error.hint else ""
            print(printable(f"{run}: unchanged: {error.message}{hint}"), file=sys.stderr)
            exit_code = max(exit_code, error.exit_code)
    return exit_code


def parse(arguments: list[str]) -> NoteOptions:
    """Parse a command line on which the note may stand before or behind the flags."""
    parser = Parser(prog="evalharness note", **help_texts(COMMAND))
    add_arguments(parser, NoteOptions)
    return options_from(NoteOptions, parser.parse_intermixed_args(arguments))


def _check_text(options: NoteOptions) -> None:
    from evalharness.store.folder.run_patterns import RESULTS, holds_run

    text = " ".join(options.text)
    if any("\ud800" <= c <= "\udfff" for c in text):
        raise ConfigError("the note holds bytes that are no UTF-8", hint="type it as UTF-8 text")
    if options.text and all(word and holds_run(RESULTS / word) for word in options.text):
        runs = " ".join([options.run, *options.text])
        raise ConfigError(
            f"`{runs}` are several runs, and a note goes to one RUN or to a pattern in quotes",
            hint="evalharness note 'nightly-*' --tag nightly; or a run after the other",
        )


def _check_tag(tag: str) -> None:
    if tag and tag.isprintable() and not any(c.isspace() or c == "," for c in tag):
        return
    raise ConfigError(
        f"`{tag}` cannot be a tag: it is empty, or has a space, a comma or a control character",
        hint="--tag nightly; several tags: --tag nightly --tag release",
    )


def _sentence(notes: RunNotes) -> str:
    tags = f"tags {', '.join(notes.tags)}" if notes.tags else "no tags"
    return f"{tags}; {'no note' if notes.note is None else f'note: {notes.note}'}"


COMMAND = Command(
    "note",
    description="Gives a run a note and tags, which evalharness list shows and filters by; without "
    "either, prints them. They are in notes.json beside run.json: no record changes, and the run "
    "may be going on.",
    examples=(
        Example('evalharness note quickstart "before the new prompt" --tag baseline', "both"),
        Example("evalharness note 'nightly-*' --tag nightly --untag trial", "tags of several runs"),
    ),
    options=NoteOptions,
    run=run,
    parse=parse,
)
