"""``evalharness.load``: figures as DataFrames, and the page that shows them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import evalharness
from evalharness.cli.commands.import_ import import_file
from evalharness.report.build_report import build_report
from evalharness.report.sections.comparisons.section import COMPARISONS
from evalharness.report.sections.settings.section import SETTINGS

PAGE = Path(__file__).parents[1] / "docs" / "notebook.md"


@pytest.fixture
def run_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a scored run called `quickstart`: three temperatures, six prompts."""
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
    return tmp_path


def test_the_frames_hold_the_reports_figures(run_folder: Path) -> None:
    """The frames give what report --json gives, and every column is documented."""
    run = evalharness.load("quickstart")
    report = build_report(run).data
    settings = report[SETTINGS]
    agreement = run.agreement()
    assert agreement["pairwise"].tolist() == [row.agreement.raw.pairwise for row in settings]
    assert run.scores()["mean"].tolist() == [row.score.mean for row in settings]
    assert run.cost()["total"].isna().all()  # an import has no price: unknown, not 0
    compared = run.compare(by="temperature", baseline=0)
    wanted = [(row.metric, row.difference, row.p) for row in report[COMPARISONS]]
    assert (
        list(zip(compared["metric"], compared["difference"], compared["p"], strict=True)) == wanted
    )
    for method, table in (
        ("agreement", agreement), ("scores", run.scores()), ("cost", run.cost()),
        ("compare", compared),
    ):  # fmt: skip
        text = getattr(evalharness.api.RunFrames, method).__doc__ or ""
        assert all(f"``{name}``" in text for name in table.columns), method


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
