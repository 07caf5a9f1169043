"""``evalharness compare A B`` of runs made here: what differs between their configurations."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from tests.cli.conftest import CommandOutput

InProcess = Callable[..., CommandOutput]


def test_what_differs_between_two_runs_is_said_key_by_key(
    in_process: InProcess, tmp_path: Path
) -> None:
    """Overrides and the version of the code; names and what is equal are left out."""
    rows = [{"id": name, "prompt": f"{name}?"} for name in "xyz"]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    common = ("provider=emulator", "dataset.path=rows.jsonl", "sweep=none", "scoring=none",
              "params.max_tokens=8")  # fmt: skip
    system = "Answer in one word and never explain what you have thought of before"
    for name, more in (("a", "first"), ("b", "second")):
        changed = (f"dataset.system={system} {more}", f"params.temperature={int(name == 'b')}")
        ended = in_process("run", f"name={name}", "repeats=2", *common, *changed)
        assert ended.returncode == 0, ended.stderr
    manifest = tmp_path / "results" / "b" / "run.json"
    data = json.loads(manifest.read_bytes())
    manifest.write_text(json.dumps(data | {"code_version": "9.9.9"}))
    ended = in_process("compare", "a", "b", "--json")
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)["runs"]
    differing = {d["key"]: d["values"] for d in found["differences"]}
    assert sorted(differing) == ["dataset.system", "evalharness", "params.temperature"]
    assert differing["params.temperature"] == ["0", "1"]
    # Of long values the part in which they differ is shown.
    one, other = differing["dataset.system"]
    assert (one[:1], one[-6:], other[-7:]) == ("…", 'first"', 'second"')
    assert found["prompts"][0]["by_id"] == 3
    shown = in_process("compare", "a", "b", "--prompts").stdout
    assert "What differs between the runs?" in shown
    assert "params.temperature" in shown


def test_changed_prompts_are_of_several_runs(in_process: InProcess) -> None:
    """One run has nothing to have changed from; the message says what to type."""
    for flag in (["--prompts"], ["--html", "x.html"]):
        ended = in_process("compare", "quick", "--by", "temperature", *flag)
        assert ended.returncode == 2
        assert f"{flag[0]} is about what changed between runs" in ended.stderr
        assert "evalharness compare BEFORE quick" in ended.stderr


def test_an_empty_map_is_no_row_beside_the_keys_below_it(
    in_process: InProcess, tmp_path: Path
) -> None:
    """A key that is null or empty in one run and has keys of its own in another."""
    (tmp_path / "rows.jsonl").write_text('{"id": "x", "prompt": "1?", "target": "1"}\n')
    common = ("provider=emulator", "dataset.path=rows.jsonl", "scoring=exact")
    plain = ("name=plain", "sweep=none")
    swept = ("name=swept", "sweep={temperature: [0, 1]}", "params.metadata={day: monday}",
             "provider.emulator.accuracy=0.5")  # fmt: skip
    for changed in (plain, swept):
        ended = in_process("run", *common, *changed)
        assert ended.returncode == 0, ended.stderr
    ended = in_process("compare", "plain", "swept", "--json")
    assert ended.returncode == 0, ended.stderr
    keys = [row["key"] for row in json.loads(ended.stdout)["runs"]["differences"]]
    assert "sweep.temperature" in keys
    assert "provider.emulator.accuracy" in keys
    assert "params.metadata.day" in keys
    assert not {"sweep", "provider.emulator", "params.metadata"} & {*keys}
