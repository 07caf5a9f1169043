"""The soak: a small one holds with kills, and what it compares is compared."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from benchmarks import soak


def test_a_small_soak_holds_and_a_changed_ledger_does_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Records and ledger agree; a request less, another bill or a stranger's request is noticed."""
    monkeypatch.setattr(soak, "PROMPTS", 20)
    # So small a run has no steady part: the figure is printed and not judged.
    monkeypatch.setattr(soak, "FLATNESS", 100.0)
    options = argparse.Namespace(trials=400, fault_share=0.1, concurrency=16, kills=0)
    assert soak.soak(tmp_path, options) == 0, capsys.readouterr().out
    run, ledger = tmp_path / "results" / "soak", tmp_path / "ledger.jsonl"
    lines = ledger.read_text().splitlines()
    first = json.loads(lines[0])
    changed = [
        [*lines[1:]],
        [*lines, json.dumps(first | {"client_request_id": "stranger"})],
        [*lines, lines[0]],
    ]
    billed = next(n for n, line in enumerate(lines) if json.loads(line)["billed"])
    other_bill = json.loads(lines[billed]) | {"billed_usd": "7"}
    changed.append([*lines[:billed], json.dumps(other_bill), *lines[billed + 1 :]])
    for entries in changed:
        ledger.write_text("\n".join(entries) + "\n")
        assert soak.compared(run, ledger)
