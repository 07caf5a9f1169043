"""``evalharness reconcile RUN``: the provider's own log against what a run recorded."""

from __future__ import annotations

from typing import Annotated, NamedTuple

from evalharness.cli.parser import Command, Example, Option, Positional
from evalharness.errors import EXIT_FAILED, EXIT_OK
from evalharness.process.stdio import data_output


class ReconcileOptions(NamedTuple):
    """The arguments of ``evalharness reconcile``."""

    run: Annotated[str, Positional("RUN")]
    json: Annotated[bool, Option()] = False


def run(options: ReconcileOptions) -> int:
    """Read the log, compare, print; exit code 1 when an answer is missing or was billed twice.

    Raises:
        ConfigError, ProviderError: no provider has a log, or it cannot be read.
    """
    from evalharness.cli.reconciliation import reconcile_lines, reconcile_run
    from evalharness.reconcile.join import has_discrepancies
    from evalharness.report.json import as_json_text

    facts = reconcile_run(options.run)
    if options.json:
        data_output().write(as_json_text(facts))
    else:
        for line in reconcile_lines(facts):
            print(line)
    return EXIT_FAILED if has_discrepancies(facts) else EXIT_OK


COMMAND = Command(
    "reconcile",
    description="Reads the log of a run's provider and compares it attempt by attempt with what "
    "the run recorded. Exit code 1 when an answer is missing there or was billed twice.",
    examples=(
        Example("evalharness reconcile mine", "a run that was sent to a provider with a log"),
        Example("evalharness reconcile mine --json", "all differences as JSON"),
    ),
    options=ReconcileOptions,
    run=run,
)
