"""``python -m evalharness.emulator``: the emulator as a process of its own."""

from __future__ import annotations

import argparse
import sys

from evalharness.emulator import add_arguments, options_from_arguments, serve
from evalharness.errors import EvalharnessError


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and serve; the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m evalharness.emulator",
        description="A server of three protocols to rehearse against, without spending.",
    )
    add_arguments(parser)
    try:
        return serve_parsed(parser.parse_args(argv))
    except EvalharnessError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code


def serve_parsed(arguments: argparse.Namespace) -> int:
    """Serve as parsed arguments say; the exit status.

    Raises:
        ConfigError: a value is of the wrong type or out of range.
    """
    return serve(
        options_from_arguments(arguments),
        arguments.host,
        arguments.port,
        arguments.exit_with_parent,
    )


if __name__ == "__main__":
    sys.exit(main())
