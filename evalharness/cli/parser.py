"""What a command is, and how its options become arguments of a parser.

The options of a command are a named tuple. A field that is typed on the command line carries a
:class:`Positional` or an :class:`Option`; its type says the rest: a ``bool`` is a flag, a
``Sequence`` takes several words, a ``Literal`` is a choice.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from typing import (
    Annotated,
    Any,
    Generic,
    Literal,
    NamedTuple,
    NoReturn,
    TypeAlias,
    TypeVar,
    get_args,
    get_origin,
    get_type_hints,
)

from evalharness.errors import ConfigError
from evalharness.process.text import closest, did_you_mean

OptionsT = TypeVar("OptionsT")


class Positional(NamedTuple):
    """An argument without a flag; a sequence without a default needs a word at least."""

    metavar: str
    help: str | None = None


class Option(NamedTuple):
    """An argument with a flag, which is the name of its field unless ``flag`` is another.

    A sequence takes one value after each flag, or several where ``words`` is true.
    """

    help: str | None = None
    metavar: str | None = None
    flag: str | None = None
    words: bool = False


Overrides: TypeAlias = Annotated[
    Sequence[str], Positional("scoring=…", "or answer=…: replace it")
]  # replaces a run's own scoring
Pricing: TypeAlias = Annotated[str | None, Option("a price file over the shipped ones", "FILE")]
OpenPage: TypeAlias = Annotated[bool, Option("open the page in a browser", flag="--open")]


class Example(NamedTuple):
    """A command line as typed, and what it does."""

    command: str
    text: str


class Command(NamedTuple, Generic[OptionsT]):
    """One command of ``evalharness``.

    ``parse`` is for a command that does not leave its arguments to the common parser. Its line in
    the list of commands is in ``commands/__init__.py``.
    """

    name: str
    description: str
    examples: tuple[Example, Example]
    options: type[OptionsT]
    run: Callable[[OptionsT], int]
    parse: Callable[[list[str]], OptionsT] | None = None


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence, and what to type instead."""

    _typed: Sequence[str] = ()

    def parse_known_args(  # pyright: ignore[reportIncompatibleMethodOverride] - it has overloads
        self, args: Any = None, namespace: Any = None
    ) -> Any:
        """As the base class; the words are kept for :meth:`error`."""
        self._typed = sys.argv[1:] if args is None else list(args)
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Raise what is wrong with the arguments.

        A misspelt flag comes first: argparse would complain of the one that is missing then.

        Raises:
            ConfigError: always.
        """
        choice = re.search(r"invalid choice: '(.*)' \(choose from (.*)\)", message)
        if choice:
            close = closest(choice[1], re.findall(r"[\w-]+", choice[2]))
            hint = did_you_mean(close) if close else f"{self.prog} --help"
            raise ConfigError(message, hint=hint)
        for word in self._typed:
            if word.startswith("--") and word != "--" and not self._is_known(word):
                raise unknown_argument(self.prog, word, self.flags())
        raise ConfigError(message, hint=self._taken_words(message) or f"{self.prog} --help")

    def _taken_words(self, message: str) -> str | None:
        """What to do where a flag of several words took those that stand without a flag."""
        missing = re.search(r"arguments are required: ([A-Z].*)", message)
        flags = [f for a in self._actions if a.nargs == "+" for f in a.option_strings]
        taking = [flag for flag in flags if flag in self._typed]
        if missing is None or not taking:
            return None
        return f"{missing[1]} goes before {taking[0]}, which takes every word behind it"

    def _is_known(self, word: str) -> bool:
        """Whether this is a flag, or the beginning of one."""
        flag = word.partition("=")[0]
        if not self.allow_abbrev:
            return flag in self.flags()
        return any(known.startswith(flag) for known in self.flags())

    def flags(self) -> list[str]:
        """The flags of this parser, and of those below it."""
        flags = [f for a in self._actions for f in a.option_strings if f.startswith("--")]
        for action in self._actions:
            choices: Any = action.choices
            below: list[Any] = [*choices.values()] if isinstance(choices, dict) else []
            flags += [flag for p in below if isinstance(p, Parser) for flag in p.flags()]
        return flags


def unknown_argument(program: str, word: str, known: Sequence[str]) -> ConfigError:
    """What is wrong with an argument that a command does not take, and what was probably meant."""
    flag = word.partition("=")[0]
    close = closest(flag, ["--help", *known]) if flag.startswith("--") else None
    hint = did_you_mean(close) if close else f"{program} --help"
    return ConfigError(f"`{program}` takes no `{word}`", hint=hint)


class HelpFormatter(argparse.HelpFormatter):
    """Wraps text, but keeps the lines of examples."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if text.startswith(_EXAMPLES):
            return text
        return super()._fill_text(text, width, indent)


_EXAMPLES = "examples:"


def help_texts(command: Command[Any], epilog: str = "") -> dict[str, Any]:
    """The arguments of a parser that give its help a description and examples."""
    return texts_with_examples(command.description, command.examples, epilog)


def texts_with_examples(
    description: str, examples: Sequence[Example], epilog: str = ""
) -> dict[str, Any]:
    """The same for a part of a command."""
    lines = [f"  # {text}\n  {typed}" for typed, text in examples]
    return {
        "description": description,
        "epilog": "\n".join([_EXAMPLES, *lines, *([f"\n{epilog}"] if epilog else [])]),
        "formatter_class": HelpFormatter,
    }


def add_arguments(parser: argparse.ArgumentParser, options: type[Any]) -> None:
    """Add an argument for every field of ``options`` that is typed on the command line."""
    defaults: dict[str, Any] = options._field_defaults
    for name, kind, typed in _typed_fields(options):
        several = get_origin(kind) is Sequence
        words: dict[str, Any] = {"help": typed.help, "metavar": typed.metavar}
        if isinstance(typed, Positional):
            if several and name in defaults:
                # Without a default argparse would call it required.
                words |= {"nargs": "*", "default": []}
            elif several:
                words["nargs"] = "+"
            parser.add_argument(name, **words)
            continue
        if kind is bool:
            words = {"help": typed.help, "action": "store_true"}
        elif several and typed.words:
            words |= {"action": "extend", "nargs": "+", "default": []}
        elif several:
            words |= {"action": "append", "default": []}
        elif choices := _choices(kind):
            words |= {"choices": choices}
        else:
            words |= {"type": _value_type(kind)}
        if name not in defaults:
            words["required"] = True
        elif not several and kind is not bool:
            words["default"] = defaults[name]
        parser.add_argument(_flag(name, typed), dest=name, **words)


def options_from(options: type[OptionsT], namespace: argparse.Namespace, **others: Any) -> OptionsT:
    """The options of parsed arguments, and those that are not arguments of the parser."""
    given = {name: getattr(namespace, name) for name, _, _ in _typed_fields(options)}
    return options(**given, **others)


def flags(options: type[Any]) -> list[str]:
    """The flags of a command: ``--json``, ``--by``."""
    fields = _typed_fields(options)
    return [_flag(name, typed) for name, _, typed in fields if isinstance(typed, Option)]


def option_choices(options: type[Any], flag: str) -> list[str] | None:
    """The values of a flag that has a list of them; empty for one without a value, None for any."""
    for name, kind, typed in _typed_fields(options):
        if isinstance(typed, Option) and _flag(name, typed) == flag:
            if choices := _choices(kind):
                return [str(value) for value in choices]
            return [] if kind is bool else None
    return []


def _flag(name: str, option: Option) -> str:
    return option.flag or f"--{name.replace('_', '-')}"


def positional_sequence(options: type[Any]) -> str | None:
    """The field that takes several words without a flag, None where there is none."""
    for name, kind, typed in _typed_fields(options):
        if isinstance(typed, Positional) and get_origin(kind) is Sequence:
            return name
    return None


def _typed_fields(options: type[Any]) -> list[tuple[str, Any, Positional | Option]]:
    """Name, type and argument of the fields that are typed on the command line."""
    hints = get_type_hints(options, include_extras=True)
    annotated = {name: get_args(hint) for name, hint in hints.items() if _is_annotated(hint)}
    return [(name, kind, typed) for name, (kind, typed) in annotated.items()]


def _is_annotated(hint: Any) -> bool:
    return get_origin(hint) is Annotated


def _choices(kind: Any) -> tuple[Any, ...]:
    """The values of a ``Literal``, or of ``Literal | None``; empty for other types."""
    if get_origin(kind) is Literal:
        return get_args(kind)
    return next((get_args(k) for k in get_args(kind) if get_origin(k) is Literal), ())


def _value_type(kind: Any) -> type | None:
    """``float`` of ``float | None``; None for a text."""
    value = next((t for t in get_args(kind) if t is not type(None)), kind)
    return None if value is str else value
