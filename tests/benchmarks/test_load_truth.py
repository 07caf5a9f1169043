"""The programs that hold load against the truth do what they say, in small; no time is asserted."""

from __future__ import annotations

import sys

import pytest

from benchmarks import oversaturation, truth


def test_times_and_rates_are_held_against_the_server(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small = ["--streams", "10", "--gap", "0.05", "--length", "0.5", "--seconds", "1.5"]
    monkeypatch.setattr(sys, "argv", ["truth", *small, "--rate", "40"])
    assert truth.main() in (0, 1)  # a busy machine is late
    shown = capsys.readouterr().out
    for scheme in ("http", "https"):
        assert f"| TTFT, 10 streams over {scheme} |" in shown
        assert f"| gap between chunks, 10 streams over {scheme} |" in shown
    assert "40/s, sent in the window: " in shown
    assert "40/s, seen by the server: " in shown


def test_queues_are_told_apart(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["oversaturation", "--runs", "4", "--requests", "150"])
    assert oversaturation.main() == 0
    assert "| 16 workers, sigma 0.5, constant | 0 % |" in capsys.readouterr().out
