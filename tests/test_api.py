"""``evalharness.load``: figures as DataFrames, and the page that shows them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import evalharness
from evalharness.api import RunFrames
from evalharness.cli.commands.import_ import import_file
from evalharness.errors import ConfigError
from evalharness.report.build_report import build_report
from evalharness.report.sections.comparisons.section import COMPARISONS
from evalharness.report.sections.settings.section import SETTINGS

TABLES = (
    "record_scores", "agreement", "tar", "scores", "pass_k", "latency", "cost", "load",
    "load_times", "comparisons",
)  # fmt: skip
PAGE = Path(__file__).parents[1] / "docs" / "notebook.md"


async def _answer(prompt: str) -> str:
    if prompt == "!":
        raise ValueError(prompt)
    return prompt


@pytest.fixture
def run_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with scored runs `quickstart` and `yesterday`: three temperatures, six prompts."""
    monkeypatch.chdir(tmp_path)
    rows = [
        {
            "prompt_id": f"p{p}", "temperature": t, "text": f"said {p * t * r % 3}",
            "score": float((p + r) % 2 or t == 0), "latency_s": 1.0 + t + r,
        }
        for p in range(6) for t in (0, 0.5, 1) for r in range(2)
    ]  # fmt: skip
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    import_file("rows.jsonl", "quickstart", [])
    import_file("rows.jsonl", "yesterday", [])
    return tmp_path


def test_the_frames_hold_the_reports_figures(run_folder: Path) -> None:
    """The frames give what report --json gives."""
    run = evalharness.load("quickstart")
    report = build_report(run).data
    settings = report[SETTINGS]
    agreement = run.agreement()
    assert agreement["pairwise"].tolist() == [row.agreement.raw.pairwise for row in settings]
    assert run.scores()["mean"].tolist() == [row.score.mean for row in settings]
    assert run.cost()["total"].isna().all()  # an import has no price: unknown, not 0
    compared = run.compare(by="temperature", baseline=0)
    wanted = [(row.metric, row.difference, row.p) for row in report[COMPARISONS]]
    for table in (compared, run.comparisons()):
        assert list(zip(table["metric"], table["difference"], table["p"], strict=True)) == wanted
    assert run.comparisons()["p_headline"].notna().all()  # which decides in the report
    assert compared["p_headline"].isna().all()
    assert run.latency()["p50"].tolist() == [row.latency_s.p50 for row in settings]
    tar, pass_k = run.tar(), run.pass_k()
    assert tar["tar"].tolist() == [
        rate for row in settings for rate in row.agreement.raw.tar.values()
    ]
    assert pass_k.loc[pass_k["k"] == 2, "pass_hat_k"].tolist() == [
        row.score.pass_hat_k["2"] for row in settings
    ]
    assert run.load().empty  # no benchmark


def test_record_scores_are_those_that_the_means_are_of(run_folder: Path) -> None:
    """One row a record, a column a scorer, with the label of its setting; errors have none."""
    table = evalharness.run(
        call=_answer, dataset=[{"prompt": text, "target": "a"} for text in ("a", "b", "!")],
        repeats=1, scoring=[{"name": "exact"}, {"name": "includes", "label": "status"}], name="two",
        progress=False,
    ).record_scores()  # fmt: skip
    assert list(table.columns) == [
        "setting_id", "label", "prompt_id", "repeat", "status", "exact", "score.status",
    ]  # fmt: skip
    assert table["exact"].fillna(-1).tolist() == [1, 0, -1]
    run = evalharness.load("quickstart")
    by_prompt = run.record_scores().groupby(["label", "prompt_id"])["imported"].mean()
    means = run.scores().set_index("label")["mean"]
    assert by_prompt.groupby("label").mean().to_dict() == pytest.approx(means.to_dict())


def _columns(of: Any) -> dict[str, list[str]]:
    """The columns of each table of a run or of several."""
    tables = {name: getattr(of, name)() for name in TABLES}
    tables["compare"] = of.compare(by="temperature")
    return {name: list(table.columns) for name, table in tables.items()}


def test_every_column_is_documented(run_folder: Path) -> None:
    """With its meaning in the docstring of the method; those of several runs have the run too."""
    run = evalharness.load("quickstart")
    columns = _columns(run)
    for method, names in columns.items():
        text = getattr(RunFrames, method).__doc__ or ""
        text += RunFrames.compare.__doc__ or "" if method == "comparisons" else ""
        scorers = set(run.scores()["scorer"]) if method == "record_scores" else set()
        missing = [name for name in names if f"``{name}``" not in text and name not in scorers]
        assert not missing, method
    several = _columns(evalharness.load(["quickstart"]))
    assert several == {
        name: names if name == "compare" else ["run", *names] for name, names in columns.items()
    }


def test_several_runs_are_one(run_folder: Path) -> None:
    """Every table has a row's run; runs of one name are told apart; the same run is refused."""
    shutil.copytree("results/quickstart", "old/quickstart")
    runs = evalharness.load(["quickstart", Path("old/quickstart")])
    assert list(runs) == ["quickstart", "old/quickstart"]
    table = runs.record_scores()
    assert table.groupby("run").size().to_dict() == dict.fromkeys(runs, 36)
    assert not runs.settings().duplicated(["run", "label"]).any()
    assert not runs.scores().duplicated(["run", "label"]).any()
    compared = runs.compare(metrics=["score"])
    assert set(compared["b_run"]) == {"quickstart"}
    assert (compared["difference"] == 0).all()
    paths = runs.plots("figures", formats=["vega"])
    assert {path.parent.name for path in paths} == {"quickstart-1", "quickstart-2"}
    with pytest.raises(ConfigError, match="twice"):
        evalharness.load(["quickstart", "results/quickstart"])


def test_labels_are_unique_also_beside_those_of_an_earlier_plan(run_folder: Path) -> None:
    """Each plan labels its own settings; the newest keep their labels, here and in the report."""
    for tokens in (5, 6):
        run = evalharness.run(
            call=_answer, dataset=["a", "b"], sweep={"temperature": [0, 1]}, name="mine",
            params={"max_tokens": tokens}, progress=False,
        )  # fmt: skip
    assert run.settings()["label"].tolist() == ["T=0", "T=1", "T=0 (earlier)", "T=1 (earlier)"]
    assert run.scores()["label"].tolist() in ([], ["T=0", "T=1"])
    assert run.latency()["label"].tolist() == ["T=0", "T=1"]


def test_load_points_are_rows(run_folder: Path) -> None:
    """Of a benchmark: rates a load point, and times with intervals a setting and figure."""
    run = evalharness.run(
        "load=closed", "load.requests=20", sweep={"load.concurrency": [1, 2]}, call=_answer,
        dataset=["a", "b", "c"], name="bench", progress=False,
    )  # fmt: skip
    points, times = run.load(), run.load_times()
    assert points["concurrency"].tolist() == [1, 2]
    assert points["delivered"].tolist() == [20, 20]
    assert points["label"].tolist() == run.settings()["label"].tolist()
    latency = times[(times["of"] == "latency_s") & (times["origin"] == "scheduled")]
    assert latency["p50"].tolist() == points["latency_p50"].tolist()
    for method, table in (("load", points), ("load_times", times)):
        text = getattr(RunFrames, method).__doc__ or ""
        assert all(f"``{name}``" in text for name in table.columns)


def test_the_notebook_page_runs(run_folder: Path) -> None:
    """Every code block of docs/notebook.md runs, top to bottom."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) >= 4
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)


def test_importing_the_package_stays_cheap() -> None:
    """`import evalharness` brings neither numpy nor pandas nor pyarrow."""
    code = "import evalharness, sys; print({'numpy', 'pandas', 'pyarrow'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
