"""The options as command-line arguments, generated from :class:`EmulatorOptions`."""

from __future__ import annotations

import argparse
import typing
from typing import Any

import msgspec

from evalharness.emulator.options import HELP, EmulatorOptions
from evalharness.errors import ConfigError

# Numbers and booleans are read as JSON; these are texts whatever they look like.
_TEXT_OPTIONS = {"require_key", "answers", "error_retry_after", "ledger", "profile", "envelope"} | {
    "limit_retry_after"
}
# What a flag without a value means.
_VALUE_OF_BARE_FLAG = {"require_key": "*", "in_doubt": "1.0"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--host``, ``--port``, ``--exit-with-parent``, ``--config-json`` and every option."""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (loopback)")
    parser.add_argument("--port", type=int, default=0, help="port; 0 takes a free one")
    parser.add_argument(
        "--exit-with-parent", action="store_true", help="leave when standard input ends"
    )
    parser.add_argument(
        "--config-json", metavar="JSON", help="options as one JSON object; flags override it"
    )
    hints = typing.get_type_hints(EmulatorOptions)
    for field in msgspec.structs.fields(EmulatorOptions):
        _add(parser, field.name, hints[field.name], field.default)


def _add(parser: argparse.ArgumentParser, name: str, kind: Any, default: Any) -> None:
    flag = f"--{name.replace('_', '-')}"
    dest = f"emulator_{name}"
    shown = "" if default in (None, msgspec.NODEFAULT) else f" (default: {default})"
    text = (HELP[name] + shown).replace("%", "%%")
    if kind is bool or bool in typing.get_args(kind):
        parser.add_argument(flag, dest=dest, action=argparse.BooleanOptionalAction, help=text)
    elif name == "fingerprints":
        parser.add_argument("--fingerprint", dest=dest, action="append", metavar="FP", help=text)
    elif name == "faults":
        parser.add_argument("--fault", dest=dest, action="append", metavar="NAME=RATE", help=text)
    elif name in ("ignores", "refuses"):
        flag = flag.removesuffix("s")
        parser.add_argument(flag, dest=dest, action="append", metavar="FIELD", help=text)
    elif name in _VALUE_OF_BARE_FLAG:
        parser.add_argument(flag, dest=dest, nargs="?", const=_VALUE_OF_BARE_FLAG[name], help=text)
    else:
        parser.add_argument(flag, dest=dest, help=text)


def options_from_arguments(arguments: argparse.Namespace) -> EmulatorOptions:
    """The options a parsed command line means.

    Raises:
        ConfigError: a value is of the wrong type or out of range, naming the key.
    """
    raw: dict[str, Any] = {}
    if arguments.config_json is not None:
        try:
            raw = msgspec.json.decode(arguments.config_json, type=dict[str, Any])
        except msgspec.MsgspecError as error:
            raise ConfigError(f"--config-json: {error}") from None
    for field in msgspec.structs.fields(EmulatorOptions):
        given = getattr(arguments, f"emulator_{field.name}")
        if given is not None:
            raw[field.name] = _value(field.name, given)
    return EmulatorOptions.from_mapping(raw)


def _value(name: str, given: Any) -> Any:
    if name == "faults":
        return dict(_fault(text) for text in given)
    if name == "fingerprints":
        return [None if text == "null" else text for text in given]
    if name in _TEXT_OPTIONS or not isinstance(given, str):
        return given
    if name.startswith("price_"):
        return given  # exact: Decimal reads the text itself
    try:
        return msgspec.json.decode(given)
    except msgspec.DecodeError:
        return given  # EmulatorOptions refuses it by its type, and names the key


def _fault(text: str) -> tuple[str, Any]:
    """``reset=0.1`` or ``status=503;retry-after=2=0.1``: the last part is the rate."""
    name, separator, rate = text.rpartition("=")
    if not separator:
        return text, 1.0
    try:
        return name, float(rate)
    except ValueError:
        raise ConfigError(
            f"--fault {text}: expected NAME=RATE, a rate between 0 and 1",
            hint="for example --fault reset=0.05 or --fault 'status=503;retry-after=2=0.1'",
        ) from None
