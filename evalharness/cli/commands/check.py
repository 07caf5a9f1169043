"""``evalharness check RUN``: a gate for CI. Exit 1 when something does not hold."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, NamedTuple

from evalharness.cli.parser import Command, Example, Option, Overrides, Positional, Pricing
from evalharness.errors import EXIT_FAILED, EXIT_OK

if TYPE_CHECKING:
    from evalharness.report.build.open_run import RunData


class CheckOptions(NamedTuple):
    """The arguments of ``evalharness check``.

    ``min_…`` and ``max_…`` are the limits of the gates that are called so, None where not given;
    ``setting`` are labels, parts of labels or ids, empty for all; ``partial`` also checks a run
    that is not complete.
    """

    run: Annotated[str, Positional("RUN")]
    overrides: Overrides = ()
    min_agreement: Annotated[
        float | None, Option("least pairwise agreement of raw text (0–1), every setting", "X")
    ] = None
    min_answer_agreement: Annotated[
        float | None, Option("least pairwise agreement of answers (0–1)", "X")
    ] = None
    min_score: Annotated[float | None, Option("least mean score (0–1)", "X")] = None
    max_error_share: Annotated[float | None, Option("most failed trials (0–1)", "X")] = None
    max_latency_p50_s: Annotated[float | None, Option("most median latency, seconds", "X")] = None
    max_latency_p95_s: Annotated[
        float | None, Option("most 95th percentile of latency, seconds", "X")
    ] = None
    max_cost_usd: Annotated[
        float | None,
        Option("most the run may have cost, US dollars (computed or billed, the larger)", "X"),
    ] = None
    confident: Annotated[bool, Option("hold the interval's worse bound to the limit")] = False
    setting: Annotated[
        Sequence[str],
        Option("only settings of this label, part of it (system=terse) or id; repeatable", "LABEL"),
    ] = ()
    partial: Annotated[bool, Option("also a run that is not complete")] = False
    pricing: Pricing = None
    junit: Annotated[str | None, Option("write the verdicts as JUnit XML", "FILE")] = None


def run(options: CheckOptions) -> int:
    """Hold a run to its gates; with ``confident`` the interval's worse bound must hold.

    What is unknown does not hold: a gate on a score fails for a run without scores, and a run
    that is not complete fails as a whole, whatever its figures so far.

    Raises:
        ConfigError: no gate, a limit that no figure could meet or miss, an unknown setting.
    """
    from pathlib import Path

    from evalharness.analysis.summary import summarise
    from evalharness.cli.gates import GATES, check_limits, check_settings, select_settings
    from evalharness.report.build.open_run import open_run
    from evalharness.report.build.overrides import parse_overrides
    from evalharness.report.words.sanitize import printable
    from evalharness.store.folder.run import Run

    given = ((gate.flag, getattr(options, gate.flag)) for gate in GATES)
    limits: dict[str, float] = {flag: limit for flag, limit in given if limit is not None}
    check_limits(limits)
    pricing = None if options.pricing is None else Path(options.pricing)
    source = open_run(Run.open(options.run), parse_overrides(options.overrides, pricing=pricing))
    rows = select_settings(summarise(source.frame, source.costs), options.setting)
    verdicts = [
        *check_settings(
            rows, source.costs, limits, confident=options.confident, selected=bool(options.setting)
        )
    ]
    for verdict in verdicts:
        print(printable(verdict.sentence))
    incomplete = None if options.partial else _incomplete_reason(source)
    if incomplete is not None:
        print(f"FAIL the run: {printable(incomplete)}")
    if options.junit is not None:
        from evalharness.cli.junit import junit_xml
        from evalharness.store.folder.durable_files import USER_FILE_MODE, write_bytes_durably

        page = junit_xml(source.run.name, verdicts, incomplete)
        write_bytes_durably(Path(options.junit), page, mode=USER_FILE_MODE)
    failed = [v for v in verdicts if not v.holds]
    print(f"{len(verdicts) - len(failed)} of {len(verdicts)} checks hold", file=sys.stderr)
    return EXIT_FAILED if failed or incomplete else EXIT_OK


def _incomplete_reason(source: RunData) -> str | None:
    manifest = source.run.manifest
    if manifest.status in ("complete", "imported"):
        return None
    planned = "" if manifest.planned is None else f" of {manifest.planned} planned trials"
    recorded = f"{len(source.records)}{planned} recorded"
    return f"it is {manifest.status}, with {recorded}; --partial checks it as it is"


COMMAND = Command(
    "check",
    description="Holds every setting of a run to limits, and prints a verdict on each. What is "
    "unknown does not hold. Exit code 1 when something does not hold.",
    examples=(
        Example(
            "evalharness check quickstart --min-agreement 0.9 --max-error-share 0.01",
            "every setting must hold both",
        ),
        Example(
            "evalharness check quickstart --min-score 0.5 --confident --junit check.xml",
            "the interval's lower bound must hold; verdicts for a CI server",
        ),
    ),
    options=CheckOptions,
    run=run,
)
