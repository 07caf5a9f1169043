"""``evalharness serve local|emulator``: an OpenAI-compatible endpoint for other programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, NamedTuple

from evalharness.cli.parser import (
    Command,
    Example,
    Option,
    Parser,
    add_arguments,
    help_texts,
    options_from,
)
from evalharness.errors import EXIT_OK


class ServeOptions(NamedTuple):
    """The arguments of ``evalharness serve``.

    ``port``, ``model_path`` and ``parallel`` are of the local model; the flags of the emulator are
    generated from its own options, which are too heavy to import for ``--help``.
    """

    kind: Literal["local", "emulator"]
    port: Annotated[int, Option("0 picks a free one")] = 8080
    model_path: Annotated[str | None, Option("any GGUF file", "FILE")] = None
    parallel: Annotated[int, Option("requests served at the same time")] = 4
    emulator_arguments: Sequence[str] = ()


def run(options: ServeOptions) -> int:
    """Serve the embedded model (or any GGUF file), or the emulator, on loopback until Ctrl-C."""
    if options.kind == "emulator":
        from evalharness.emulator.__main__ import main as serve_emulator

        return serve_emulator([*options.emulator_arguments])
    from msgspec import structs

    from evalharness.providers.local.lifecycle import DEFAULT, serve

    config = structs.replace(DEFAULT, model_path=options.model_path, parallel=options.parallel)
    serve(config, port=options.port)
    return EXIT_OK


def _parse(arguments: list[str]) -> ServeOptions:
    if arguments[:1] == ["emulator"]:
        return ServeOptions("emulator", emulator_arguments=arguments[1:])
    parser = Parser(prog="evalharness serve", **help_texts(COMMAND))
    kinds = parser.add_subparsers(metavar="local|emulator", required=True)
    local = kinds.add_parser("local", help="the embedded model on llama.cpp")
    add_arguments(local, ServeOptions)
    kinds.add_parser("emulator", help="a server to rehearse against", add_help=False)
    return options_from(ServeOptions, parser.parse_args(arguments), kind="local")


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
