"""How ``evalharness run`` begins: the lock of its folder first, and only then what takes time."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from evalharness.cli.compose import Job, Result
from evalharness.store.remote.locations import hold


def run_command(
    arguments: Sequence[str], *, yes: bool, retry_errors: bool = False
) -> Callable[[list[Job]], Result]:
    """The function Hydra's composed jobs are handed to; ``arguments`` go into the resume line.

    Whoever comes second to a run folder learns so before anything else is imported.
    """

    def execute(jobs: list[Job]) -> Result:
        config = jobs[0].config
        lock = hold(config)
        from evalharness.cli.commands.run import execute_run

        return execute_run(jobs, arguments=arguments, yes=yes, retry_errors=retry_errors, lock=lock)

    return execute
