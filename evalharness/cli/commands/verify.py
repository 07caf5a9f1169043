"""``evalharness verify RUN``: whether the files of a run folder are whole and agree."""

from __future__ import annotations

import sys
from typing import Annotated, NamedTuple

from evalharness.cli.parser import Command, Example, Option, Positional
from evalharness.errors import EXIT_FAILED, EXIT_OK


class VerifyOptions(NamedTuple):
    """The arguments of ``evalharness verify``."""

    run: Annotated[str, Positional("RUN")]
    json: Annotated[bool, Option()] = False


def run(options: VerifyOptions) -> int:
    """Check a run folder; exit 1 when something is wrong."""
    import msgspec

    from evalharness.process.text import plural
    from evalharness.store.folder.run import find_run
    from evalharness.store.parts.verify import verify_folder

    report = verify_folder(find_run(options.run))
    if options.json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(report), indent=2).decode() + "\n")
        return EXIT_OK if report.is_sound else EXIT_FAILED
    print(
        f"{report.run}: {report.records} records and {report.attempts} attempts in "
        f"{report.parts} sealed files, {report.unsealed} records still in the journal, "
        f"{report.in_doubt} attempts in doubt"
    )
    if report.sealing:
        print(
            f"  {report.sealing} parts are being sealed; if nothing runs, the next run lists them"
        )
    if report.quarantined:
        print(f"  {report.quarantined} damaged journal entries were set aside and asked again")
    for finding in report.findings:
        print(f"  {finding.where}: {finding.problem}")
    print("sound" if report.is_sound else f"{plural(len(report.findings), 'problem')}")
    return EXIT_OK if report.is_sound else EXIT_FAILED


COMMAND = Command(
    "verify",
    description="Reads every file of a run folder and says what is damaged, missing or does not "
    "fit the rest. Exit code 1 when something is wrong.",
    examples=(
        Example("evalharness verify quickstart", "a run under results/"),
        Example("evalharness verify results/quickstart --json", "by path; findings as JSON"),
    ),
    options=VerifyOptions,
    run=run,
)
