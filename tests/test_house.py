"""The package keeps its shape: rooms, sizes, names and the direction of imports.

``lint-imports`` checks the import contracts of ``pyproject.toml``. These tests check that the
contracts cover the whole package, and the rules that import-linter does not know.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import grimp
import pytest

import evalharness

ROOT = Path(evalharness.__file__).parent
PROJECT = tomllib.loads((ROOT.parent / "pyproject.toml").read_text("utf-8"))
FILES = sorted(ROOT.rglob("*.py"))
GENERATED = {"__init__", "__main__"}

MAX_LOOSE_MODULES = 5
MAX_FILES_IN_A_FOLDER = 20
MAX_LINES_OF_A_FILE = 350
MAX_UNTYPED_LINES = 40  # that have dict[str, Any]
MAX_LINES_OF_A_FUNCTION = 70
# One file a thing: these folders grow with the things they hold.
TABLES = {"cli/commands", "scoring/scorers", "report/sections"}
# Words that say nothing of what a variable holds.
HABIT_WORDS = {
    "aside", "asked", "beside", "found", "gone", "here", "kept", "made", "mine", "one", "said",
    "there", "told",
}  # fmt: skip
# Names that end like a participle and are none, or qualify a noun.
NOT_PARTICIPLES = {
    "analysis/parameters/limits_respected", "analysis/stats/paired", "cli/execution/run_distributed",
}  # fmt: skip
# Modules whose name has the word "load": all are about traffic.
TRAFFIC = {
    "analysis/load/load_facts", "analysis/load/load_metrics", "analysis/load/load_point",
    "analysis/load/load_timeline", "planning/load_points", "report/build/load_data",
    "report/build/load_points", "runner/benchmark/load_point", "store/folder/load_points_file",
}  # fmt: skip
# The only modules that may import a library; what is in `http` may import HTTP libraries.
FENCES = {
    "duckdb": {"evalharness.view.queries"},
    "hydra": {"evalharness.cli.compose", "evalharness.cli.hydra_main"},
    "omegaconf": {"evalharness.cli.compose", "evalharness.cli.hydra_main"},
    "httptools": {"evalharness.http"},
    "httpx": {"evalharness.http"},
    "pyreqwest": {"evalharness.http"},
    "ray": {"evalharness.distributed.actors", "evalharness.distributed.ray_start"},
    "tqdm": {"evalharness.runner.progress"},
}
# What analysis and report may import: values, stored data and its prices, and load points by name.
STORED_DATA = {
    "analysis", "columnar", "config", "errors", "finish_reasons", "judging", "parameters", "planning.knee_search",
    "planning.load_points", "planning.rate_search", "planning.sweep_steps", "plugins", "pricing", "process", "records", "report", "schema", "scoring", "store",
}  # fmt: skip


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    """Every import of the package, those for type checking included."""
    return grimp.build_graph("evalharness", include_external_packages=True, cache_dir=None)


def _name(path: Path) -> str:
    """A file without its suffix, relative to the package: ``store/folder/run``."""
    return path.relative_to(ROOT).as_posix().removesuffix(".py")


def _children(folder: Path) -> set[str]:
    """The packages and modules directly under a folder."""
    packages = {p.parent.name for p in folder.glob("*/__init__.py")}
    return packages | {p.stem for p in folder.glob("*.py")} - {"__init__"}


def _contract(name: str) -> dict[str, Any]:
    contracts: list[dict[str, Any]] = PROJECT["tool"]["importlinter"]["contracts"]
    return next(contract for contract in contracts if contract["name"] == name)


def _nodes(*kinds: type[ast.AST]) -> Iterator[tuple[Path, Any]]:
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, kinds):
                yield path, node


# ── folders and files ────────────────────────────────────────────────────────────────────────────


def test_few_modules_are_loose() -> None:
    """What is not in a room is the public interface and the words that all rooms share."""
    loose = {path.stem for path in ROOT.glob("*.py")} - GENERATED
    assert len(loose) <= MAX_LOOSE_MODULES, sorted(loose)


def test_folders_are_small() -> None:
    """A folder fits one look."""
    counts: dict[str, int] = defaultdict(int)
    for path in FILES:
        counts[_name(path.parent)] += path.stem not in GENERATED
    large = {name: n for name, n in counts.items() if n > MAX_FILES_IN_A_FOLDER}
    assert not large.keys() - TABLES, large


def test_files_are_short() -> None:
    """A file holds one thing."""
    lines = {_name(path): len(path.read_text("utf-8").splitlines()) for path in FILES}
    long = {name: count for name, count in lines.items() if count > MAX_LINES_OF_A_FILE}
    assert not long


def test_functions_are_short() -> None:
    """A function can be read without scrolling."""
    long = {
        f"{_name(path)}:{node.name}": length
        for path, node in _nodes(ast.FunctionDef, ast.AsyncFunctionDef)
        if (length := node.end_lineno - node.lineno + 1) > MAX_LINES_OF_A_FUNCTION
    }
    assert not long


# ── names ────────────────────────────────────────────────────────────────────────────────────────


def test_class_names_are_unique() -> None:
    """The name of a public class says which one is meant."""
    files: dict[str, list[str]] = defaultdict(list)
    for path, node in _nodes(ast.ClassDef):
        if not node.name.startswith("_"):
            files[node.name].append(_name(path))
    assert not {name: where for name, where in files.items() if len(where) > 1}


def test_variables_are_named_after_the_thing() -> None:
    """A variable, parameter or attribute says what it holds, not how it was come by."""
    named: dict[str, set[str]] = defaultdict(set)
    for path, node in _nodes(ast.Name, ast.arg, ast.Attribute):
        if isinstance(node, ast.arg):
            named[node.arg].add(_name(path))
        elif isinstance(node.ctx, ast.Store):
            name = node.id if isinstance(node, ast.Name) else node.attr
            named[name.lstrip("_")].add(_name(path))
    assert not {word: named[word] for word in HABIT_WORDS if word in named}


def test_modules_are_nouns_or_verbs() -> None:
    """No module is called by a past participle."""
    participles = re.compile(r"(?:^|_)(?:\w+ed|built|chosen|found|held|kept|made|said|told)$")
    names = {_name(path) for path in FILES if participles.search(path.stem)}
    assert names == NOT_PARTICIPLES


def test_pages_use_one_glossary() -> None:
    """Every page for users links the page that explains the words."""
    pages = sorted((ROOT.parent / "docs").glob("*.md"))
    if not pages:
        pytest.skip("the pages are only in a checkout")
    missing = [p.name for p in pages if "glossary.md" not in p.read_text("utf-8")]
    assert missing in ([], ["glossary.md"])


def test_load_means_traffic() -> None:
    """Reading data is called read or open; a load is what a benchmark puts on a server."""
    words = re.compile(r"(?:^|_)load(?:s|ed|er|ing)?(?:_|$)")
    assert {_name(path) for path in FILES if words.search(path.stem)} == TRAFFIC


def test_analysis_and_report_pass_structs() -> None:
    """What one hands to the other has types; plain dicts are for values of any JSON type."""
    lines = [
        line
        for room in ("analysis", "report")
        for path in (ROOT / room).rglob("*.py")
        for line in path.read_text("utf-8").splitlines()
        if "dict[str, Any]" in line
    ]
    assert len(lines) < MAX_UNTYPED_LINES, "\n".join(lines)


# ── imports ──────────────────────────────────────────────────────────────────────────────────────


def test_every_package_has_a_layer() -> None:
    """The contract of the layers lists what is in the folder, and nothing else."""
    contract = _contract("layers")
    assert contract["exhaustive"] is True
    layers: list[str] = contract["layers"]
    listed = [name.strip() for layer in layers for name in re.split(r"[|:]", layer)]
    assert sorted(listed) == sorted(_children(ROOT))


def test_no_module_is_part_of_a_circle(graph: grimp.ImportGraph) -> None:
    """Imports have one direction; an import for type checking alone is an import."""
    inside = {m for m in graph.modules if m.split(".")[0] == "evalharness"}
    imports = {m: graph.find_modules_directly_imported_by(m) & inside for m in inside}
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        pytest.fail(" → ".join(error.args[1]))


@pytest.mark.parametrize("library", sorted(FENCES))
def test_a_library_stays_behind_its_fence(library: str, graph: grimp.ImportGraph) -> None:
    """Only the named modules import it, and the contract forbids it to all others."""
    allowed = FENCES[library]
    importers = graph.find_modules_that_directly_import(library)
    assert importers, f"nothing imports {library}"
    outside = {m for m in importers if not any(m == a or m.startswith(f"{a}.") for a in allowed)}
    assert not outside
    contracts: list[dict[str, Any]] = PROJECT["tool"]["importlinter"]["contracts"]
    contract = next(c for c in contracts if library in c.get("forbidden_modules", ()))
    assert contract["source_modules"] == ["evalharness"]
    exceptions = {i.split(" -> ")[0] for i in contract["ignore_imports"] if i.endswith(library)}
    assert {e.removesuffix(".*") for e in exceptions} == allowed


def test_analysis_and_report_see_stored_data_alone() -> None:
    """The contract forbids them every package and module but those that hold stored data."""
    contract = _contract("analysis and report see stored data alone")
    assert set(contract["source_modules"]) == {"evalharness.analysis", "evalharness.report"}
    planning = {f"planning.{name}" for name in _children(ROOT / "planning")}
    everything = _children(ROOT) - {"planning"} | planning
    forbidden = {f"evalharness.{name}" for name in everything - STORED_DATA}
    assert set(contract["forbidden_modules"]) == forbidden
