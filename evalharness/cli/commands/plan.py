"""``evalharness plan``: what a run would send, take and cost; only ``--pilot`` sends anything."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, NamedTuple

from evalharness.cli.parser import (
    Command,
    Example,
    Option,
    Parser,
    add_arguments,
    help_texts,
    options_from,
)
from evalharness.errors import EXIT_BUDGET, EXIT_OK, ConfigError
from evalharness.process.stdio import data_output

if TYPE_CHECKING:
    from evalharness.cli.compose import CommandResult, ComposedConfig
    from evalharness.cli.execution.prepare import PreparedRun


class PlanOptions(NamedTuple):
    """The arguments of ``evalharness plan``; ``overrides`` are Hydra's, with its flags.

    ``pilot`` are the trials of each setting to send and record first, None sends nothing;
    ``from_run`` is the run that planning for ``detect`` (scored) and ``equality`` rests on, None
    makes assumptions.
    """

    overrides: Sequence[str] = ()
    json: Annotated[bool, Option("all of it as JSON on stdout")] = False
    pilot: Annotated[
        int | None,
        Option(
            "first send N trials of each setting (they count for the run), then extrapolate", "N"
        ),
    ] = None
    yes: Annotated[bool, Option("send an expensive pilot without asking")] = False
    detect: Annotated[
        str | None, Option("how many prompts and repeats show such a score difference", "2pp")
    ] = None
    equality: Annotated[
        str | None,
        Option("how many show that such a share of outputs is not of the same model", "20%"),
    ] = None
    from_run: Annotated[
        str | None,
        Option(
            "for --detect, --equality: take from this run how much outputs vary", "RUN", "--from"
        ),
    ] = None


def run(options: PlanOptions) -> int:
    """Say what a run would send.

    Raises:
        ConfigError: ``from_run`` without ``detect`` and ``equality``, or what the configuration
            refuses.
    """
    from evalharness.cli.hydra_main import hydra_command

    if options.from_run is not None and options.detect is None and options.equality is None:
        raise ConfigError(
            "--from is for --detect and --equality: how much outputs vary is taken from that run",
            hint=f"evalharness plan --detect 2pp --from {options.from_run}",
        )

    return hydra_command([*options.overrides], _plan(options), command="plan")


def _plan(options: PlanOptions) -> Callable[[list[ComposedConfig]], CommandResult]:
    """The function that Hydra's composed configurations are given to."""

    def execute(jobs: list[ComposedConfig]) -> CommandResult:
        from evalharness.cli.compose import CommandResult
        from evalharness.cli.execution.prepare import prepare
        from evalharness.cli.execution.workload_counts import known_counts
        from evalharness.cli.plan_facts import detection_facts, equality_facts, plan_facts

        pilot = options.pilot
        prepared = prepare(
            [job.config for job in jobs],
            sends=pilot is not None,
            counts=known_counts(jobs[0].config),
        )
        exit_code, next_arguments = EXIT_OK, [*options.overrides]
        _say_what_a_run_lacks(prepared)
        if pilot is not None:
            exit_code, next_arguments = _send_pilot(jobs, prepared, pilot, options)
        facts = plan_facts(prepared)
        if options.detect is not None:
            facts["detect"] = detection_facts(prepared, facts, options.detect, options.from_run)
        if options.equality is not None:
            facts["equality"] = equality_facts(prepared, facts, options.equality, options.from_run)
        if options.json:
            from evalharness.report.json import as_json_text

            data_output().write(as_json_text(facts))
        else:
            from evalharness.cli.plan_text import plan_lines

            for line in plan_lines(facts, next_arguments, piloted=pilot is not None):
                print(line)
        return CommandResult(exit_code)

    return execute


def _say_what_a_run_lacks(prepared: PreparedRun) -> None:
    """Say that the engine of the local model is missing, which a plan does not need."""
    if any(provider.kind == "local" for provider in prepared.providers.values()):
        from evalharness.providers.local.lifecycle import missing_engine

        missing = missing_engine()
        if missing is not None:
            print(f"before it can run: {missing}", file=sys.stderr)


def _send_pilot(
    jobs: list[ComposedConfig], prepared: PreparedRun, size: int, options: PlanOptions
) -> tuple[int, list[str]]:
    """Send a pilot; the exit code, and the overrides of the commands that are offered next."""
    import shlex

    from evalharness.cli.execution.event_loop import run_on_loop
    from evalharness.cli.execution.pilot import send_pilot
    from evalharness.cli.execution.run_summary import with_higher_limit

    if prepared.plan.config.load is not None:
        raise ConfigError("--pilot sends no load points", hint="--pilot … load=none")
    overrides = [*options.overrides]
    stop = run_on_loop(lambda: send_pilot(jobs, prepared, size, yes=options.yes))
    if stop is None:
        return EXIT_OK, overrides
    if stop.exit_code == EXIT_BUDGET:
        overrides = with_higher_limit(overrides)
    typed = ["--pilot", str(size), *(["--yes"] if options.yes else []), *overrides]
    again = shlex.join(["evalharness", "plan", *typed])
    print(f"to go on with the pilot: {again}", file=sys.stderr)
    return stop.exit_code, overrides


def _parse(arguments: list[str]) -> PlanOptions:
    """Parse our own options; unknown arguments are left to Hydra."""
    epilog = "Groups, keys and examples of overrides: evalharness run --help"
    parser = Parser(
        prog="evalharness plan",
        usage="evalharness plan [options] [OVERRIDE…] [hydra flags]",
        allow_abbrev=False,
        **help_texts(COMMAND, epilog),
    )
    add_arguments(parser, PlanOptions)
    namespace, overrides = parser.parse_known_args(arguments)
    return options_from(PlanOptions, namespace, overrides=overrides)


COMMAND = Command(
    "plan",
    description="What `evalharness run` with the same overrides would send, take and cost. "
    "Nothing is sent without --pilot.",
    examples=(
        Example("evalharness plan repeats=5 sweep.temperature=[0,0.7]", "more of the quickstart"),
        Example("evalharness plan --detect 2pp", "what shows a score difference of 2 points"),
    ),
    options=PlanOptions,
    run=run,
    parse=_parse,
)
