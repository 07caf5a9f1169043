"""Metrics of a server beside a run: read, kept, shown, and never in the way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evalharness.cli import main
from evalharness.store.folder.run_folder import MANIFEST
from evalharness.store.parts.scrape_file import Scrape, ScrapeWriter, raw_files
from evalharness.store.parts.scrape_table import parse_metrics, read_server_metrics, seal_scrapes

ARGUMENTS = ("run", "experiment=quickstart", "provider=emulator", "sweep=none", "name=s")
AUTO = "server_metrics={urls: {server: auto}, interval_s: 0.05}"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def figures(capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, Any]]:
    capsys.readouterr()
    assert main(["report", "s", "--json"]) == 0
    return {row["figure"]: row for row in json.loads(capsys.readouterr().out)["server_metrics"]}


def test_a_load_is_seen_from_the_server(capsys: pytest.CaptureFixture[str]) -> None:
    load = ("load=closed", "load.concurrency=4", "load.requests=40", "load.max_delay_s=60")
    code = main([*ARGUMENTS, AUTO, *load, "provider.emulator.ttft_ms=100"])
    assert code in (0, 1)  # a busy machine makes the measurement invalid
    shown = " ".join(capsys.readouterr().out.split())
    assert "Nothing waited at the server in" in shown
    rows = figures(capsys)
    assert rows["running"]["largest"] == 4.0
    assert rows["running"]["readings"] >= 5
    assert rows["output_tokens"]["growth"] > 0
    assert rows["running"]["stretch"] == "closed, 4 in flight"
    assert not raw_files(Path("results/s"))
    assert main(["verify", "s"]) == 0


def test_the_whole_of_a_batch_evaluation(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*ARGUMENTS, AUTO, "provider.emulator.ttft_ms=50"]) == 0
    assert figures(capsys)["prompt_tokens"]["stretch"] == "run"


def test_an_address_that_is_dead_is_a_gap(capsys: pytest.CaptureFixture[str]) -> None:
    dead = "server_metrics={urls: {server: 'http://127.0.0.1:1/metrics'}, interval_s: 0.05}"
    assert main([*ARGUMENTS, dead]) == 0
    assert "does not answer" in capsys.readouterr().err
    table = read_server_metrics(Path("results/s"))
    assert table is not None
    assert set(table["metric"].to_pylist()) == {None}
    assert figures(capsys) == {}


def test_another_format_is_refused_before_anything_is_sent(
    emulate: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    with emulate() as emulator:
        url = emulator.base_url.removesuffix("/v1") + "/healthz"
        other = f"server_metrics={{urls: {{server: '{url}'}}}}"
        assert main([*ARGUMENTS, other]) == 2
    shown = capsys.readouterr().err
    assert f"server_metrics.urls.server: {url} answers with" in shown
    assert json.loads(Path("results/s", MANIFEST).read_bytes())["status"] != "complete"


def test_readings_of_a_killed_session_are_kept(tmp_path: Path) -> None:
    """The frame that was cut off is left out; the table replaces the rest."""
    writer = ScrapeWriter(tmp_path)
    for at in (1, 2):
        writer.add(Scrape(at * 10**9, at * 10**9 + 5, "server", b"vllm:num_requests_running 3\n"))
    writer.close()
    with writer.path.open("ab") as file:
        file.write(b"\x40\x00\x00\x00cut off")
    before = read_server_metrics(tmp_path)
    assert seal_scrapes(tmp_path) == 1
    after = read_server_metrics(tmp_path)
    assert before is not None
    assert after is not None
    assert before.equals(after)
    assert after["value"].to_pylist() == [3.0, 3.0]
    second = ScrapeWriter(tmp_path)
    second.close()
    assert second.path.name == "0002.raw"


@pytest.mark.parametrize("text", [b"<html>", b'{"status": "ok"}', b"\xff\xfe", b"a b c d"])
def test_no_metrics(text: bytes) -> None:
    with pytest.raises(ValueError, match="metric"):
        parse_metrics(text)
