"""``evalharness run``: a sweep is sent, recorded and reported."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, NamedTuple

from evalharness.cli.parser import Command, Example, Option

if TYPE_CHECKING:
    from evalharness.cli.compose import CommandResult, ComposedConfig


class RunOptions(NamedTuple):
    """The arguments of ``evalharness run``; ``overrides`` are Hydra's, with its flags.

    ``resume`` are the arguments of the command that resumes this one.
    """

    overrides: Sequence[str] = ()
    yes: Annotated[bool, Option("send without asking, however expensive")] = False
    retry_errors: Annotated[bool, Option("also send again what ended in an error")] = False
    resume: Sequence[str] = ()


def run(options: RunOptions) -> int:
    """Run or continue a sweep."""
    from evalharness.cli.hydra_main import hydra_command

    return hydra_command([*options.overrides], _lock_and_run(options))


def _lock_and_run(options: RunOptions) -> Callable[[list[ComposedConfig]], CommandResult]:
    """The function that Hydra's composed configurations are given to.

    It locks the run folder before it imports anything heavy, so that a second command on the same
    folder fails at once.
    """

    def execute(jobs: list[ComposedConfig]) -> CommandResult:
        from evalharness.store.remote.locations import acquire_lock

        lock = acquire_lock(jobs[0].config)
        from evalharness.cli.execution.execute_run import execute_run

        return execute_run(
            jobs,
            arguments=options.resume,
            yes=options.yes,
            retry_errors=options.retry_errors,
            lock=lock,
        )

    return execute


def _parse(arguments: list[str]) -> RunOptions:
    """Take our own flags out of the arguments; the rest is Hydra's."""
    return RunOptions(
        [a for a in arguments if a not in ("--yes", "--retry-errors")],
        yes="--yes" in arguments,
        retry_errors="--retry-errors" in arguments,
        # It must not send again the errors that this session records.
        resume=[a for a in arguments if a != "--retry-errors"],
    )


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
