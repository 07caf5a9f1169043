"""The command line: arguments → one call each. Heavy imports happen inside the commands.

::

    __init__.py   which command, and what ends it → an exit code and a sentence
    sending.py    run, plan, judge, serve: commands that send or answer requests
    reading.py    report, compare, check, show: commands that read runs
    folders.py    import, export, verify, reconcile, init: folders made, checked, handed on
    parser.py     argparse with our exit code

``run`` and ``plan`` hand their arguments to Hydra, whose grammar and flags they share. ``--help``
must answer in under 0.15 s, so nothing here imports more than it needs to parse.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager, nullcontext

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
from evalharness.process.stdio import caused_by, outliving_readers, settle, unfailing_errors

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
    with unfailing_errors(), _few_collections():
        return _guarded(arguments)


@contextmanager
def _few_collections() -> Generator[None]:
    """Inside, cycles are looked for every 50,000 allocations instead of every 700.

    What a command imports and reads stays until its end, and looking through all of it again and
    again was a tenth of the time to a first request.
    """
    before = gc.get_threshold()
    gc.set_threshold(50_000, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _guarded(arguments: list[str]) -> int:
    """Run a command; whatever ends it becomes an exit code and a sentence."""
    interrupts: Interrupts | None = None
    # The rest of a million records need not be exported to nobody: that command ends there.
    readers = nullcontext() if arguments[:1] == ["export"] else outliving_readers()
    try:
        with interruptible() as interrupts, readers:
            code = _dispatch(arguments)
            # Hydra makes a complaint about the configuration of whatever stops it.
            return _interrupted(arguments) if interrupts.came and code == EXIT_CONFIG else code
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt) or (interrupts is not None and interrupts.came):
            return _interrupted(arguments)
        if caused_by(error, BrokenPipeError) and arguments[:1] == ["export"]:
            # The reader of our output went away (`| head`): nothing more can be said to it.
            settle(sys.stdout)
            return EXIT_OK
        return _failed(error)


def _interrupted(arguments: list[str]) -> int:
    print("evalharness: interrupted; what was recorded is kept", file=sys.stderr)
    if arguments[:1] == ["run"]:
        import shlex

        print(f"to go on: {shlex.join(['evalharness', *arguments])}", file=sys.stderr)
    return EXIT_INTERRUPTED


def _failed(error: BaseException) -> int:
    if isinstance(error, EvalharnessError):
        print(f"evalharness: {error}", file=sys.stderr)
        return error.exit_code
    if isinstance(error, OSError):
        settle(sys.stdout)
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
    # Our own threads share the work (analysis/stats/permutation.py). numpy's linear algebra library
    # reads this once, when it is imported, and starting its threads takes as long as all of that.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if command in ("run", "plan"):
        return {"run": args_run.run, "plan": args_run.plan}[command](arguments[1:])
    if command == "judge":
        return args_run.judge(arguments[1:])
    if arguments[:2] == ["serve", "emulator"]:
        # Its dials are made from its options, which would be too much to import for --help.
        from evalharness.emulator.__main__ import main as serve_emulator

        return serve_emulator(arguments[2:])
    if command and not command.startswith("-") and command not in _COMMANDS:
        from difflib import get_close_matches

        close = get_close_matches(command, _COMMANDS, n=1)
        raise ConfigError(
            f"there is no command `{command}`",
            hint=f"did you mean {close[0]}?" if close else f"one of {', '.join(_COMMANDS)}",
        )
    options = _parse(arguments)
    call: Callable[[argparse.Namespace], int] = options.call
    return call(options)


def _parse(arguments: list[str]) -> argparse.Namespace:
    """Parse a command, with ``key=value`` allowed on both sides of its options."""
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
    # Parsed in `sending`, listed here for --help.
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
