"""Score and agreement of load points, of a run whose server answers worse under load."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evalharness.cli import main


def test_a_planted_drop_is_in_the_row_of_its_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [{"id": f"q{n}", "prompt": f"Say {n}.", "target": f"word{n}"} for n in range(12)]
    Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    known = [{"prompt": row["prompt"], "answer": row["target"]} for row in rows]
    Path("known.jsonl").write_text("".join(json.dumps(row) + "\n" for row in known))
    code = main(
        ["run", "provider=emulator", "dataset.path=rows.jsonl", "load=closed", "sweep=none",
         "sweep.load.concurrency=[1,12]", "load.requests=36", "params.temperature=0",
         "scoring=includes", "name=q", "provider.emulator.answers=known.jsonl",
         "provider.emulator.load_noise=0.1", "provider.emulator.ttft_ms=30",
         "load.max_delay_s=60", "load.min_rate_share=0.01"]
    )  # fmt: skip
    shown = capsys.readouterr()
    assert code == 0, shown.err
    shown_text = shown.out.replace("\u00a0", " ")
    table = shown_text[shown_text.index("same text", shown_text.index("load point")) :]
    lines = {line.split("  ")[0]: line for line in table.splitlines() if line.startswith("closed,")}
    assert "100 % [" in lines["closed, 1 in flight"]
    main(["report", "q", "--json"])
    report = json.loads(capsys.readouterr().out)
    alone, loaded = (setting["score"]["mean"] for setting in report["settings"])
    assert alone == 1.0
    assert loaded < 0.8
    assert f"{100 * loaded:.0f} % [" in lines["closed, 12 in flight"]
    page = (tmp_path / "results" / "q" / "report.html").read_text()
    assert "requests in flight, mean" in page
    main(["report", "q", "--markdown"])
    assert "| closed, 12 in flight |" in capsys.readouterr().out
