"""The command line: arguments → one call each. Heavy imports happen inside the commands.

``run`` and ``plan`` hand their arguments to Hydra, whose grammar and flags they share; the other
commands are parsed here. ``--help`` must answer in under 0.15 s, so this module imports next to
nothing.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING, NoReturn, TypeAlias

from evalharness import __version__
from evalharness.commands.interrupt import Interrupts, interruptible
from evalharness.errors import (
    EXIT_CONFIG,
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_STORAGE,
    ConfigError,
    EvalharnessError,
)
from evalharness.streams import caused_by, outliving_readers, settle, unfailing_errors

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
    with unfailing_errors():
        return _guarded(arguments)


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
    from evalharness.wire.logs import crash_report

    print(crash_report(error), end="", file=sys.stderr)
    print("evalharness: this is a defect; what was recorded is kept", file=sys.stderr)
    return EXIT_FAILED


def _dispatch(arguments: list[str]) -> int:
    command = arguments[0] if arguments else ""
    if command in ("run", "plan"):
        return {"run": _run, "plan": _plan}[command](arguments[1:])
    if command == "judge":
        return _judge(arguments[1:])
    if arguments[:2] == ["serve", "emulator"]:
        # Its dials are made from its options, which would be too much to import for --help.
        from evalharness.providers.emulator.__main__ import main as serve_emulator

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


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(EXIT_CONFIG, f"evalharness: {message}\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="evalharness",
        description=_OVERVIEW,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"evalharness {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    # Parsed by Hydra, listed here for --help.
    commands.add_parser("run", help="run a sweep, or continue and extend it", add_help=False)
    commands.add_parser(
        "plan", help="what a run would send and cost; sends nothing", add_help=False
    )
    commands.add_parser(
        "judge", help="a language model grades a run's outputs, or picks the better", add_help=False
    )
    for add in (
        _add_report,
        _add_compare,
        _add_show,
        _add_check,
        _add_import,
        _add_export,
        _add_verify,
        _add_reconcile,
        _add_serve,
        _add_init,
    ):
        add(commands)
    return parser


if TYPE_CHECKING:
    # argparse keeps the type of what add_subparsers returns to itself.
    Commands: TypeAlias = "argparse._SubParsersAction[_Parser]"  # pyright: ignore[reportPrivateUsage]


def _run(arguments: list[str]) -> int:
    from evalharness.app import hydra_command
    from evalharness.commands.begin import run_command

    yes = "--yes" in arguments
    retry_errors = "--retry-errors" in arguments
    overrides = [a for a in arguments if a not in ("--yes", "--retry-errors")]
    # Errors that this session records are not to be asked again by the command that resumes it.
    again = [a for a in arguments if a != "--retry-errors"]
    return hydra_command(overrides, run_command(again, yes=yes, retry_errors=retry_errors))


def _plan(arguments: list[str]) -> int:
    from evalharness.app import hydra_command
    from evalharness.commands.plan import plan_command

    # What is not known here is Hydra's.
    parser = _Parser(
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
    parser.add_argument("--yes", action="store_true", help="send a dear pilot without asking")
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


def _judge(arguments: list[str]) -> int:
    from evalharness.commands.judge import judge

    # A parser of its own: a command's positionals may not stand on both sides of an option.
    parser = _Parser(prog="evalharness judge", allow_abbrev=False)
    parser.add_argument("run", metavar="RUN", help="a name under results/, or a path")
    parser.add_argument(
        "overrides",
        nargs="*",
        metavar="KEY=VALUE",
        help="provider, model, rubric, scale, repeats, params.…, limits.…; mode=pairwise a=… b=…",
    )
    parser.add_argument("--name", help="of this judging (grade; better with mode=pairwise)")
    parser.add_argument("--config", metavar="FILE", help="YAML with the same keys")
    parser.add_argument("--yes", action="store_true", help="send without asking, however dear")
    options = parser.parse_intermixed_args(arguments)
    return judge(
        options.run,
        options.overrides,
        name=options.name,
        config_file=options.config,
        yes=options.yes,
    )


def _add_report(commands: Commands) -> None:
    parser = commands.add_parser("report", help="tables of one or more runs")
    parser.add_argument("run", nargs="+", metavar="RUN", help="a name under results/, or a path")
    parser.add_argument("--json", action="store_true", help="the whole result as JSON on stdout")
    parser.add_argument("--html", metavar="FILE", help="one self-contained page")
    parser.add_argument("--open", action="store_true", help="open the page in a browser")
    parser.add_argument("--markdown", action="store_true", help="for a pull request or CI summary")
    parser.add_argument("--volume", type=float, metavar="N", help="project the cost to N requests")
    parser.add_argument("--all", action="store_true", help="also settings no longer in the plan")
    parser.add_argument("--pricing", metavar="FILE", help="a price file over the shipped ones")
    parser.set_defaults(call=_report)


def _report(options: argparse.Namespace) -> int:
    from evalharness.commands.report import Asked, report

    asked = Asked(
        as_json=options.json,
        markdown=options.markdown,
        html=options.html,
        open_html=options.open,
        everything=options.all,
        pricing=options.pricing,
        volume=options.volume,
    )
    return report(options.run, asked)


def _add_compare(commands: Commands) -> None:
    parser = commands.add_parser("compare", help="settings against a baseline, paired by prompt")
    parser.add_argument(
        "run", nargs="+", metavar="RUN", help="a name under results/; scoring=… replaces its own"
    )
    parser.add_argument("--by", metavar="AXIS", help="temperature, model, …, or run")
    parser.add_argument("--baseline", metavar="VALUE", help="default: the lowest or first value")
    parser.add_argument(
        "--margin", type=float, metavar="SHARE", help="also test equivalence within ± this (0.02)"
    )
    parser.add_argument(
        "--strata", action="store_true", help="also within each value of the other axes"
    )
    parser.add_argument("--json", action="store_true", help="all comparisons as JSON on stdout")
    parser.set_defaults(call=_compare)


def _compare(options: argparse.Namespace) -> int:
    from evalharness.commands.compare import Asked, compare

    asked = Asked(
        by=options.by,
        baseline=options.baseline,
        margin=options.margin,
        strata=options.strata,
        as_json=options.json,
    )
    return compare(options.run, asked)


_GATES = {
    "min_agreement": "least pairwise agreement of raw text (0–1), every setting",
    "min_answer_agreement": "least pairwise agreement of answers (0–1)",
    "min_score": "least mean score (0–1)",
    "max_error_share": "most failed trials (0–1)",
    "max_latency_p50_s": "most median latency, seconds",
    "max_latency_p95_s": "most 95th percentile of latency, seconds",
    "max_cost_usd": "most the run may have cost, US dollars (computed or billed, the larger)",
}


def _add_check(commands: Commands) -> None:
    parser = commands.add_parser("check", help="a gate for CI: exit 1 when something does not hold")
    parser.add_argument("run", metavar="RUN")
    parser.add_argument("overrides", nargs="*", metavar="scoring=…", help="or answer=…: replace it")
    for name, text in _GATES.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, metavar="X", help=text)
    parser.add_argument(
        "--confident", action="store_true", help="hold the interval's worse bound to the limit"
    )
    parser.add_argument(
        "--setting", action="append", default=[], metavar="LABEL",
        help="only this setting, by label or id (may be repeated)",
    )  # fmt: skip
    parser.add_argument("--partial", action="store_true", help="also a run that is not complete")
    parser.add_argument("--pricing", metavar="FILE", help="a price file over the shipped ones")
    parser.add_argument("--junit", metavar="FILE", help="write the verdicts as JUnit XML")
    parser.set_defaults(call=_check)


def _check(options: argparse.Namespace) -> int:
    from evalharness.commands.check import Asked, check

    limits = {name: value for name in _GATES if (value := getattr(options, name)) is not None}
    asked = Asked(
        confident=options.confident,
        junit=options.junit,
        settings=options.setting,
        overrides=options.overrides,
        pricing=options.pricing,
        partial=options.partial,
    )
    return check(options.run, limits, asked)


def _add_show(commands: Commands) -> None:
    parser = commands.add_parser("show", help="all outputs of one prompt, side by side")
    parser.add_argument("run", metavar="RUN")
    parser.add_argument("prompt_id", metavar="PROMPT_ID")
    parser.add_argument("overrides", nargs="*", metavar="scoring=…", help="or answer=…: replace it")
    parser.add_argument(
        "--diff",
        action="store_true",
        help="the two commonest outputs of each setting by word",
    )
    parser.add_argument("--html", metavar="FILE", help="the prompt as a page of its own")
    parser.add_argument("--open", action="store_true", help="open the page in a browser")
    parser.set_defaults(call=_show)


def _show(options: argparse.Namespace) -> int:
    from evalharness.commands.show import Asked, show

    asked = Asked(diff=options.diff, html=options.html, open_html=options.open)
    return show(options.run, options.prompt_id, asked, options.overrides)


def _add_export(commands: Commands) -> None:
    parser = commands.add_parser("export", help="records as CSV or JSONL")
    parser.add_argument("run", metavar="RUN")
    parser.add_argument("overrides", nargs="*", metavar="scoring=…", help="or answer=…: replace it")
    parser.add_argument("--format", choices=("csv", "jsonl"), required=True)
    parser.add_argument("--out", metavar="FILE", help="write here instead of stdout")
    parser.add_argument(
        "--raw-cells", action="store_true", help="CSV: do not neutralise spreadsheet formulas"
    )
    parser.add_argument("--pricing", metavar="FILE", help="a price file over the shipped ones")
    parser.set_defaults(call=_export)


def _export(options: argparse.Namespace) -> int:
    from evalharness.commands.export import Asked, export

    asked = Asked(
        options.format,
        out=options.out,
        raw_cells=options.raw_cells,
        overrides=options.overrides,
        pricing=options.pricing,
    )
    return export(options.run, asked)


def _add_import(commands: Commands) -> None:
    parser = commands.add_parser("import", help="responses from elsewhere become a run")
    parser.add_argument("file", metavar="FILE", help="CSV, JSONL or Parquet")
    parser.add_argument("run", metavar="RUN", help="name of the new run")
    parser.add_argument("--map", action="append", default=[], metavar="THEIRS=OURS")
    parser.set_defaults(call=_import)


def _import(options: argparse.Namespace) -> int:
    from evalharness.commands.importing import import_file

    return import_file(options.file, options.run, options.map)


def _add_verify(commands: Commands) -> None:
    parser = commands.add_parser("verify", help="check the integrity of a run folder")
    parser.add_argument("run", metavar="RUN")
    parser.add_argument("--json", action="store_true")
    parser.set_defaults(call=_verify)


def _verify(options: argparse.Namespace) -> int:
    from evalharness.commands.verify import verify

    return verify(options.run, as_json=options.json)


def _add_reconcile(commands: Commands) -> None:
    parser = commands.add_parser(
        "reconcile", help="the provider's own log (/v2/logs) against what a run recorded"
    )
    parser.add_argument("run", metavar="RUN")
    parser.add_argument("--json", action="store_true")
    parser.set_defaults(call=_reconcile)


def _reconcile(options: argparse.Namespace) -> int:
    from evalharness.commands.reconcile import reconcile

    return reconcile(options.run, as_json=options.json)


def _add_serve(commands: Commands) -> None:
    parser = commands.add_parser("serve", help="an OpenAI-compatible endpoint on loopback")
    kinds = parser.add_subparsers(metavar="local|emulator", required=True)
    local = kinds.add_parser("local", help="the embedded model on llama.cpp")
    local.add_argument("--port", type=int, default=8080, help="0 picks a free one")
    local.add_argument("--model-path", metavar="FILE", help="any GGUF file")
    local.add_argument("--parallel", type=int, default=4, help="requests served at the same time")
    local.set_defaults(call=_serve_local)
    kinds.add_parser("emulator", help="a server to rehearse against", add_help=False)


def _add_init(commands: Commands) -> None:
    parser = commands.add_parser("init", help="a starter project: configs and a dataset")
    parser.add_argument("folder", metavar="DIR")
    parser.set_defaults(call=_init)


def _init(options: argparse.Namespace) -> int:
    from evalharness.commands.init import init

    return init(options.folder)


def _serve_local(options: argparse.Namespace) -> int:
    from evalharness.commands.serve import serve_local

    return serve_local(port=options.port, model_path=options.model_path, parallel=options.parallel)


if __name__ == "__main__":
    sys.exit(main())
