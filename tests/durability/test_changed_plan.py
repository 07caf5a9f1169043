"""A changed plan for the same folder: it extends, and says what remains and what is orphaned."""

from __future__ import annotations

import json
from pathlib import Path

import evalharness
from evalharness.store.parts.verify import verify_folder
from tests.durability.processes import Emulator, ForkServer

PLAN = ("dataset.limit=3", "sweep.seed=null", "params.max_tokens=8")


def test_a_changed_plan_extends_and_names_what_it_orphans(
    fork_server: ForkServer, emulator: Emulator, tmp_path: Path
) -> None:
    """New values and prompts are bought, vanished ones stay recorded, are said, and come back free."""
    root = tmp_path / "results" / "c"

    def run(*changes: str) -> tuple[str, int]:
        before = emulator.served()
        done = fork_server.run(tmp_path, "run", "name=c", *emulator.provider, *PLAN, *changes)
        assert done.code == 0, done.err
        assert verify_folder(root).is_sound
        return done.out + done.err, emulator.served() - before

    _, sent = run("sweep.temperature=[0,1]", "repeats=2")
    assert sent == 12
    said, sent = run("sweep.temperature=[1,0.5]", "repeats=2", "dataset.limit=2")
    assert sent == 4, "only the new value was to be sent"
    # Of temperature 0 all 6, of temperature 1 the 2 of the third prompt.
    assert "8 recorded trials not in this plan, nor 1 setting: T=0." in said
    assert "report --all shows them" in said
    assert "8 records that the plan no longer asks for" in said
    report = json.loads(fork_server.run(tmp_path, "report", "c", "--json").out)
    assert report["run"]["records_outside_plan"] == 8
    assert report["run"]["records"] == 8
    assert sorted(setting["label"] for setting in report["settings"]) == ["T=0.5", "T=1"]
    everything = json.loads(fork_server.run(tmp_path, "report", "c", "--json", "--all").out)
    assert everything["run"]["records"] == 16
    assert everything["run"]["records_outside_plan"] == 0
    said, sent = run("sweep.temperature=[0,1]", "repeats=2")
    assert sent == 0
    assert "nothing to send" in said
    settings = evalharness.load(root).settings()
    assert dict(zip(settings["label"], settings["in_current_plan"], strict=True))["T=0.5"] is False


def test_repeats_beyond_the_plan_are_in_no_figure(
    fork_server: ForkServer, emulator: Emulator, tmp_path: Path
) -> None:
    """Fewer repeats than were recorded: the run and the report leave the same records out."""
    root = tmp_path / "results" / "f"
    base = ("run", "name=f", *emulator.provider, *PLAN)
    fork_server.run(tmp_path, *base, "sweep.temperature=[0,1]", "repeats=3", composed=True)
    done = fork_server.run(
        tmp_path, *base, "sweep.temperature=[0,0.5]", "repeats=2", "dataset.limit=2"
    )
    # Of 18 records 9 are of temperature 1, 3 of the third prompt, 2 of the third repeat.
    assert "14 recorded trials not in this plan" in done.err
    assert verify_folder(root).is_sound
    report = json.loads(fork_server.run(tmp_path, "report", "f", "--json").out)
    assert report["run"]["records_outside_plan"] == 14
    assert [setting["trials"] for setting in report["settings"]] == [4, 4]
    assert [setting["agreement"]["raw"]["n"] for setting in report["settings"]] == [2, 2]
    everything = json.loads(fork_server.run(tmp_path, "report", "f", "--json", "--all").out)
    assert everything["run"]["records"] == 22
