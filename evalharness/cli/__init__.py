"""The command line: parses a command and calls it. Heavy imports happen inside the commands.

::

    __init__.py      finds the command; turns whatever ends it into an exit code and a sentence
    args_run.py      run, plan, judge, serve: commands that send or answer requests
    args_report.py   report, compare, check, show: commands that read runs
    args_data.py     import, export, verify, reconcile, init: commands on files and folders
    parser.py        argparse with our exit code
    commands/        one module a command
    execution/       what the commands that send requests share
    hydra_main.py    runs Hydra for run and plan
    compose.py       from Hydra's configuration to a typed RunConfig

``run`` and ``plan`` hand their arguments to Hydra, whose grammar and flags they share. ``--help``
must answer in under 0.15 s, so nothing here imports more than it needs to parse.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from contextlib import nullcontext

from evalharness import __version__
from evalharness.cli import args_data, args_report, args_run
from evalharness.cli.execution.interrupts import Interrupts, interruptible
from evalharness.cli.parser import Parser
from evalharness.errors import (
    EXIT_CONFIG,
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_STORAGE,
    ConfigError,
    EvalharnessError,
)
from evalharness.process.stdio import (
    flush_or_discard,
    has_cause,
    ignore_stderr_errors,
    survive_broken_pipe,
)
from evalharness.process.text import closest, did_you_mean
from evalharness.process.tuning import fewer_collections, limit_blas_threads

_COMMANDS = (
    "run", "plan", "judge", "report", "compare", "show", "check", "import", "export", "verify",
    "reconcile", "serve", "init",
)  # fmt: skip
_OVERVIEW = """\
Batch evaluation and benchmarking for chat-completion APIs: how repeatable, how good, how fast,
at what cost, and which settings really differ.

  evalharness run                       the quickstart sweep on the embedded local model
  evalharness report quickstart         its tables again
  evalharness run --help                groups, keys and Hydra's flags
"""


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code (0, 1, 2, 3, 4, 74, 75 or 130)."""
    arguments = sys.argv[1:] if argv is None else argv
    with ignore_stderr_errors(), fewer_collections():
        return _run_guarded(arguments)


def _run_guarded(arguments: list[str]) -> int:
    """Run a command; turn whatever ends it into an exit code and a sentence."""
    interrupts: Interrupts | None = None
    # An export ends when its reader closes the pipe: the rest of the records has no use.
    pipe = nullcontext() if arguments[:1] == ["export"] else survive_broken_pipe()
    try:
        with interruptible() as interrupts, pipe:
            code = _dispatch(arguments)
            # Hydra turns any exception, an interrupt too, into an error of configuration.
            return (
                _report_interrupt(arguments)
                if interrupts.received and code == EXIT_CONFIG
                else code
            )
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt) or (interrupts is not None and interrupts.received):
            return _report_interrupt(arguments)
        if has_cause(error, BrokenPipeError) and arguments[:1] == ["export"]:
            # The reader of our output closed the pipe (`| head`).
            flush_or_discard(sys.stdout)
            return EXIT_OK
        return _report_error(error)


def _report_interrupt(arguments: list[str]) -> int:
    print("evalharness: interrupted; what was recorded is kept", file=sys.stderr)
    if arguments[:1] == ["run"]:
        import shlex

        print(f"to go on: {shlex.join(['evalharness', *arguments])}", file=sys.stderr)
    return EXIT_INTERRUPTED


def _report_error(error: BaseException) -> int:
    if isinstance(error, EvalharnessError):
        print(f"evalharness: {error}", file=sys.stderr)
        return error.exit_code
    if isinstance(error, OSError):
        flush_or_discard(sys.stdout)
        where = f" ({error.filename})" if error.filename else ""
        print(f"evalharness: {error.strerror or error}{where}", file=sys.stderr)
        return EXIT_STORAGE
    if not isinstance(error, Exception):
        raise error
    from evalharness.chat_api.log_redaction import crash_report

    print(crash_report(error), end="", file=sys.stderr)
    print("evalharness: this is a defect; what was recorded is kept", file=sys.stderr)
    return EXIT_FAILED


def _dispatch(arguments: list[str]) -> int:
    command = arguments[0] if arguments else ""
    limit_blas_threads()
    if command in ("run", "plan"):
        return {"run": args_run.run, "plan": args_run.plan}[command](arguments[1:])
    if command == "judge":
        return args_run.judge(arguments[1:])
    if arguments[:2] == ["serve", "emulator"]:
        # Its flags are generated from its options, which are too heavy to import for --help.
        from evalharness.emulator.__main__ import main as serve_emulator

        return serve_emulator(arguments[2:])
    if command and not command.startswith("-") and command not in _COMMANDS:
        close = closest(command, _COMMANDS)
        raise ConfigError(
            f"there is no command `{command}`",
            hint=did_you_mean(close) if close else f"one of {', '.join(_COMMANDS)}",
        )
    options = _parse(arguments)
    call: Callable[[argparse.Namespace], int] = options.call
    return call(options)


def _parse(arguments: list[str]) -> argparse.Namespace:
    """Parse a command; ``key=value`` may stand before and after its options."""
    parser = _parser()
    options, late = parser.parse_known_args(arguments)
    given: dict[str, list[str] | None] = vars(options)
    takes = given.get("run" if arguments[:1] in (["report"], ["compare"]) else "overrides")
    if late and (takes is None or any("=" not in word or word.startswith("-") for word in late)):
        parser.error(f"unrecognized arguments: {' '.join(late)}")
    if takes is not None:
        takes.extend(late)
    return options


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="evalharness",
        description=_OVERVIEW,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"evalharness {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    # Parsed in args_run, listed here for --help.
    commands.add_parser("run", help="run a sweep, or continue and extend it", add_help=False)
    commands.add_parser(
        "plan", help="what a run would send and cost; sends nothing", add_help=False
    )
    commands.add_parser(
        "judge", help="a language model grades a run's outputs, or picks the better", add_help=False
    )
    for add in (
        args_report.add_report,
        args_report.add_compare,
        args_report.add_show,
        args_report.add_check,
        args_data.add_import,
        args_data.add_export,
        args_data.add_verify,
        args_data.add_reconcile,
        args_run.add_serve,
        args_data.add_init,
    ):
        add(commands)
    return parser
