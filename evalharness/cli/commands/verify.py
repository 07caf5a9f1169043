"""``evalharness verify RUN``."""

from __future__ import annotations

import sys

import msgspec

from evalharness.errors import EXIT_FAILED, EXIT_OK
from evalharness.process.text import plural
from evalharness.store.folder.run import find_run
from evalharness.store.parts.verify import verify_folder


def verify(run: str, *, as_json: bool) -> int:
    """Check a run folder; exit 1 when something is wrong."""
    report = verify_folder(find_run(run))
    if as_json:
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
