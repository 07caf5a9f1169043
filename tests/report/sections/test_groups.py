"""``report --group-by``: figures of a group are those of a run of its prompts alone."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest

from evalharness.cli import main
from evalharness.errors import ConfigError
from evalharness.report.build.field_groups import FieldGroup, FieldGroups, field_values
from evalharness.report.build.overrides import parse_overrides
from evalharness.report.build_report import Report, build_report
from evalharness.report.html_report import write_html
from evalharness.report.sections.groups import GROUPS
from evalharness.report.sections.money.section import MONEY
from evalharness.report.sections.settings.section import SETTINGS
from evalharness.store.folder.run import Run
from tests.imported_run import Rows, write_run

ROWS: Rows = [
    {"prompt_id": f"p{p}", "temperature": t, "text": str(p % 3 if k else t), "target": str(p % 3),
     "cluster": f"c{p % 3}", "tags": ["even", "all"] if p % 2 == 0 else ["all"], "prompt": f"{p}?",
     "cost_usd": 0.25 * (p + 1), "status": "error" if (p, t, k) == (4, 1, 0) else "ok"}
    for p in range(9) for t in (0, 1) for k in range(3)
]  # fmt: skip


def _report(name: str, group_by: str | None = None) -> Report:
    return build_report(Run.open(name), parse_overrides(["scoring=exact"], group_by=group_by))


def _groups(name: str, group_by: str) -> dict[str | None, FieldGroup]:
    groups = _report(name, group_by).data[GROUPS]
    assert groups is not None
    return {group.value: group for group in groups.groups}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A run of nine prompts in three clusters; every second one has a tag of its own."""
    monkeypatch.chdir(tmp_path)
    write_run(ROWS)
    return "r"


def test_a_group_is_reported_as_a_run_of_its_own(run: str) -> None:
    """Score, interval, agreement and cost are those of the prompts with this value alone."""
    by_tag = _groups(run, "tags")
    assert {value: group.prompts for value, group in by_tag.items()} == {"all": 9, "even": 5}
    write_run([row for row in ROWS if "even" in str(row["tags"])], "even")
    alone = _report("even").data
    for got, setting, money in zip(
        by_tag["even"].settings, alone[SETTINGS], alone[MONEY].settings, strict=True
    ):
        assert got.label == setting.label
        assert got.score == setting.score.mean
        assert got.score_ci95 == pytest.approx(setting.score.ci95)
        assert got.agreement == setting.agreement.raw.pairwise
        assert got.errors == setting.status["error"]
        assert got.cost.total_usd == money.total_usd
        assert got.cost.ci95 == pytest.approx(money.ci95)
    assert sum(setting.errors for setting in by_tag["even"].settings) == 1


def test_every_output_shows_the_groups(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Console, Markdown and page, and the JSON null without the option."""
    report = _report(run, "cluster")
    assert main(["report", run, "scoring=exact", "--group-by", "cluster"]) == 0
    assert "by cluster" in capsys.readouterr().out
    assert main(["report", run, "scoring=exact", "--group-by", "cluster", "--markdown"]) == 0
    assert "| c1: T=0 | 3 | 9 |" in capsys.readouterr().out
    write_html(report, Path("page.html"), mode=0o644)
    assert 'id="groups"' in Path("page.html").read_text("utf-8")
    assert main(["report", run, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["groups"] is None


def test_a_field_that_no_prompt_has_is_refused(
    run: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the one that was probably meant."""
    assert main(["report", run, "--group-by", "clustr"]) == 2
    assert "did you mean cluster?" in capsys.readouterr().err


PROMPTS = pa.table({
    "prompt_id": ["a", "b", "c"],
    "fields_json": ['{"team": "core", "meta": {"n": 1}, "x.y": true}', '{"team": ""}', None],
    "target_json": ['"bug"', '["bug", "wish"]', None],
    "tags": [["t"], [], None],
    "cluster": ["k", None, None],
})  # fmt: skip


@pytest.mark.parametrize(
    ("field", "columns", "values"),
    [
        ("team", {}, [["core"], [""], [None]]),
        ("meta.n", {}, [["1"], [None], [None]]),
        ("x.y", {}, [["true"], [None], [None]]),
        ("target", {}, [["bug"], ["bug", "wish"], [None]]),
        ("label", {"target": "label"}, [["bug"], ["bug", "wish"], [None]]),
        ("tags", {}, [["t"], [None], [None]]),
    ],
)
def test_values_of_a_field(
    field: str, columns: dict[str, str], values: list[list[str | None]]
) -> None:
    """By name, by path, by the file's own name of a mapped column; lists are several groups."""
    assert list(field_values(PROMPTS, field, columns).values()) == values


def test_a_field_of_nulls_is_no_field() -> None:
    """What the prompts have is listed where nothing is spelled alike."""
    with pytest.raises(ConfigError, match="no prompt") as caught:
        field_values(PROMPTS, "zzz", {})
    assert caught.value.hint == "the prompts have: cluster, meta, tags, target, team, x.y"


def test_groups_can_be_read_from_their_json(run: str) -> None:
    """The struct that the schema describes is what is written."""
    import msgspec

    groups = _report(run, "tags").data[GROUPS]
    assert msgspec.json.decode(msgspec.json.encode(groups), type=FieldGroups) == groups
