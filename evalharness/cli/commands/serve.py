"""``evalharness serve local|emulator``: an endpoint for other programs."""

from __future__ import annotations

from argparse import Namespace
from typing import Annotated, Literal, NamedTuple

from evalharness.cli.parser import (
    Command,
    Example,
    Option,
    Parser,
    add_arguments,
    help_texts,
    options_from,
    texts_with_examples,
)
from evalharness.errors import EXIT_OK, ConfigError

_LAST_PORT = 65_535
_LOCAL = "Serves the embedded model, or any GGUF file, on llama.cpp at 127.0.0.1 until Ctrl-C."
_LOCAL_EXAMPLES = (
    Example("evalharness serve local --port 0", "the embedded model, on a free port"),
    Example("evalharness serve local --model-path mine.gguf --parallel 8", "a model of your own"),
)
_EMULATOR = (
    "Serves an emulator at 127.0.0.1 until Ctrl-C: of chat completions, OpenAI's Responses, "
    "Anthropic's Messages and batch endpoints. It costs nothing, and "
    "fails as often as it is told to."
)
_EMULATOR_EXAMPLES = (
    Example("evalharness serve emulator --port 8081", "answers at once, without faults"),
    Example(
        "evalharness serve emulator --port 8081 --fault reset_body=0.05 --ledger ledger.jsonl",
        "5 % of answers break off; a line for each request that came",
    ),
)


class ServeOptions(NamedTuple):
    """The arguments of ``evalharness serve``.

    ``port``, ``model_path`` and ``parallel`` are of the local model; ``emulator`` are the parsed
    flags of the emulator, which are generated from its own options; None for the local model.
    """

    kind: Literal["local", "emulator"]
    port: Annotated[int, Option("0 picks a free one")] = 8080
    model_path: Annotated[str | None, Option("any GGUF file", "FILE")] = None
    parallel: Annotated[int, Option("requests served at the same time")] = 4
    emulator: Namespace | None = None


def run(options: ServeOptions) -> int:
    """Serve the embedded model (or any GGUF file), or the emulator, on loopback until Ctrl-C."""
    if options.emulator is not None:
        from evalharness.emulator.__main__ import serve_parsed

        return serve_parsed(options.emulator)
    _check_local(options)
    from msgspec import structs

    from evalharness.providers.local.lifecycle import DEFAULT, serve

    config = structs.replace(DEFAULT, model_path=options.model_path, parallel=options.parallel)
    serve(config, port=options.port)
    return EXIT_OK


def _check_local(options: ServeOptions) -> None:
    """Refuse numbers that nothing could be served with.

    Raises:
        ConfigError: no port has the number, or no request could be served.
    """
    if not 0 <= options.port <= _LAST_PORT:
        raise ConfigError(f"--port {options.port}: a port is 0 to {_LAST_PORT}", hint="--port 0")
    if options.parallel < 1:
        raise ConfigError(f"--parallel {options.parallel}: at least 1", hint="--parallel 4")


def _parse(arguments: list[str]) -> ServeOptions:
    if arguments[:1] == ["emulator"]:
        return ServeOptions("emulator", emulator=_emulator_parser().parse_args(arguments[1:]))
    parser = Parser(prog="evalharness serve", **help_texts(COMMAND))
    kinds = parser.add_subparsers(metavar="local|emulator", required=True)
    texts = texts_with_examples(_LOCAL, _LOCAL_EXAMPLES)
    local = kinds.add_parser("local", help="the embedded model on llama.cpp", **texts)
    add_arguments(local, ServeOptions)
    kinds.add_parser("emulator", help="a server to rehearse against", add_help=False)
    return options_from(ServeOptions, parser.parse_args(arguments), kind="local")


def _emulator_parser() -> Parser:
    # Its options are too heavy to import for the help of the others.
    from evalharness.emulator import add_arguments as add_emulator_arguments

    texts = texts_with_examples(_EMULATOR, _EMULATOR_EXAMPLES, "docs/emulator.md has more.")
    parser = Parser(prog="evalharness serve emulator", **texts)
    add_emulator_arguments(parser)
    return parser


COMMAND = Command(
    "serve",
    description="Answers chat completions on 127.0.0.1 until Ctrl-C: the embedded model, or an "
    "emulator that costs nothing and fails on demand.",
    examples=(
        Example("evalharness serve local --port 0", "the embedded model, on a free port"),
        Example("evalharness serve emulator --port 8081", "the emulator"),
    ),
    options=ServeOptions,
    run=run,
    parse=_parse,
)
