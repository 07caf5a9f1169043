"""``docs/reliability.md`` names tests that exist, for every promise and every edge."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "reliability.md").read_text()


def names_in(path: Path) -> set[str]:
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {n.name for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, functions)}


def test_every_promise_has_tests_that_exist() -> None:
    """P1 to P18, each with at least one test, each of them there under the name given."""
    rows = re.findall(r"^\| \*\*P(\d+)\*\* .*?\| (.+) \|$", PAGE, re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, 19))
    for number, named in rows:
        tests = re.findall(r"`([^`]+)::(\w+)`", named)
        assert tests, f"P{number} has no test"
        for file, test in tests:
            assert test in names_in(ROOT / file), f"P{number}: {file}::{test} is not there"


def test_every_edge_has_tests_that_exist() -> None:
    """The second table: each row names at least one test, each of them there."""
    rows = PAGE.partition("## Edges and tests")[2].splitlines()[6:]
    assert len(rows) >= 25
    for row in rows:
        tests = re.findall(r"`([^`]+)::(\w+)`", row)
        assert tests, row
        for file, test in tests:
            assert test in names_in(ROOT / file), f"{file}::{test} is not there"
