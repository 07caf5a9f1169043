"""``evalharness run`` with a load, against a real server over real sockets."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import evalharness as package
from evalharness.store.folder.load_points_file import read_measurements
from tests.cli.conftest import CommandOutput

EMULATOR = (
    "provider=emulator", "provider.emulator.ttft_ms=20", "provider.emulator.itl_ms=2",
    "provider.emulator.output_tokens=8", "sweep=none", "scoring=none", "params.stream=true",
    # A busy machine makes a measurement invalid; these tests are about what is recorded.
    "load.max_delay_s=60", "load.min_rate_share=0.01",
)  # fmt: skip


Command = Callable[..., CommandOutput]


def load_of(command: Command, name: str) -> dict[str, Any]:
    return json.loads(command("report", name, "--json").stdout)["load"]


def test_load_points_are_settings_measured_one_after_the_other(
    in_process: Command, tmp_path: Path
) -> None:
    arguments = (
        "run", "load=constant", "sweep.load.rate=[40,80]", "load.requests=20",
        "load.warmup_requests=5", "name=a", "dataset.limit=3", *EMULATOR,
    )  # fmt: skip
    done = in_process(*arguments)
    assert done.returncode == 0, done.stderr
    assert "50 requests sent" in done.stderr
    assert "constant 40/s" in done.stdout
    assert "TPOT" in done.stdout

    run = package.load(tmp_path / "results" / "a")
    records = run.records()
    assert sorted(run.settings()["label"]) == ["rate=40", "rate=80"]
    assert records.groupby(["measurement", "phase"]).size().to_dict() == {
        (1, "measured"): 20, (1, "warmup"): 5, (2, "measured"): 20, (2, "warmup"): 5,
    }  # fmt: skip
    # One after the other: the first point's last request left before the second's first was due.
    ends = records.groupby("measurement")["sent_at"].max()
    begins = records.groupby("measurement")["scheduled_at"].min()
    assert ends[1] < begins[2]
    assert (records["admitted_at"] >= records["scheduled_at"]).all()
    gaps = records[records["measurement"] == 1]["scheduled_at"].sort_values().diff().dropna()
    assert gaps.dt.total_seconds().to_numpy() == pytest.approx(1 / 40, abs=1e-6)
    assert records["chunk_times_s"].map(len).eq(8).all()

    found = load_of(in_process, "a")
    assert [p["requests"]["sent"] for p in found["points"]] == [20, 20]
    assert [p["requests"]["warmup"] for p in found["points"]] == [5, 5]
    for point in found["points"]:
        assert point["ttft_s"]["sent"]["n"] == 20
        # On a busy machine all tokens of an answer may come in one piece, which has no TPOT.
        assert 0 < point["tpot_s"]["n"] <= 20
        assert point["ttft_s"]["sent"]["p50"] >= 0.02
        assert point["latency_s"]["scheduled"]["p50"] >= point["latency_s"]["sent"]["p50"]
        assert point["inter_chunk_s"]["n"] == 20 * 7
        assert point["timeline"]["bins"]
    data = json.loads(in_process("report", "a", "--json").stdout)
    assert [s["trials"] for s in data["settings"]] == [20, 20]  # warm-up is in no figure

    again = in_process(*arguments)
    assert "nothing to send: all 50" in again.stderr
    wider = in_process(*[a.replace("[40,80]", "[40,80,60]") for a in arguments])
    assert "25 requests sent" in wider.stderr
    assert "50 were recorded before" in wider.stderr
    assert in_process("verify", "a").stdout.endswith("sound\n")
    compared = json.loads(in_process("compare", "a", "--by", "load.rate", "--json").stdout)
    assert {c["metric"] for c in compared["comparisons"]} >= {
        "latency_s", "ttft_s", "tpot_s", "itl_s", "throughput_per_s", "output_tokens_per_s",
    }  # fmt: skip
    rate = next(c for c in compared["comparisons"] if c["metric"] == "throughput_per_s")
    assert rate["difference"] > 0
    assert (rate["unit"], rate["n"], rate["wins"]) == ("time", 20, None)
    points = {p["label"]: p for p in load_of(in_process, "a")["points"]}
    assert rate["counted"] == [
        points[f"constant {rate[side]}/s"]["completed"] for side in ("a_value", "b_value")
    ]
    assert rate["a_mean"] == points[f"constant {rate['a_value']}/s"]["throughput_per_s"]
    table = in_process("export", "a", "--table", "settings", "--format", "jsonl").stdout
    shown = [json.loads(line)["throughput_per_s"] for line in table.splitlines()]
    assert rate["a_mean"] in shown


def test_rate_limited_requests_are_counted_and_pause_nobody(in_process: Command) -> None:
    done = in_process(
        "run", "load=constant", "load.rate=50", "load.requests=30", "name=limited",
        "provider.emulator.rpm=10", "load.slo.ttft_s=5", *EMULATOR,
    )  # fmt: skip
    assert done.returncode == 1
    assert "30 requests sent, 0 of them retries, 20 trials failed" in done.stderr
    (point,) = load_of(in_process, "limited")["points"]
    assert point["errors"] == [{"error_kind": "rate_limited", "http_status": 429, "attempts": 20}]
    assert point["latency_s"]["sent"]["n"] == 10
    assert point["goodput"]["share"] == pytest.approx(1 / 3)
    assert "20 requests failed, rate_limited (HTTP 429); in no latency" in done.stdout


def test_an_unfinished_load_point_is_measured_anew(in_process: Command, tmp_path: Path) -> None:
    """What a stop left is in no figure; the point is measured again with repeats that go on."""
    arguments = (
        "run",
        "load=closed",
        "load.concurrency=2",
        "load.requests=12",
        "name=b",
        *EMULATOR,
    )
    # The account runs dry: a stop in the middle of the point.
    stopped = in_process(
        *arguments, "limits.max_cost_usd=0.0002", "params.max_tokens=16",
        'pricing.prices=[{model: "*", price_usd_per_mtok: {prompt: 0.4, completion: 1.2}}]',
    )  # fmt: skip
    assert stopped.returncode == 4, stopped.stderr
    root = tmp_path / "results" / "b"
    (first,) = read_measurements(root)
    assert first.state == "interrupted"
    before = package.load(root).records()
    assert 0 < len(before) < 12
    done = in_process(*arguments, "params.max_tokens=16")
    assert done.returncode == 0, done.stderr
    assert [m.state for m in read_measurements(root)] == ["interrupted", "complete"]
    run = package.load(root)
    records = run.records()
    assert not records["trial_id"].duplicated().any()
    assert (records["measurement"] == 2).sum() == 12
    assert records[records["measurement"] == 2]["repeat"].min() > before["repeat"].max()
    data = json.loads(in_process("report", "b", "--json").stdout)
    assert data["settings"][0]["trials"] == 12
    assert data["load"]["unfinished_measurements"] == 1
    assert in_process("verify", "b").stdout.endswith("sound\n")


def test_a_search_finds_where_the_server_is_full_and_draws_the_curve(
    in_process: Command, tmp_path: Path
) -> None:
    """One worker that needs 34 ms serves 29 requests/s."""
    done = in_process(
        "run", "load=saturation", "load.rate=10", "load.requests=40", "load.duration_s=null",
        "load.warmup_s=0", "load.slo.latency_s=0.3", "load.search.precision=0.4", "name=sat",
        "provider.emulator.workers=1", *EMULATOR,
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stderr
    found = load_of(in_process, "sat")
    (search,) = found["searches"]
    assert 10 in search["rates"]
    assert search["high"] is not None
    assert search["high"] - (search["low"] or 0) <= 0.4 * search["high"] or search["low"] is None
    rates = [p["load"]["rate"] for p in found["points"]]
    assert rates == sorted(rates)
    assert len(rates) >= 2
    held = search["low"] or 0
    assert all(p["holds"] == (p["load"]["rate"] <= held if p["valid"] or p["state"] == "cut" else None)
               for p in found["points"])  # fmt: skip
    page = (tmp_path / "results" / "sat" / "report.html").read_text()
    assert "Latency against throughput" in page
    assert "requests in flight" in page
    assert search["outcome"] in done.stdout
    again = in_process(*(
        "run", "load=saturation", "load.rate=10", "load.requests=40", "load.duration_s=null",
        "load.warmup_s=0", "load.slo.latency_s=0.3", "load.search.precision=0.4", "name=sat",
        "provider.emulator.workers=1", *EMULATOR,
    ))  # fmt: skip
    assert "nothing to send" in again.stderr


def test_a_search_that_the_client_cannot_measure_says_nothing_about_the_server(
    in_process: Command, tmp_path: Path
) -> None:
    """No client is punctual to a microsecond: every point is invalid, and bounds nothing."""
    done = in_process(
        "run", "load=saturation", "load.rate=40", "load.requests=10", "load.duration_s=null",
        "load.warmup_s=0", "load.slo.latency_s=5", "load.max_delay_s=0.000001",
        "load.search.max_points=3", "name=late",
        *[a for a in EMULATOR if not a.startswith("load.")],
    )  # fmt: skip
    assert done.returncode == 1
    found = load_of(in_process, "late")
    (search,) = found["searches"]
    assert (search["result"], search["low"], search["high"]) == ("unmeasured", None, None)
    assert search["unmeasured_rates"] == search["rates"] == [10, 20, 40]
    assert [p["holds"] for p in found["points"]] == [None] * 3
    page = (tmp_path / "results" / "late" / "report.html").read_text()
    for shown in (done.stdout, page):
        assert search["outcome"] in " ".join(shown.split())
    assert (
        "40 requests/s: goodput 100.0%, not measured: the client could not hold this load"
        in done.stderr
    )


def test_a_late_client_is_told_and_fails_the_command(in_process: Command) -> None:
    """One place in flight for 200 requests/s of 34 ms: the schedule cannot be kept."""
    done = in_process(
        "run", "load=constant", "load.rate=200", "load.requests=30", "load.concurrency=1",
        "name=late", *[a for a in EMULATOR if not a.startswith("load.")],
    )  # fmt: skip
    assert done.returncode == 1
    assert "INVALID" in done.stderr
    (point,) = load_of(in_process, "late")["points"]
    assert not point["valid"]
    assert point["achieved_rate"] < point["requested_rate"]
    assert point["latency_s"]["scheduled"]["p95"] > 4 * point["latency_s"]["sent"]["p95"]
    assert re.search(
        r"Load point constant 200/s is invalid: requests were sent .* after", done.stdout
    )


def test_the_local_model_end_to_end(in_process: Command) -> None:
    done = in_process(
        "run", "load=poisson", "load.rate=4", "load.requests=8", "load.warmup_requests=2",
        "params.stream=true", "params.max_tokens=6", "sweep=none", "scoring=none", "name=local",
        "load.slo.latency_s=30", "load.max_delay_s=60", "load.min_rate_share=0.01",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (point,) = load_of(in_process, "local")["points"]
    assert point["requests"]["delivered"] == 8
    assert point["ttft_s"]["sent"]["n"] == 8
    assert point["tpot_s"]["p50"] > 0
    assert point["goodput"]["share"] == 1.0
    assert point["completion_tokens"]["n"] == 8


def test_warm_up_of_imported_records_is_in_no_figure(in_process: Command, tmp_path: Path) -> None:
    """Records without load.json still say which of them are warm-up."""
    rows = [
        {"prompt_id": f"p{i}", "text": "x", "measurement": 1, "phase": phase}
        for i, phase in enumerate(["warmup", "measured", "measured"])
    ]
    Path("theirs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = in_process("import", "theirs.jsonl", "theirs")
    assert done.returncode == 0, done.stderr
    data = json.loads(in_process("report", "theirs", "--json").stdout)
    assert [s["trials"] for s in data["settings"]] == [2]
    assert data["load"] is None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["load=poisson", "load.rate=null"], "needs `load.rate`"),
        (["load=poisson", "load.warmup_s=1", "load.warmup_requests=1"], "not both"),
        (["load=closed", "sweep.load.rate=[1,2]"], "means nothing to load.arrival=closed"),
        (["sweep.load.rate=[1,2]"], "needs a load"),
        (["load=poisson", "sweep.load.rat=[1]"], "did you mean sweep.load.rate?"),
        (["load=poisson", "load.slo.tpot_s=1", "params.stream=null"], "params.stream=true"),
        (["load=poisson", "limits.adaptive=true"], "limits.adaptive=false"),
        (["load=saturation", "load.slo.latency_s=null"], "`load.slo` has none"),
        (["load=replay", "repeats=1"], "load.column"),
        (["load=replay", "load.column=nope", "repeats=1"], "column `nope` must hold seconds"),
        (["load=poisson", "sweep.load.rate=[-1]"], "sweep.load"),
        (["load.rate=3"], "needs a load that has it"),
    ],
)
def test_what_cannot_be_sent_is_refused_before_anything_is(
    in_process: Command, tmp_path: Path, arguments: list[str], said: str
) -> None:
    done = in_process("run", "provider=emulator", "name=bad", "params.stream=true", *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert not (tmp_path / "results" / "bad").exists()


def test_a_folder_without_the_newer_columns_reads_as_null(
    in_process: Command, tmp_path: Path
) -> None:
    """A run folder of an older version: the same files, fewer columns."""
    batch = ("dataset.limit=2", "repeats=1", *[a for a in EMULATOR if not a.startswith("load.")])
    assert in_process("run", "name=old", *batch).returncode == 0
    root = tmp_path / "results" / "old"
    newer = {"measurement", "phase", "admitted_at", "load_json", "reasoning_text", "ttfr_s",
             "last_reasoning_s"}  # fmt: skip
    (path,) = root.glob("records/*.parquet")
    for file in (path, root / "settings.parquet"):
        table = pq.read_table(file)
        pq.write_table(table.drop_columns(sorted(newer & set(table.column_names))), file)
    run = package.load(root)
    assert run.records()[["phase", "reasoning_text", "ttfr_s"]].isna().all(axis=None)
    assert run.settings()["load_json"].isna().all()
    assert len(run.records()) == 2
    report = json.loads(in_process("report", "old", "--json").stdout)
    assert report["load"] is None
    assert report["settings"][0]["trials"] == 2
    verified = in_process("verify", "old").stdout
    assert "columns" not in verified  # only the checksum of the rewritten part is off
    more = in_process("run", "name=old", *[a.replace("repeats=1", "repeats=2") for a in batch])
    assert "2 requests sent" in more.stderr
    assert len(package.load(root).records()) == 4
