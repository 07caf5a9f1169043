"""``load=sweep`` against a real server that is full at a known rate."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import CommandOutput

# Four workers of 0.1 s each: 40 answers a second, and four requests in flight fill it.
SERVER = (
    "provider=emulator", "provider.emulator.workers=4", "provider.emulator.ttft_ms=80",
    "provider.emulator.itl_ms=2", "provider.emulator.output_tokens=11", "sweep=none",
    "scoring=none", "params.stream=true", "dataset.limit=3", "load=sweep",
    "load.duration_s=1.5", "load.warmup_s=0.3", "load.sweep.max_concurrency=16",
    # A busy machine makes a measurement invalid; these tests are about what is found.
    "load.max_delay_s=60", "load.min_rate_share=0.01",
)  # fmt: skip


Command = Callable[..., CommandOutput]


def load_of(command: Command, name: str) -> dict[str, Any]:
    return json.loads(command("report", name, "--json").stdout)["load"]


def test_idle_knee_and_saturation_are_found_and_drawn(in_process: Command, tmp_path: Path) -> None:
    done = in_process("run", *SERVER, "name=a", "provider.server={gpus: 2, usd_per_hour: 3.6}")
    assert done.returncode == 0, done.stderr
    load = load_of(in_process, "a")
    (sweep,) = load["sweeps"]
    assert 3 <= len(sweep["measurements"]) <= 8
    assert sweep["idle_latency_s"]["value"] == pytest.approx(0.1, rel=0.2)
    assert sweep["saturation_per_s"]["value"] == pytest.approx(40, rel=0.2)
    assert sweep["knee_low"] is not None
    assert sweep["knee_rate"] == pytest.approx(40, rel=0.3)
    assert sweep["knee_concurrency"]["value"] == pytest.approx(4, rel=0.3)
    labels = [point["label"] for point in load["points"]]
    assert labels[0] == "closed, 1 in flight"
    assert labels[-1] == "closed, 16 in flight"
    # The setting is shown as it was at the knee.
    report = json.loads(in_process("report", "a", "--json").stdout)
    (setting,) = report["settings"]
    shown = next(p for p in load["points"] if p["measurement"] == sweep["shown_measurement"])
    assert setting["trials"] == shown["requests"]["delivered"]

    capacity = load["capacity"]
    assert (capacity["unit"], capacity["per"]) == ("tokens", "usd")
    top = max(capacity["points"], key=lambda point: point["work"])
    assert top["work"] == pytest.approx(40 * 11 * 3600 / 3.6, rel=0.25)
    assert any(point["on_frontier"] for point in capacity["points"])

    page = (tmp_path / "results" / "a" / "report.html").read_text()
    text = " ".join(done.stdout.split())
    for sentence in sweep["outcome"]:
        assert sentence in text
    assert "Work and speed" in page
    in_process("report", "a", "--plots", "plots")
    curve = json.loads(Path("plots/load-latency-against-throughput.vl.json").read_text())
    rules = curve["vconcat"][0]["layer"][0]["data"]["values"]
    marks = {mark["name"]: mark["at"] for mark in rules}
    assert marks == {
        "knee": sweep["knee_rate"], "saturation": sweep["saturation_per_s"]["value"],
    }  # fmt: skip

    again = in_process("run", *SERVER, "name=a", "provider.server={gpus: 2, usd_per_hour: 3.6}")
    assert "nothing to send" in again.stderr


def test_a_client_that_is_the_limit_is_said(in_process: Command) -> None:
    """No client is punctual to a nanosecond: no rate is measured, and none is called a knee."""
    arguments = [each for each in SERVER if not each.startswith("load.m")]
    done = in_process(
        "run", *arguments, "name=late", "load.max_delay_s=0.000000001", "load.sweep.points=4"
    )
    assert done.returncode == 1
    (sweep,) = load_of(in_process, "late")["sweeps"]
    assert (sweep["knee_low"], sweep["knee_high"], sweep["knee_rate"]) == (None, None, None)
    assert sweep["unmeasured"]
    assert "not measured" in " ".join(sweep["outcome"])


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["load.rate=3"], "load.sweep.max_rate=20"),
        (["load.arrival=closed"], "load.sweep.over=concurrency"),
        (["load.sweep.over=concurrency", "load.sweep.max_rate=3"], "load.sweep.max_concurrency=32"),
        (["dataset.path=conversations.jsonl", "dataset.limit=null"], "load=closed"),
        (["+load.search.goodput=0.9", "load.slo.latency_s=1"], "load.search=null"),
    ],
)
def test_what_means_nothing_is_refused(
    in_process: Command, tmp_path: Path, arguments: list[str], hint: str
) -> None:
    done = in_process("run", *SERVER, "name=refused", *arguments)
    assert done.returncode == 2
    assert hint in done.stderr
    assert not (tmp_path / "results" / "refused" / "load.json").exists()
