"""The JSON Schema of a report, and the page about its keys."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from evalharness.cli import main
from evalharness.report.build_report import Report
from evalharness.report.json_schema import field_texts, json_schema, markdown, structs, summary
from tests.report.json_reports import json_of

PAGE = Path(__file__).parents[2] / "docs" / "report-json.md"


def _errors(values: dict[str, Any]) -> list[str]:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    return [error.message for error in validator.iter_errors(values)]


@pytest.mark.parametrize("which", ["sweep", "hostile"])
def test_reports_follow_the_schema(which: str, request: pytest.FixtureRequest) -> None:
    """An independent validator accepts them."""
    report: Report = request.getfixturevalue(which)
    assert _errors(json_of(report.data)) == []


def test_the_schema_refuses_what_a_report_is_not(data: dict[str, Any]) -> None:
    """A missing section, a text for a number, null where a count is never unknown."""
    for change in ("missing", "text", "null"):
        values = copy.deepcopy(data)
        if change == "missing":
            del values["settings"]
        else:
            values["settings"][0]["trials"] = "many" if change == "text" else None
        assert _errors(values)


def test_every_field_is_described() -> None:
    """Units and the meaning of null are in the docstring of its struct."""
    assert len(structs()) > 50
    for name, struct in structs().items():
        assert summary(struct), name
        missing = set(struct.__struct_fields__) - field_texts(struct).keys()
        assert not missing, f"{name}: {missing}"


def test_the_command_prints_the_schema(capsys: pytest.CaptureFixture[str]) -> None:
    """It takes no run."""
    assert main(["report", "--json-schema"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(json_schema()))
    assert main(["report", "--json-schema", "quickstart"]) != 0
    assert "takes no run" in capsys.readouterr().err


def test_the_page_is_the_generated_one() -> None:
    """Whoever changes a field writes the page anew."""
    if not PAGE.exists():
        pytest.skip("the pages are only in a checkout")
    assert PAGE.read_text(encoding="utf-8") == markdown()
