"""``evalharness verify RUN``: whether the files of a run folder are whole and agree."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated, NamedTuple

from evalharness.cli.parser import Command, Example, Option, Positional
from evalharness.errors import EXIT_FAILED, EXIT_OK
from evalharness.process.stdio import data_output

if TYPE_CHECKING:
    from pathlib import Path

    from evalharness.store.parts.verify import VerificationReport

_ASKS_AGAIN = "the same evalharness run, once more, asks again what is missing"
_GOES_ON = "the same evalharness run, once more, goes on without it"


class VerifyOptions(NamedTuple):
    """The arguments of ``evalharness verify``."""

    run: Annotated[str, Positional("RUN")]
    repair: Annotated[
        bool, Option("first rebuild a run.json that is missing or damaged, from the other files")
    ] = False
    json: Annotated[bool, Option()] = False


def run(options: VerifyOptions) -> int:
    """Check a run folder; exit 1 when something is wrong."""
    import msgspec

    from evalharness.store.folder.run import find_run
    from evalharness.store.parts.verify import verify_folder

    root = find_run(options.run, without_manifest=True)
    lost = _rebuild(root) if options.repair else None
    report = verify_folder(root)
    report.lost = lost
    if options.json:
        text = msgspec.json.format(msgspec.json.encode(report), indent=2).decode()
        data_output().write(text + "\n")
    else:
        _print_report(report, root, options)
    return EXIT_OK if report.is_sound else EXIT_FAILED


def _rebuild(root: Path) -> list[str] | None:
    """Rebuild the manifest where it cannot be read; what it does not know, None where it can be.

    Raises:
        SchemaVersionError: it was written with another storage schema.
        RunInUseError, StorageError: as :func:`rebuild_manifest`.
    """
    from evalharness.errors import RunNotFoundError, SchemaVersionError
    from evalharness.store.folder.rebuild_manifest import rebuild_manifest
    from evalharness.store.folder.run_folder import read_manifest

    try:
        if read_manifest(root) is not None:
            return None
    except SchemaVersionError:
        raise
    except RunNotFoundError:
        pass
    return rebuild_manifest(root).unknown


def _print_report(report: VerificationReport, root: Path, options: VerifyOptions) -> None:
    from evalharness.process.text import plural

    if report.lost is not None:
        print("run.json was rebuilt; not known any more:")
        for phrase in report.lost:
            print(f"  {phrase}")
    elif options.repair:
        print("run.json can be read, and nothing was rebuilt")
    print(
        f"{report.run}: {report.records} records and {report.attempts} attempts in "
        f"{report.parts} sealed files, {report.unsealed} records still in the journal, "
        f"{report.in_doubt} attempts in doubt"
    )
    if report.waiting:
        print(f"  {report.waiting} requests in batches wait at the provider")
    if report.sealing:
        print(
            f"  {report.sealing} parts are being sealed; if nothing runs, the next run lists them"
        )
    if report.quarantined:
        print(f"  {report.quarantined} damaged journal entries were set aside and asked again")
    for finding in report.findings:
        print(f"  {finding.where}: {finding.problem}")
    print("sound" if report.is_sound else f"{plural(len(report.findings), 'problem')}")
    for way in _ways_on(report, root, options.run):
        print(f"  → {way}")


def _ways_on(report: VerificationReport, root: Path, run: str) -> dict[str, None]:
    """What to do about the problems, each thing once."""
    from evalharness.store.folder.run_folder import read_manifest

    repair = shlex.join(["evalharness", "verify", run, "--repair"])
    if not report.has_manifest:
        return {f"{repair} rebuilds run.json": None}
    manifest = read_manifest(root)
    if report.findings and manifest is not None and manifest.status == "imported":
        folder = shlex.quote(str(root))
        return {f"rm -r {folder}, and the same evalharness import makes it again": None}
    ways: dict[str, None] = {}
    for where, problem in ((finding.where, finding.problem) for finding in report.findings):
        file = shlex.quote(str(root / where))
        away = f"mv {file} {file}.damaged, then " if (root / where).exists() else ""
        if where == "run.json":
            way = f"{away}{repair} rebuilds it from the other files"
        elif where in ("prompts.parquet", "settings.parquet"):
            way = f"{away}the same evalharness run, once more, writes {where} again"
        elif where == "config.yaml" or problem == "not listed in run.json":
            way = f"the same evalharness run, once more, puts {where} right"
        elif where == "annotations.parquet":
            way = f"put a copy of {where} back; else the next mark renames it and begins a new one"
        elif where.endswith(".parquet"):
            next_run = _GOES_ON if where.startswith("attempts/") else _ASKS_AGAIN
            way = f"put a copy of {where} back if you have one; else {away}{next_run}"
        elif where == "records" or problem == "the journal is gone" or problem.startswith("entry "):
            way = _ASKS_AGAIN
        else:  # a journal that is no database any more
            way = f"{away}{_ASKS_AGAIN}; sealed records are not affected"
        ways[way] = None
    return ways


COMMAND = Command(
    "verify",
    description="Reads every file of a run folder and says what is damaged, missing or does not "
    "fit the rest. Exit code 1 when something is wrong. --repair first writes a lost run.json "
    "anew, and says what it could not know.",
    examples=(
        Example("evalharness verify quickstart", "a run under results/"),
        Example("evalharness verify results/quickstart --repair", "after run.json was damaged"),
    ),
    options=VerifyOptions,
    run=run,
)
