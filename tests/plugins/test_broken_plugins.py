"""A package that is broken stops what uses it, and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from evalharness.cli import main

from .conftest import write_dist_info

GOOD_RUN = ("run", "provider=emulator", "dataset.path=rows.jsonl", "repeats=1", "name=good")
ENTRY_POINTS = """\
[evalharness.scorers]
bad_import = bad_eval.raising:score
bad_name = bad_eval.values:nothing
bad_type = bad_eval.values:NUMBER
bad_reference = not a reference
method = bad_eval.values:Checks.score
exact = bad_eval.values:function
twice = bad_eval.values:function
[evalharness.providers]
bad_exit = bad_eval.leaving:PROVIDER
bad_key = bad_eval.values:UNKNOWN_KEY
[evalharness.datasets]
bad_rows = bad_eval.values:read_numbers
bad_arguments = bad_eval.values:read_nothing
[evalharness.report_sections]
bad_section = bad_eval.values:raise_error
bad_cells = bad_eval.values:make_rows
bad_module = bad_eval.absent:section
"""
VALUES = """\
from evalharness.plugins import SectionContent

NUMBER = 3
UNKNOWN_KEY = {"base_url": "https://x.example/v1", "modell": "m"}

def function(sample):
    return True

class Checks:
    @staticmethod
    def score(sample):
        return True

def read_numbers(name, root):
    yield {"prompt": "a"}
    yield 3

def read_nothing():
    return []

def raise_error(report, run):
    report.clear()
    return 1 / 0

def make_rows(report, run):
    assert report["run"]["name"]
    return SectionContent(columns=["a", "b"], rows=[["x"]])
"""


@pytest.fixture(autouse=True)
def bad_site(work: Path, on_path: Callable[[Path], None]) -> Path:
    """A package of which nothing can be used; each import of it leaves a trace."""
    site = work / "site"
    write_dist_info(site, "bad-eval", "0.1", ENTRY_POINTS)
    write_dist_info(site, "other-eval", "2.0", "[evalharness.scorers]\ntwice = other:function\n")
    write_dist_info(site, "half", "1", "[evalharness.datasets]\nhalf = half:read\n")
    (site / "half-1.dist-info" / "METADATA").unlink()
    write_dist_info(site, "garbage", "1", "[console_scripts\n= evalharness.scorers\n")
    package = site / "bad_eval"
    package.mkdir()
    (package / "__init__.py").write_text(
        "from pathlib import Path\nPath('imported').write_text('yes')\n"
    )
    (package / "raising.py").write_text("raise RuntimeError('no licence\\nfound')\n")
    (package / "leaving.py").write_text("raise SystemExit(7)\n")
    (package / "values.py").write_text(VALUES)
    (work / "rows.jsonl").write_text('{"prompt": "a", "target": "b"}\n')
    on_path(site)
    yield site
    for name in [name for name in sys.modules if name.split(".")[0] == "bad_eval"]:
        del sys.modules[name]


def test_all_problems_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """Each with its reason in one line, and exit 1."""
    assert main(["plugins", "--json"]) == 1
    problems = {entry["name"]: entry["problem"] for entry in json.loads(capsys.readouterr().out)}
    assert problems == {
        "bad_import": "cannot be imported: RuntimeError: no licence found",
        "bad_name": "cannot be imported: AttributeError: module 'bad_eval.values' has no attribute "
        "'nothing'",
        "bad_type": "must be a Scorer or a function, got 3",
        "bad_reference": "its entry point must be module:attribute",
        "method": None,
        "exact": "evalharness itself has `exact`, which comes first",
        "twice": problems["twice"],
        "bad_exit": "cannot be imported: SystemExit: 7",
        "bad_key": "unknown configuration key `provider.modell` → did you mean `model`?",
        "bad_rows": None,  # known only once it reads
        "bad_arguments": "must be a function of (name, root)",
        "half": "cannot be imported: ModuleNotFoundError: No module named 'half'",
        "bad_section": None,
        "bad_cells": None,
        "bad_module": "cannot be imported: ModuleNotFoundError: No module named 'bad_eval.absent'",
    }
    assert "has one of the same name" in problems["twice"]
    assert main(["plugins"]) == 1
    printed = capsys.readouterr()
    assert "cannot be used: cannot be imported: SystemExit: 7" in printed.out
    assert "Traceback" not in printed.out + printed.err


def test_a_run_that_uses_none_is_whole(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Sections that fail are lines of the report; the scorer `exact` is our own."""
    assert main([*GOOD_RUN, "scoring=[{name: exact}, {name: method}]"]) == 0
    report = json.loads(Path("results/good/summary.json").read_text())
    problems = {section["name"]: section["problem"] for section in report["extensions"]}
    assert "failed: ZeroDivisionError" in problems["bad_section"]
    assert "a row has 1 cells, and there are 2 columns" in problems["bad_cells"]
    assert "No module named 'bad_eval.absent'" in problems["bad_module"]
    assert report["settings"][0]["score"]["mean"] == 0
    assert report["settings"][0]["scores"]["method"]["mean"] == 1
    printed = capsys.readouterr()
    assert "report section `bad_section` of bad-eval 0.1 (bad_eval.values:raise_error): failed" in (
        " ".join(printed.out.split())
    )
    assert "Traceback" not in printed.out + printed.err


@pytest.mark.parametrize(
    "words",
    [
        ("--help",), ("run", "--help"), ("plan", "provider=emulator", "dataset.path=rows.jsonl"),
        ("report", "--json-schema"),
    ],
    ids=lambda words: words[0],
)  # fmt: skip
def test_nothing_is_imported_unused(work: Path, words: tuple[str, ...]) -> None:
    """The names of a package may be shown; its code does not run."""
    done = subprocess.run(
        [sys.executable, "-m", "evalharness", *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not (work / "imported").exists()
    if words == ("run", "--help"):
        assert "bad_exit" in done.stdout


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("scoring=bad_import", "scorer `bad_import` of bad-eval 0.1 (bad_eval.raising:score): "
         "cannot be imported: RuntimeError: no licence found"),
        ("scoring=[{name: twice}]", "several packages have a scorer `twice`: "),
        ("provider=bad_exit", "provider `bad_exit` of bad-eval 0.1 (bad_eval.leaving:PROVIDER): "
         "cannot be imported: SystemExit: 7"),
        ("provider=bad_key", "unknown configuration key `provider.modell`"),
        ("dataset.path=bad_rows:x", "bad_rows:x:row 2: dataset reader `bad_rows` of bad-eval 0.1 "
         "must give rows as mappings, got int"),
    ],
)  # fmt: skip
def test_using_it_is_refused(given: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 2, with the package and what it raised; no traceback, nothing sent."""
    assert main([*GOOD_RUN, given]) == 2
    printed = capsys.readouterr()
    assert said in printed.err
    assert "Traceback" not in printed.err
    assert not Path("results").exists()
