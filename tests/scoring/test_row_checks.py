"""Checks of rows: one weighted score beside the run's own; unknown stays null."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalharness.config.models import DatasetConfig
from evalharness.datasets import read_prompts
from evalharness.errors import ConfigError, DatasetError
from evalharness.scoring import parse_answer_spec, parse_scoring
from evalharness.scoring.row_checks.parsing import expand_row_checks, read_row_checks, with_checks
from evalharness.scoring.run_scores import RunScores, score_records
from evalharness.store.parts.to_arrow import prompt_table
from tests.scoring.test_run_scores import records


def read_table(path: Path, *, answers_known: bool = False) -> pa.Table:
    """The prompts table of a dataset, as a run stores it."""
    prompts = read_prompts(DatasetConfig(path=str(path)), root=path.parent)
    expanded = expand_row_checks(prompts, answers_known=answers_known)
    return prompt_table(expanded, ["d"] * len(prompts))


def write_rows(folder: Path, *rows: dict[str, Any]) -> Path:
    path = folder / "suite.jsonl"
    path.write_text("".join(json.dumps({"prompt": "?"} | row) + "\n" for row in rows))
    return path


def scored(table: pa.Table, outputs: list[dict[str, Any]], *names: str) -> RunScores:
    scorers = parse_scoring(with_checks([{"name": name} for name in names]))
    return score_records(records(outputs), table, scorers, None, checks=read_row_checks(table))


def test_a_suite_of_mixed_tasks_is_one_file(tmp_path: Path) -> None:
    """Each row has its own checks, weighted and negated, with its own targets."""
    table = read_table(
        write_rows(
            tmp_path,
            {"id": "qa", "target": "Rome", "scoring": "exact"},
            {
                "id": "json",
                "scoring": ["json_valid", {"name": "includes", "target": "b", "weight": 3}],
            },
            {"id": "polite", "scoring": [{"name": "includes", "target": "sorry", "not": True}]},
            {"id": "free", "target": "x"},
        )
    )
    outputs = [
        {"prompt_id": "qa", "text": "Rome"},
        {"prompt_id": "qa", "text": "Paris"},
        {"prompt_id": "json", "text": '{"a": 1}'},
        {"prompt_id": "json", "text": "b"},
        {"prompt_id": "polite", "text": "I am sorry"},
        {"prompt_id": "polite", "text": "Gladly"},
        {"prompt_id": "free", "text": "x"},
    ]
    result = scored(table, outputs, "exact")
    nan = math.nan
    assert list(result.scores) == ["exact", "checks"]
    np.testing.assert_array_equal(result.scores["exact"], [1, 0, nan, nan, nan, nan, 1])
    np.testing.assert_array_equal(result.scores["checks"], [1, 0, 0.25, 0.75, 0, 1, nan])
    assert result.why_null("checks") == {"the row has no checks of its own": 1}
    explanation = result.explain("checks", 3).explanation
    assert "json_valid 0: " in explanation
    assert "includes 1 (weight 3): " in explanation


def test_unknown_stays_null_and_a_refusal_where_an_answer_was_due_is_zero(tmp_path: Path) -> None:
    """One check without a score leaves the row without one; statuses follow the common rules."""
    table = read_table(
        write_rows(
            tmp_path,
            {"id": "half", "scoring": ["json_valid", "exact"]},
            {"id": "own", "scoring": ["json_valid", {"name": "exact", "target": "{}"}]},
            {"id": "open", "scoring": ["json_valid"]},
        )
    )
    outputs = [
        {"prompt_id": "half", "text": "{}"},
        *({"prompt_id": name, "text": None, "status": "refused"} for name in ("own", "open")),
        {"prompt_id": "own", "text": None, "status": "error"},
    ]
    result = scored(table, outputs)
    nan = math.nan
    np.testing.assert_array_equal(result.scores["checks"], [nan, 0, nan, nan])
    assert "exact: no target" in result.why_null("checks")


@given(weights=st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=5), right=st.integers(0, 31))
def test_the_score_is_the_weighted_mean(weights: list[float], right: int) -> None:
    """Any weights: the share of the weight of the checks that hold, within [0, 1]."""
    held = [bool(right >> n & 1) for n in range(len(weights))]
    entries = [
        {"name": "includes", "target": "yes" if holds else "no", "weight": weight}
        for holds, weight in zip(held, weights, strict=True)
    ]
    table = pa.Table.from_pylist(
        [{"prompt_id": "p", "scoring_json": json.dumps(entries), "source": None}]
    )
    value = scored(table, [{"prompt_id": "p", "text": "yes"}]).scores["checks"][0]
    expected = sum(w for w, holds in zip(weights, held, strict=True) if holds) / sum(weights)
    assert 0 <= value <= 1
    assert value == pytest.approx(expected)


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ("exactt", "scoring[0].name"),
        ({"name": "regex", "pattern": "("}, "scoring[0].pattern"),
        ({"name": "exact", "weight": 0}, "scoring[0].weight"),
        ({"name": "exact", "weight": "2"}, "scoring[0].weight"),
        ({"name": "exact", "wieght": 2}, "scoring[0].wieght"),
        ({"name": "python", "path": "no_such_module.f"}, "scoring[0].path"),
        ({"name": "exact", "of": "answer"}, "of: answer"),
        ("checks", "checks"),
        (["exact"], "scoring[0]"),
        (7, "scoring[0]"),
    ],
)
def test_errors_name_file_and_line(tmp_path: Path, entry: Any, problem: str) -> None:
    """A wrong check stops before anything is sent."""
    path = write_rows(tmp_path, {"scoring": ["exact"]}, {"prompt": "b", "scoring": [entry]})
    with pytest.raises(DatasetError) as error:
        read_table(path)
    assert f"{path}:2: " in str(error.value)
    assert problem in str(error.value)


def test_checks_of_answers_need_answers(tmp_path: Path) -> None:
    """With answers they score; a report that takes none away says which row needs them."""
    path = write_rows(
        tmp_path, {"id": "p", "scoring": [{"name": "exact", "of": "answer", "target": "4"}]}
    )
    table = read_table(path, answers_known=True)
    rows, scorers = records([{"text": "so 4."}]), parse_scoring([{"name": "checks"}])
    checks, extractor = read_row_checks(table), parse_answer_spec("last_number")
    result = score_records(rows, table, scorers, extractor, checks=checks)
    assert result.scores["checks"].tolist() == [1]
    with pytest.raises(DatasetError, match=r"suite\.jsonl:1"):
        score_records(rows, table, scorers, None, checks=checks)


def test_the_same_checks_from_csv_yaml_and_parquet(tmp_path: Path) -> None:
    """A cell of CSV is JSON or a scorer's name; null keys of Parquet's structs are absent."""
    entries = [{"name": "includes", "target": "b", "weight": 2}, {"name": "json_valid"}]
    csv, yaml = tmp_path / "s.csv", tmp_path / "s.yaml"
    parquet = tmp_path / "s.parquet"
    cell = json.dumps(entries).replace('"', '""')
    csv.write_text(f'id,prompt,scoring\na,?,"{cell}"\nb,?,exact\nc,?,\n')
    yaml.write_text(
        f"- {{id: a, prompt: x, scoring: {json.dumps(entries)}}}\n"
        "- {id: b, prompt: x, scoring: exact}\n- {id: c, prompt: x}\n"
    )
    import pyarrow.parquet as pq

    pq.write_table(
        pa.Table.from_pylist(
            [
                {"id": "a", "prompt": "x", "scoring": entries},
                {"id": "b", "prompt": "x", "scoring": [{"name": "exact"}]},
                {"id": "c", "prompt": "x", "scoring": None},
            ]
        ),
        parquet,
    )
    for path in (csv, yaml, parquet):
        stored = read_table(path)["scoring_json"].to_pylist()
        assert [s and json.loads(s) for s in stored] == [entries, [{"name": "exact"}], None]


def test_checks_do_not_change_what_is_asked(tmp_path: Path) -> None:
    """A corrected check makes no recorded answer obsolete, and no template sees one."""
    plain = read_prompts(DatasetConfig(path=str(write_rows(tmp_path, {}))), root=tmp_path)
    checked = write_rows(tmp_path, {"scoring": ["exact"]})
    prompts = read_prompts(DatasetConfig(path=str(checked)), root=tmp_path)
    assert prompts[0].prompt_id == plain[0].prompt_id
    assert prompts[0].fields == {}


def test_a_place_of_their_own() -> None:
    """`checks` in the list is the place of the score; it takes a label and nothing else."""
    placed = [{"name": "checks", "label": "passed"}, {"name": "exact"}]
    assert with_checks(placed) == placed
    assert [s.label for s in parse_scoring(placed)] == ["passed", "exact"]
    for key, value in (("not", True), ("of", "answer"), ("target", "x")):
        with pytest.raises(ConfigError, match="each check of a row has its own"):
            parse_scoring([{"name": "checks", key: value}])


FUNCTION = """
import signal

def judged(sample):
    if sample.text == "b":
        signal.pause()
    return sample.target == "own" and sample.fields["n"] == 1
"""


def test_limits_hold_for_checks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A function in a row that hangs leaves its row without a score, and the rest goes on."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "row_functions.py").write_text(FUNCTION)
    check = {
        "name": "python", "path": "row_functions.judged", "timeout_s": 0.5, "target": "own",
    }  # fmt: skip
    table = read_table(write_rows(tmp_path, {"id": "p", "n": 1, "scoring": [check, "json_valid"]}))
    result = scored(table, [{"text": "1"}, {"text": "b"}, {"text": "a"}])
    np.testing.assert_array_equal(result.scores["checks"], [1, math.nan, 0.5])
    assert "judged: took more than 0.5 s (see `timeout_s`)" in result.why_null("checks")
