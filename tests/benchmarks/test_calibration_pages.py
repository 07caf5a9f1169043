"""Tables that are computed alone replace themselves, and nothing else."""

from __future__ import annotations

from pathlib import Path

from benchmarks.calibration_pages import Computed, write_pages

HEAD = ["| figure, % | promised | lowest | highest | cells | fail |", "|---|---|---|---|---|---|"]
TITLES = ["Shares", "Amounts", "Gates"]


def computed(title: str, table: str, value: str, *failures: str) -> Computed:
    row = f"| {title} | 93 to 97 | {value} | {value} | 1 | 0 |"
    section = ["", f"## {title}", "", "Per cent: 95 % promised.", "", f"| {value} |"]
    return Computed(section, [*HEAD, row], failures, [table], TITLES)


def test_pages_are_updated(tmp_path: Path) -> None:
    page = tmp_path / "statistics.md"
    page.write_text("before\n<!-- calibration: begin -->\n<!-- calibration: end -->\nafter\n")
    for each in (
        computed("Gates", "gates", "4"),
        computed("Shares", "shares", "80", "* shares: p, 10: 80.0 ± 1.0"),
        computed("Amounts", "amounts", "94", "* amounts: t, 5: 90.0 ± 1.0"),
        computed("Shares", "shares", "95"),
    ):
        write_pages(tmp_path, each, "python -m benchmarks.calibration --runs 9")
    text = (tmp_path / "calibration.md").read_text()
    assert [line for line in text.splitlines() if line.startswith("## ")] == [
        "## Shares", "## Amounts", "## Gates", "## Promises that do not hold",
    ]  # fmt: skip
    assert "| 95 |" in text
    assert "| 80 |" not in text
    assert text.endswith("\n\n* amounts: t, 5: 90.0 ± 1.0\n")
    rows = [line for line in page.read_text().splitlines() if line.startswith("| ")]
    assert [row.split(" | ")[0] for row in rows[1:]] == ["| Shares", "| Amounts", "| Gates"]
    assert page.read_text().startswith("before\n")
    assert page.read_text().endswith("after\n")
