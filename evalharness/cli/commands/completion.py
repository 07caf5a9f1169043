"""``evalharness completion SHELL``: the script that completes commands, flags, keys and runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

from evalharness.cli.parser import Command, Example, Parser, help_texts
from evalharness.errors import EXIT_OK

Shell = Literal["bash", "zsh", "fish"]

# What the scripts call: `evalharness completion --words report qui`.
_WORDS = "--words"


class CompletionOptions(NamedTuple):
    """The arguments of ``evalharness completion``.

    ``words`` are those of a command line that is being typed, without ``evalharness``; the last
    one, which may be empty, is to be completed. None prints the script of ``shell`` instead.
    """

    shell: Shell | None = None
    words: Sequence[str] | None = None


def run(options: CompletionOptions) -> int:
    """Print a shell's script, or, for such a script, what could be typed."""
    from evalharness.cli.shell_completion import SCRIPTS, candidates

    if options.shell is not None:
        sys.stdout.write(SCRIPTS[options.shell])
    else:
        for candidate in candidates(options.words or [""]):
            print(candidate)
    return EXIT_OK


def _parse(arguments: list[str]) -> CompletionOptions:
    if arguments[:1] == [_WORDS]:
        return CompletionOptions(words=arguments[1:])
    parser = Parser(prog="evalharness completion", **help_texts(COMMAND))
    parser.add_argument("shell", metavar="bash|zsh|fish", choices=get_args(Shell))
    return CompletionOptions(parser.parse_args(arguments).shell)


COMMAND = Command(
    "completion",
    description="Prints a script for a shell. With it, the Tab key completes commands, flags, runs "
    "and keys.",
    examples=(
        Example("evalharness completion bash", 'eval "$(…)" in ~/.bashrc; zsh: in ~/.zshrc'),
        Example("evalharness completion fish", "… | source in ~/.config/fish/config.fish"),
    ),
    options=CompletionOptions,
    run=run,
    parse=_parse,
)
