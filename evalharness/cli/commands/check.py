"""``evalharness check RUN``: a gate for CI. Exit 1 when something does not hold."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, NamedTuple

from evalharness.cli.parser import Command, Example, Option, Overrides, Positional, Pricing
from evalharness.errors import EXIT_FAILED, EXIT_OK

if TYPE_CHECKING:
    from evalharness.cli.check.hold import AnyVerdict
    from evalharness.cli.check.rules import GivenRules


class CheckOptions(NamedTuple):
    """The arguments of ``evalharness check``.

    ``min_…`` and ``max_…`` are the limits of the gates that are called so, None where not given;
    ``setting`` are labels, parts of labels or ids, empty for all, ``tag`` tags of prompts;
    ``partial`` also checks a run that is not complete, ``allow_incomplete`` also compares with one.
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
    max_ttft_p95_s: Annotated[
        float | None, Option("most 95th percentile of the first token, seconds", "X")
    ] = None
    max_tpot_p95_s: Annotated[
        float | None, Option("benchmarks: most p95 of the time per token, seconds", "X")
    ] = None
    max_itl_p95_s: Annotated[
        float | None, Option("benchmarks: most p95 of gaps between chunks, seconds", "X")
    ] = None
    min_goodput: Annotated[
        float | None, Option("benchmarks: least share that met the SLO (0–1)", "X")
    ] = None
    min_throughput_per_s: Annotated[
        float | None, Option("benchmarks: least answers per second", "X")
    ] = None
    min_output_tokens_per_s: Annotated[
        float | None, Option("benchmarks: least output tokens per second", "X")
    ] = None
    min_saturation_per_s: Annotated[
        float | None, Option("searches: least rate per second that met the SLO", "X")
    ] = None
    confident: Annotated[bool, Option("hold the interval's worse bound to the limit")] = False
    baseline: Annotated[
        str | None, Option("an earlier run that the gates below compare with", "RUN")
    ] = None
    max_regression: Annotated[
        Sequence[str],
        Option("most that score or agreement may fall, as score=2pp", "METRIC=X", words=True),
    ] = ()
    max_increase: Annotated[
        Sequence[str],
        Option(
            "most that cost, latency_p95, … may rise, in percent or the unit",
            "METRIC=X",
            words=True,
        ),
    ] = ()
    min_prompt_pass: Annotated[
        float | None, Option("least share of its repeats that each prompt passes (0–1)", "X")
    ] = None
    max_new_failures: Annotated[
        int | None, Option("most prompts that passed in the baseline and fail now", "N")
    ] = None
    max_new_errors: Annotated[
        int | None, Option("most prompts with an error and none in the baseline", "N")
    ] = None
    allow_incomplete: Annotated[bool, Option("also a baseline that is not complete")] = False
    gates: Annotated[str | None, Option("read gates from a YAML file", "FILE")] = None
    setting: Annotated[
        Sequence[str],
        Option("only settings of this label, part of it (system=terse) or id; repeatable", "LABEL"),
    ] = ()
    tag: Annotated[
        Sequence[str], Option("only prompts with this tag; repeatable, each by itself", "TAG")
    ] = ()
    partial: Annotated[bool, Option("also a run that is not complete")] = False
    pricing: Pricing = None
    junit: Annotated[str | None, Option("write the verdicts as JUnit XML", "FILE")] = None
    markdown: Annotated[
        str | None, Option("write them as Markdown, for a pull request", "FILE")
    ] = None


def run(options: CheckOptions) -> int:
    """Hold a run to its gates; with ``confident`` the interval's worse bound must hold.

    What is unknown does not hold: a gate on a score fails for a run without scores, and a run
    that is not complete fails as a whole, whatever its figures so far.

    Raises:
        ConfigError: no gate, a limit that no figure could meet or miss, an unknown setting or tag,
            a baseline that is missing, not complete, or has nothing in common with the run, a file
            to write in a folder that does not exist.
    """
    from pathlib import Path

    from evalharness.cli.check.baseline import baseline_line, incomplete_reason, open_baseline
    from evalharness.cli.check.hold import hold_run
    from evalharness.cli.output_files import output_path
    from evalharness.report.build.open_run import open_run
    from evalharness.report.build.overrides import parse_overrides
    from evalharness.report.words.sanitize import printable
    from evalharness.store.folder.run import Run

    overrides, given = _given_rules(options)
    for typed in filter(None, (options.junit, options.markdown)):
        output_path(typed)  # before anything takes time
    pricing = None if options.pricing is None else Path(options.pricing)
    report_overrides = parse_overrides(overrides, pricing=pricing)
    source = open_run(Run.open(options.run), report_overrides)
    baseline, compared = None, None
    if given.baseline is not None:
        baseline = open_baseline(
            given.baseline, source, report_overrides, allow_incomplete=given.allow_incomplete
        )
        compared = baseline_line(baseline, source)
        print(printable(compared), file=sys.stderr)
    verdicts = [*hold_run(source, given.rules, baseline)]
    for verdict in verdicts:
        print(printable(verdict.sentence))
    incomplete = None if given.partial else incomplete_reason(source)
    if incomplete is not None:
        incomplete = f"{incomplete}; --partial checks it as it is"
        print(f"FAIL the run: {printable(incomplete)}")
    _write_files(options, source.run.name, verdicts, incomplete, compared)
    total = len(verdicts) + (incomplete is not None)  # as the files count
    held = sum(verdict.holds for verdict in verdicts)
    print(f"{held} of {total} checks hold", file=sys.stderr)
    return EXIT_OK if held == total else EXIT_FAILED


def _given_rules(options: CheckOptions) -> tuple[list[str], GivenRules]:
    """What replaces the run's own scoring, and the gates of the flags and of the file.

    ``scoring=…`` behind the several words of a flag is no metric, and counts as typed before them.
    """
    from evalharness.cli.check.allowances import INCREASE, REGRESSION, read_allowances
    from evalharness.cli.check.rules import LIMITS, GivenRules, Rules, merge_rules, read_gates_file

    overrides = list(options.overrides)
    words: dict[str, list[str]] = {}
    for gate in (REGRESSION, INCREASE):
        typed: Sequence[str] = getattr(options, gate)
        overrides += [word for word in typed if word.startswith(_OVERRIDES)]
        words[gate] = [word for word in typed if not word.startswith(_OVERRIDES)]
    given = {flag: getattr(options, flag) for flag in LIMITS}
    rules = Rules(
        limits={flag: limit for flag, limit in given.items() if limit is not None},
        allowances=[each for gate in words for each in read_allowances(gate, words[gate])],
        min_prompt_pass=options.min_prompt_pass,
        max_new_failures=options.max_new_failures,
        max_new_errors=options.max_new_errors,
        confident=options.confident,
        setting=list(options.setting),
        tag=list(options.tag),
    )
    file = None if options.gates is None else read_gates_file(options.gates)
    flags = GivenRules(
        rules=[rules],
        baseline=options.baseline,
        allow_incomplete=options.allow_incomplete,
        partial=options.partial,
    )
    return overrides, merge_rules(flags, file)


_OVERRIDES = ("scoring=", "answer=", "pricing.prices=")


def _write_files(
    options: CheckOptions,
    run_name: str,
    verdicts: Sequence[AnyVerdict],
    incomplete: str | None,
    compared: str | None,
) -> None:
    from pathlib import Path

    from evalharness.store.folder.durable_files import USER_FILE_MODE, write_bytes_durably

    if options.junit is not None:
        from evalharness.cli.junit import junit_xml

        page = junit_xml(run_name, verdicts, incomplete)
        write_bytes_durably(Path(options.junit), page, mode=USER_FILE_MODE)
    if options.markdown is not None:
        from evalharness.cli.check.summary import check_markdown

        text = check_markdown(run_name, verdicts, incomplete, compared)
        write_bytes_durably(Path(options.markdown), text.encode(), mode=USER_FILE_MODE)


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
            "evalharness check today --baseline yesterday --max-regression score=2pp "
            "--max-increase cost=10% latency_p95=15% --junit check.xml",
            "not shown to be worse than yesterday; verdicts for a CI server",
        ),
    ),
    options=CheckOptions,
    run=run,
)
