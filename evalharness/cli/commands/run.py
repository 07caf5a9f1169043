"""``evalharness run``: a sweep is sent, recorded and reported."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, NamedTuple

from evalharness.cli.parser import Command, Example, Option
from evalharness.errors import ConfigError

if TYPE_CHECKING:
    from evalharness.cli.compose import CommandResult, ComposedConfig


class RunOptions(NamedTuple):
    """The arguments of ``evalharness run``; ``overrides`` are Hydra's, with its flags.

    ``resume`` are the arguments of the command that resumes this one. ``from_run`` is a run whose
    stored configuration takes the place of ours; None: ours.
    """

    overrides: Sequence[str] = ()
    yes: Annotated[bool, Option("send without asking, however expensive")] = False
    retry_errors: Annotated[bool, Option("also send again what ended in an error")] = False
    cancel: Annotated[bool, Option("cancel the run's batches, and keep what they answered")] = False
    resume: Sequence[str] = ()
    from_run: str | None = None


def run(options: RunOptions) -> int:
    """Run or continue a sweep."""
    if options.from_run is not None:
        return _repeat(options, options.from_run)
    from evalharness.cli.hydra_main import hydra_command

    return hydra_command([*options.overrides], _lock_and_run(options))


def _repeat(options: RunOptions, run: str) -> int:
    """Run the stored configuration of a run, and say what differs now."""
    import sys

    from evalharness.cli.execution.execute_run import SendOptions, execute_run
    from evalharness.cli.execution.prepare import PreparedRun
    from evalharness.cli.repeat_run import compose_repeat, difference_lines
    from evalharness.store.folder.run import Run

    source = Run.open(run)
    jobs = compose_repeat(source, options.overrides)

    def say_differences(prepared: PreparedRun) -> None:
        for line in difference_lines(source, jobs, prepared):
            print(line, file=sys.stderr)

    send = SendOptions(
        yes=options.yes,
        retry_errors=options.retry_errors,
        prepared=say_differences,
        cancel=options.cancel,
    )
    return execute_run(jobs, arguments=options.resume, options=send).exit_code


def _lock_and_run(options: RunOptions) -> Callable[[list[ComposedConfig]], CommandResult]:
    """The function that Hydra's composed configurations are given to.

    It locks the run folder before it imports anything heavy, so that a second command on the same
    folder fails at once.
    """

    def execute(jobs: list[ComposedConfig]) -> CommandResult:
        from evalharness.store.remote.locations import acquire_lock

        lock = acquire_lock(jobs[0].config)
        from evalharness.cli.execution.execute_run import SendOptions, execute_run

        send = SendOptions(
            yes=options.yes,
            retry_errors=options.retry_errors,
            lock=lock,
            cancel=options.cancel,
        )
        return execute_run(jobs, arguments=options.resume, options=send)

    return execute


def _parse(arguments: list[str]) -> RunOptions:
    """Take our own flags out of the arguments; the rest is Hydra's.

    Raises:
        ConfigError: ``--from`` without a run.
    """
    overrides, from_run = _take_from(arguments)
    return RunOptions(
        [a for a in overrides if a not in ("--yes", "--retry-errors", "--cancel")],
        yes="--yes" in arguments,
        retry_errors="--retry-errors" in arguments,
        cancel="--cancel" in arguments,
        # It must not send again the errors that this session records, nor cancel anything.
        resume=[a for a in arguments if a not in ("--retry-errors", "--cancel")],
        from_run=from_run,
    )


def _take_from(arguments: list[str]) -> tuple[list[str], str | None]:
    """The arguments without ``--from RUN`` (or ``--from=RUN``), and the run."""
    for position, word in enumerate(arguments):
        flag, equals, value = word.partition("=")
        if flag != "--from":
            continue
        following = arguments[position + 1 : position + 2]
        run = value if equals else "".join(following)
        if not run or (not equals and (run.startswith("-") or "=" in run.partition("://")[0])):
            raise ConfigError(
                "--from needs a run", hint="evalharness run --from RUN name=NEW [KEY=VALUE…]"
            )
        rest = arguments[position + 1 if equals else position + 2 :]
        return [*arguments[:position], *rest], run
    return arguments, None


# Its --help is Hydra's, from the template in configs/config.yaml, which holds the texts below.
COMMAND = Command(
    "run",
    description="Run a sweep, or continue and extend one.",
    examples=(
        Example("evalharness run", "the quickstart on the local model"),
        Example(
            "evalharness run sweep.temperature=[0,0.5] repeats=5 dataset.limit=4",
            "two temperatures, five repeats of four prompts",
        ),
    ),
    options=RunOptions,
    run=run,
    parse=_parse,
)
