"""Arguments of the commands that send requests or answer them: run, plan, judge, serve."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from evalharness.cli.parser import Commands, Parser

if TYPE_CHECKING:
    from evalharness.cli.compose import CommandResult, ComposedConfig


def run(arguments: list[str]) -> int:
    """Run or continue a sweep; the exit code."""
    from evalharness.cli.hydra_main import hydra_command

    yes = "--yes" in arguments
    retry_errors = "--retry-errors" in arguments
    overrides = [a for a in arguments if a not in ("--yes", "--retry-errors")]
    # The command that resumes this session must not send the errors that it records again.
    resume = [a for a in arguments if a != "--retry-errors"]
    return hydra_command(overrides, _lock_and_run(resume, yes=yes, retry_errors=retry_errors))


def _lock_and_run(
    resume: Sequence[str], *, yes: bool, retry_errors: bool
) -> Callable[[list[ComposedConfig]], CommandResult]:
    """The function that Hydra's composed configurations are given to.

    It locks the run folder before it imports anything heavy, so that a second command on the same
    folder fails at once. ``resume`` are the arguments of the command that resumes this one.
    """

    def execute(jobs: list[ComposedConfig]) -> CommandResult:
        from evalharness.store.remote.locations import acquire_lock

        lock = acquire_lock(jobs[0].config)
        from evalharness.cli.commands.run import execute_run

        return execute_run(jobs, arguments=resume, yes=yes, retry_errors=retry_errors, lock=lock)

    return execute


def plan(arguments: list[str]) -> int:
    """Say what a run would send; the exit code."""
    from evalharness.cli.commands.plan import plan_command
    from evalharness.cli.hydra_main import hydra_command

    # Unknown arguments are left to Hydra.
    parser = Parser(
        prog="evalharness plan",
        usage="evalharness plan [options] [OVERRIDE…] [hydra flags]",
        description="What `evalharness run` with the same overrides would send, take and cost. "
        "Nothing is sent without --pilot.",
        epilog="Groups, keys and examples of overrides: evalharness run --help",
        allow_abbrev=False,
    )
    parser.add_argument("--json", action="store_true", help="all of it as JSON on stdout")
    parser.add_argument(
        "--pilot", type=int, metavar="N",
        help="first send N trials of each setting (they count for the run), then extrapolate",
    )  # fmt: skip
    parser.add_argument("--yes", action="store_true", help="send an expensive pilot without asking")
    parser.add_argument(
        "--detect", metavar="2pp", help="how many prompts and repeats show such a score difference"
    )
    parser.add_argument(
        "--from", dest="from_run", metavar="RUN",
        help="for --detect: take from this run how much scores vary",
    )  # fmt: skip
    options, overrides = parser.parse_known_args(arguments)
    execute = plan_command(
        overrides,
        as_json=options.json,
        pilot=options.pilot,
        detect=options.detect,
        from_run=options.from_run,
        yes=options.yes,
    )
    return hydra_command(overrides, execute)


def judge(arguments: list[str]) -> int:
    """Have a model grade outputs; the exit code."""
    from evalharness.cli.commands.judge import judge

    # A parser of its own: a command's positionals may not stand on both sides of an option.
    parser = Parser(prog="evalharness judge", allow_abbrev=False)
    parser.add_argument("run", metavar="RUN", help="a name under results/, a path or a URL")
    parser.add_argument(
        "overrides",
        nargs="*",
        metavar="KEY=VALUE",
        help="provider, model, rubric, scale, repeats, params.…, limits.…; mode=pairwise a=… b=…",
    )
    parser.add_argument("--name", help="of this judging (grade; better with mode=pairwise)")
    parser.add_argument("--config", metavar="FILE", help="YAML with the same keys")
    parser.add_argument("--yes", action="store_true", help="send without asking, however expensive")
    options = parser.parse_intermixed_args(arguments)
    return judge(
        options.run,
        options.overrides,
        name=options.name,
        config_file=options.config,
        yes=options.yes,
    )


def add_serve(commands: Commands) -> None:
    """Add ``serve``."""
    parser = commands.add_parser("serve", help="an OpenAI-compatible endpoint on loopback")
    kinds = parser.add_subparsers(metavar="local|emulator", required=True)
    local = kinds.add_parser("local", help="the embedded model on llama.cpp")
    local.add_argument("--port", type=int, default=8080, help="0 picks a free one")
    local.add_argument("--model-path", metavar="FILE", help="any GGUF file")
    local.add_argument("--parallel", type=int, default=4, help="requests served at the same time")
    local.set_defaults(call=_serve_local)
    kinds.add_parser("emulator", help="a server to rehearse against", add_help=False)


def _serve_local(options: argparse.Namespace) -> int:
    from evalharness.cli.commands.serve import serve_local

    return serve_local(port=options.port, model_path=options.model_path, parallel=options.parallel)
