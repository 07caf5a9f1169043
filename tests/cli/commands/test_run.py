"""``evalharness run`` end to end on the real local model."""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

import evalharness as package
from evalharness.cli import main
from evalharness.cli.commands import plan
from tests.cli.conftest import SLICE, Command


def test_a_run_is_recorded_reported_continued_and_extended(
    evalharness: Command, tmp_path: Path
) -> None:
    """One command leaves Parquet and a report; again sends nothing; more repeats send the rest."""
    first = evalharness("run", "name=a", *SLICE)
    assert first.returncode == 0, first.stderr
    root = tmp_path / "results" / "a"
    table = duckdb.sql(
        f"SELECT count(*), count(DISTINCT trial_id), sum(completion_tokens) > 0 "
        f"FROM '{root}/records/*.parquet'"
    ).fetchall()
    assert table == [(8, 8, True)]
    assert "T=0" in first.stdout
    assert "8 requests sent" in first.stderr
    assert "in a browser: results/a/report.html" in first.stderr

    records = package.load(root).records()
    assert set(records["status"]) <= {"ok", "truncated"}
    assert records["model"].unique().tolist() == ["smollm2-135m-instruct"]
    assert (records["latency_s"] > 0).all()
    assert str(tmp_path) not in "".join(records["response_json"])
    cold = records[records["temperature"] == 0]
    assert cold.groupby("prompt_id")["text"].nunique().tolist() == [1, 1]
    assert json.loads(records["request_json"][0])["max_tokens"] == 8

    again = evalharness("run", "name=a", *SLICE)
    assert again.returncode == 0
    assert "nothing to send" in again.stderr
    more = evalharness("run", "name=a", *SLICE, "repeats=3")
    assert "4 requests sent" in more.stderr
    assert "8 were recorded before" in more.stderr

    report = evalharness("report", "a", "--json")
    data = json.loads(report.stdout)
    assert [s["trials"] for s in data["settings"]] == [6, 6]
    assert data["settings"][0]["agreement"]["raw"]["pairwise"] == 1.0
    assert json.loads((root / "summary.json").read_text())["settings"] == data["settings"]
    shown = evalharness("show", "a", "capital-france")
    assert "T=0: 3 repeats" in shown.stdout
    wrong = evalharness("show", "a", "capital-frence")
    assert wrong.returncode == 2
    assert "capital-france" in wrong.stderr
    assert evalharness("verify", "a").stdout.endswith("sound\n")


def test_a_multirun_is_one_pool_in_one_folder(evalharness: Command, tmp_path: Path) -> None:
    """-m with two lists gives four settings in one run folder, interleaved."""
    done = evalharness(
        "run", "-m", "params.temperature=0,0.7", "params.seed=1,2", "name=multi",
        "dataset.limit=2", "repeats=1", "params.max_tokens=4",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    run = package.load(tmp_path / "results" / "multi")
    assert sorted(run.settings()["label"]) == [
        "T=0, seed=1", "T=0, seed=2", "T=0.7, seed=1", "T=0.7, seed=2",
    ]  # fmt: skip
    assert len(run.records()) == 8
    order = run.records().sort_values("position")["setting_id"].tolist()
    assert len({*order[:4]}) > 1
    assert not (tmp_path / "multirun.yaml").exists()


def test_ctrl_c_drains_and_the_printed_command_resumes(
    evalharness: Command, tmp_path: Path
) -> None:
    """SIGINT ends with 130 and nothing lost; the last line goes on where it stopped."""
    arguments = ["run", "name=c", "dataset.limit=4", "repeats=12", "params.max_tokens=12"]
    process = subprocess.Popen(
        [sys.executable, "-m", "evalharness", *arguments],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ},
    )  # fmt: skip
    journal = tmp_path / "results" / "c" / "journal" / "journal.sqlite"
    while process.poll() is None:
        if journal.exists() and _results(journal) >= 3:
            break
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    assert "finishing what is in flight" in errors
    last = errors.strip().splitlines()[-1]
    assert last.endswith("to go on: evalharness " + " ".join(arguments))
    run = package.load(tmp_path / "results" / "c")
    recorded = len(run.records())
    assert 3 <= recorded < 288
    assert run.manifest.status == "interrupted"
    # Nothing in flight was thrown away; what was about to go was not sent.
    assert (run.attempts()["outcome"] != "not_sent").sum() == recorded
    rest = evalharness("run", "name=c", "dataset.limit=4", "repeats=1", "params.max_tokens=12")
    assert rest.returncode == 0, rest.stderr
    assert not package.load(tmp_path / "results" / "c").records()["trial_id"].duplicated().any()


def _results(journal: Path) -> int:
    import sqlite3

    try:
        with sqlite3.connect(f"file:{journal}?mode=ro", uri=True) as db:
            count = db.execute("SELECT count(*) FROM entry WHERE kind = 2").fetchone()[0]
        db.close()
    except sqlite3.OperationalError:
        return 0
    return count


def test_a_small_model_file_that_is_not_there_is_named(evalharness: Command) -> None:
    """No weights: exit 2, one clear sentence, and nothing sent."""
    done = evalharness("run", "name=x", "provider.model_path=missing.gguf", *SLICE)
    assert done.returncode == 2
    assert "missing.gguf" in done.stderr


def test_what_takes_time_at_the_start_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking for cycles in what is imported, and threads of numpy's linear algebra library."""
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "")
    monkeypatch.delenv("OPENBLAS_NUM_THREADS")
    before, seen = gc.get_threshold(), list[object]()

    def note_settings(_: plan.PlanOptions) -> int:
        seen.extend([gc.get_threshold()[0] >= 50_000, os.environ["OPENBLAS_NUM_THREADS"]])
        return 0

    monkeypatch.setattr(plan, "COMMAND", plan.COMMAND._replace(run=note_settings))
    assert main(["plan"]) == 0
    assert seen == [True, "1"]
    assert gc.get_threshold() == before


# The server is a thread of the command's own process, so that it sees what is imported by then.
_RUN = """
import json, os, sys, threading
from http.server import BaseHTTPRequestHandler, HTTPServer

class First(BaseHTTPRequestHandler):
    def do_POST(self):
        print(json.dumps(sorted({"pandas", "scipy", "pyarrow.compute", "genai_prices"} & set(sys.modules))), flush=True)
        os._exit(0)

server = HTTPServer(("127.0.0.1", 0), First)
threading.Thread(target=server.serve_forever, daemon=True).start()
from evalharness.cli import main
url = f"http://127.0.0.1:{server.server_port}/v1"
sys.argv = ["evalharness", "run", "provider=openai_compatible", f"provider.base_url={url}",
            "provider.model=m", "provider.api_key_env=null", "results_dir=" + sys.argv[1]]
main()
"""


def test_what_comes_before_the_first_request_imports_nothing_slow(
    tmp_path: Path,
) -> None:
    """Neither these nor pandas and scipy are needed; they take as long as all else."""
    done = subprocess.run(
        [sys.executable, "-c", _RUN, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == []
