"""``evalharness plugins``: what other installed packages add, and whether it can be used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from evalharness.cli.parser import Command, Example, Option
from evalharness.errors import EXIT_FAILED, EXIT_OK

if TYPE_CHECKING:
    from evalharness.plugins import Kind, Plugin


class PluginsOptions(NamedTuple):
    """The arguments of ``evalharness plugins``."""

    json: Annotated[bool, Option("a list of objects; `problem` is null where there is none")] = (
        False
    )


def run(options: PluginsOptions) -> int:
    """List every plugin with its package and module; exit 1 when one cannot be used."""
    from evalharness.plugins import KINDS, installed_plugins

    plugins = [plugin for kind in KINDS for plugin in installed_plugins(kind)]
    problems = [_problem(plugin, plugins) for plugin in plugins]
    if options.json:
        import json

        objects = [
            {**plugin._asdict(), "problem": problem}
            for plugin, problem in zip(plugins, problems, strict=True)
        ]
        print(json.dumps(objects, indent=2, ensure_ascii=False))
    else:
        _print_table(plugins, problems)
    return EXIT_FAILED if any(problem is not None for problem in problems) else EXIT_OK


def _print_table(plugins: list[Plugin], problems: list[str | None]) -> None:
    from evalharness.plugins import KINDS
    from evalharness.report.words.sanitize import printable

    if not plugins:
        print("no installed package adds anything; docs/extending.md has a template of each kind")
        return
    rows = [(KINDS[p.kind], p.name, p.origin, p.reference) for p in plugins]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row, problem in zip(rows, problems, strict=True):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        print(printable("  ".join([*cells, row[3]])))
        if problem is not None:
            print(printable(f"  cannot be used: {problem}"))


def _problem(plugin: Plugin, plugins: list[Plugin]) -> str | None:
    """Why a plugin cannot be used, None where it can."""
    from evalharness.plugins import PluginError

    if plugin.name in _shipped_names(plugin.kind):
        return f"evalharness itself has `{plugin.name}`, which comes first"
    others = [p for p in plugins if (p.kind, p.name) == plugin[:2] and p != plugin]
    # Sections are all shown; of the others a name means one.
    if others and plugin.kind != "report_sections":
        return f"{others[0].origin} has one of the same name"
    try:
        _importers()[plugin.kind](plugin)
    except PluginError as error:
        return error.message.removeprefix(f"{plugin} ({plugin.reference}): ")
    return None


def _importers() -> Mapping[Kind, Callable[[Plugin], Any]]:
    from evalharness.datasets.plugin_rows import import_reader
    from evalharness.providers.plugin_configs import plugin_provider
    from evalharness.report.sections.extensions import import_section
    from evalharness.scoring.scorers.plugin import import_scorer

    return {
        "scorers": import_scorer,
        "providers": plugin_provider,
        "datasets": import_reader,
        "report_sections": import_section,
    }


def _shipped_names(kind: Kind) -> set[str]:
    from evalharness.config.package_data import package_data_dir
    from evalharness.scoring import TABLE

    files = {path.stem for path in package_data_dir("configs").glob("provider/*.yaml")}
    names = {"scorers": set(TABLE), "providers": files, "datasets": {"hf"}}
    return names.get(kind, set())


COMMAND = Command(
    "plugins",
    description="Scorers, providers, dataset readers and report sections of other installed "
    "packages, each with its package, version and module. All are imported, so that what fails is "
    "said (exit 1); no other command imports one that it does not use.",
    examples=(
        Example("evalharness plugins", "everything, and what of it fails"),
        Example("evalharness plugins --json", "the same for a program"),
    ),
    options=PluginsOptions,
    run=run,
)
