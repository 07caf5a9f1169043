"""The command line: parses a command and calls it. Heavy imports happen inside the commands.

::

    __init__.py      finds the command; turns whatever ends it into an exit code and a sentence
    parser.py        what a command is; its options become arguments of argparse
    commands/        the list of commands, and one module each: options, handler, help, examples
    execution/       what the commands that send requests share
    hydra_main.py    runs Hydra for run and plan
    compose.py       from Hydra's configuration to a typed RunConfig

``run`` and ``plan`` hand their arguments to Hydra, whose grammar and flags they share. ``--help``
must answer in under 0.15 s, so nothing here imports more than it needs to parse.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

from evalharness.cli.command_list import COMMANDS, find_command
from evalharness.cli.parser import (
    Command,
    Parser,
    add_arguments,
    flags,
    help_texts,
    options_from,
    positional_sequence,
    unknown_argument,
)
from evalharness.config.package_version import __version__
from evalharness.errors import (
    EXIT_CONFIG,
    EXIT_DEFECT,
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_STORAGE,
    ConfigError,
    EvalharnessError,
    OutOfMemoryError,
)
from evalharness.process.interrupts import Interrupts, interruptible, print_interrupted
from evalharness.process.memory import Exhaustion, is_out_of_memory
from evalharness.process.stdio import (
    flush_or_discard,
    has_cause,
    ignore_stderr_errors,
    prepare_streams,
    survive_broken_pipe,
)
from evalharness.process.text import closest, did_you_mean
from evalharness.process.tuning import fewer_collections, limit_blas_threads

_OVERVIEW = """\
Batch evaluation and benchmarking for chat-completion APIs: how repeatable, how good, how fast,
at what cost, and which differences are detected.

  evalharness run                       the quickstart sweep on the embedded local model
  evalharness report quickstart         its tables again
  evalharness run --help                groups, keys and Hydra's flags
"""

_EXIT_CODES = """\
exit codes:
  0    done, or every gate holds
  1    done, but trials failed, a gate does not hold, or something is damaged
  2    bad configuration or data: nothing was sent; or an endpoint that was never reached
  3    the account was refused               4    the money limit is reached
  70   a defect of evalharness               74   this machine failed: disk, memory, a process
  75   another process writes the run        130  interrupted (Ctrl-C, SIGTERM, SIGHUP)
After 3, 4, 74, 75 and 130 the same command goes on.
"""


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code (0, 1, 2, 3, 4, 70, 74, 75 or 130)."""
    arguments = sys.argv[1:] if argv is None else argv
    prepare_streams()
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
    print_interrupted(arguments)
    return EXIT_INTERRUPTED


def _report_error(error: BaseException) -> int:
    if is_out_of_memory(error):
        error = OutOfMemoryError()
    Exhaustion.seen = isinstance(error, OutOfMemoryError)
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
    return EXIT_DEFECT


def _dispatch(arguments: list[str]) -> int:
    limit_blas_threads()
    command, options = parse_command(arguments)
    return command.run(options)


def parse_command(arguments: list[str]) -> tuple[Command[Any], Any]:
    """The command that is typed, and its options.

    Raises:
        ConfigError: there is no such command.
    """
    name = arguments[0] if arguments else ""
    if name in COMMANDS:
        command = find_command(name)
        if command.parse is not None:
            return command, command.parse(arguments[1:])
        return _parse(arguments, [name])
    if name and not name.startswith("-"):
        close = closest(name, COMMANDS)
        raise ConfigError(
            f"there is no command `{name}`",
            hint=did_you_mean(close) if close else f"one of {', '.join(COMMANDS)}",
        )
    return _parse(arguments, list(COMMANDS))


def _parse(arguments: list[str], names: Sequence[str]) -> tuple[Command[Any], Any]:
    """Parse a command among ``names``; ``key=value`` may stand before and after its options."""
    parser = _parser(names, arguments)
    namespace, late = parser.parse_known_args(arguments)
    command = find_command(namespace.command)
    takes = positional_sequence(command.options)
    unknown = [word for word in late if takes is None or "=" not in word or word.startswith("-")]
    if unknown:
        program = f"evalharness {command.name}"
        raise unknown_argument(program, unknown[0], flags(command.options))
    if takes is not None:
        getattr(namespace, takes).extend(late)
    return command, options_from(command.options, namespace)


def _parser(names: Sequence[str], arguments: Sequence[str]) -> argparse.ArgumentParser:
    """The parser of the named commands.

    Those that are not among ``arguments``, or that parse theirs themselves, are only listed.
    """
    parser = Parser(
        prog="evalharness",
        description=_OVERVIEW,
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"evalharness {__version__}")
    parsers = parser.add_subparsers(
        title="commands", metavar="COMMAND", required=True, dest="command"
    )
    for name in names:
        command = find_command(name) if name in arguments else None
        if command is not None and command.parse is None:
            own = parsers.add_parser(name, help=COMMANDS[name], **help_texts(command))
            add_arguments(own, command.options)
        else:
            parsers.add_parser(name, help=COMMANDS[name], add_help=False)
    return parser
