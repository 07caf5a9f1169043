"""The verdicts of ``check`` as a JUnit file."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalharness.cli import main
from evalharness.cli.junit import junit_xml
from tests.imported_run import Rows, write_run

# 20 prompts × 2 repeats. T=0 always says the same, and 19 of 20 right; T=1 says two things.
ROWS: Rows = [
    {"prompt_id": f"p{p}", "temperature": t, "text": "yes" if t == 0 else f"yes {k}",
     "score": 0.0 if p == 0 else 1.0, "answer": "yes", "latency_s": 0.1 + p / 100,
     "cost_usd": 0.001}
    for p in range(20) for t in (0, 1) for k in range(2)
]  # fmt: skip


Said = pytest.CaptureFixture[str]


def _check(said: Said, *arguments: str) -> tuple[int, list[str]]:
    said.readouterr()
    code = main(["check", "r", *arguments])
    return code, said.readouterr().out.splitlines()


def test_junit_is_valid_and_counts_failures(capsys: Said, work: Path) -> None:
    """The file fits the JUnit schema; its cases are the verdicts printed."""
    etree: Any = import_module("lxml.etree")
    write_run(ROWS)
    code, lines = _check(
        capsys, "--min-agreement", "0.9", "--max-cost-usd", "1", "--junit", "j.xml"
    )
    assert code == 1
    schema = etree.XMLSchema(file=str(Path(__file__).with_name("junit.xsd")))
    schema.assertValid(etree.parse(str(work / "j.xml")))
    suite = ET.parse(work / "j.xml").getroot()[0]
    assert (suite.get("tests"), suite.get("failures")) == ("3", "1")
    failed = [case for case in suite if len(case)]
    assert [case.get("name") for case in failed] == ["T=1: pairwise agreement of raw text"]
    assert failed[0][0].get("message") == lines[1].removeprefix("FAIL ")


@given(st.text(), st.text())
def test_junit_holds_any_name(run: str, reason: str) -> None:
    """Names come from outside: no text makes a file that XML cannot read."""
    root = ET.fromstring(junit_xml(run, [], reason))
    assert len(list(root.iter("failure"))) == 1
