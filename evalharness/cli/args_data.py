"""Arguments of the commands on files and folders: import, export, verify, reconcile, init."""

from __future__ import annotations

import argparse

from evalharness.cli.parser import Commands, add_pricing, add_scoring


def add_import(commands: Commands) -> None:
    """Add ``import``."""
    parser = commands.add_parser("import", help="responses from elsewhere become a run")
    parser.add_argument("file", metavar="FILE", help="CSV, JSONL or Parquet")
    parser.add_argument("run", metavar="RUN", help="name of the new run")
    parser.add_argument("--map", action="append", default=[], metavar="THEIRS=OURS")
    parser.set_defaults(call=_import)


def _import(arguments: argparse.Namespace) -> int:
    from evalharness.cli.commands.import_ import import_file

    return import_file(arguments.file, arguments.run, arguments.map)


def add_export(commands: Commands) -> None:
    """Add ``export``."""
    parser = commands.add_parser("export", help="records as CSV or JSONL")
    parser.add_argument("run", metavar="RUN")
    add_scoring(parser)
    parser.add_argument("--format", choices=("csv", "jsonl"), required=True)
    parser.add_argument("--out", metavar="FILE", help="write here instead of stdout")
    parser.add_argument(
        "--raw-cells", action="store_true", help="CSV: do not neutralise spreadsheet formulas"
    )
    add_pricing(parser)
    parser.set_defaults(call=_export)


def _export(arguments: argparse.Namespace) -> int:
    from evalharness.cli.commands.export import ExportOptions, export

    options = ExportOptions(
        arguments.format,
        out=arguments.out,
        raw_cells=arguments.raw_cells,
        overrides=arguments.overrides,
        pricing=arguments.pricing,
    )
    return export(arguments.run, options)


def add_verify(commands: Commands) -> None:
    """Add ``verify``."""
    parser = commands.add_parser("verify", help="check the integrity of a run folder")
    parser.add_argument("run", metavar="RUN")
    parser.add_argument("--json", action="store_true")
    parser.set_defaults(call=_verify)


def _verify(arguments: argparse.Namespace) -> int:
    from evalharness.cli.commands.verify import verify

    return verify(arguments.run, as_json=arguments.json)


def add_reconcile(commands: Commands) -> None:
    """Add ``reconcile``."""
    parser = commands.add_parser(
        "reconcile", help="the provider's own log (/v2/logs) against what a run recorded"
    )
    parser.add_argument("run", metavar="RUN")
    parser.add_argument("--json", action="store_true")
    parser.set_defaults(call=_reconcile)


def _reconcile(arguments: argparse.Namespace) -> int:
    from evalharness.cli.commands.reconcile import reconcile

    return reconcile(arguments.run, as_json=arguments.json)


def add_init(commands: Commands) -> None:
    """Add ``init``."""
    parser = commands.add_parser("init", help="a starter project: configs and a dataset")
    parser.add_argument("folder", metavar="DIR")
    parser.set_defaults(call=_init)


def _init(arguments: argparse.Namespace) -> int:
    from evalharness.cli.commands.init import init

    return init(arguments.folder)
