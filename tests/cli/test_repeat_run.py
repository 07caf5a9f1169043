"""``run --from RUN``: the stored configuration again, what differs now, and the trap beside it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import evalharness as package
from evalharness.cli.repeat_run import stored_configs
from evalharness.store.folder.run import Run
from tests.cli.conftest import CommandOutput

InProcess = Callable[..., CommandOutput]
COLD = 'dataset.template="\\${cold}: {{ prompt }}"'


@pytest.fixture
def made(in_process: InProcess, tmp_path: Path) -> InProcess:
    """A run ``a`` of two prompts under two system prompts from files, at one temperature."""
    (tmp_path / "terse.txt").write_text("One word.\n")
    (tmp_path / "polite.txt").write_text("A whole sentence.\n")
    rows = [{"id": "x", "prompt": "2 + 3?"}, {"id": "y", "prompt": "2 + 4?"}]
    write_rows(tmp_path, rows)
    ended = in_process(
        "run", "provider=emulator", "name=a", "dataset.path=rows.jsonl", COLD, "repeats=1",
        'sweep.system={terse: "@terse.txt", polite: "@polite.txt"}', "params.max_tokens=8",
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    return in_process


def write_rows(folder: Path, rows: list[dict[str, str]]) -> None:
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_a_run_is_repeated_as_it_was(made: InProcess, tmp_path: Path) -> None:
    """The same settings and prompts in a new folder, and nothing that differs."""
    again = made("run", "--from", "a", "name=b")
    assert again.returncode == 0, again.stderr
    said = again.stderr.splitlines()
    assert said[0].startswith("repeats a, made ")
    assert said[1:6] == [
        "  configuration: as then",
        f"  code: as then (evalharness {package.__version__})",
        "  data: the same 2 prompts",
        "  settings: the same 2",
        "  prices: as then",
    ]
    old, new = (Run.open(tmp_path / "results" / name) for name in ("a", "b"))
    assert [s.setting_id for s in new.setting_list] == [s.setting_id for s in old.setting_list]
    (before,), (now,) = stored_configs(old), stored_configs(new)
    assert now == before | {"name": "b"}
    assert now["dataset"]["template"] == "${cold}: {{ prompt }}"
    assert "4 requests sent" in again.stderr


def test_what_differs_now_is_said(made: InProcess, tmp_path: Path) -> None:
    """An override, a row, a file of a variant: each in a line, with the hashes of the file."""
    (tmp_path / "terse.txt").write_text("One single word.\n")
    write_rows(tmp_path, [{"id": "x", "prompt": "2 + 3?"}, {"id": "z", "prompt": "9?"}])
    manifest = tmp_path / "results" / "a" / "run.json"
    manifest.write_text(manifest.read_text().replace(package.__version__, "0.0.1"))
    again = made("run", "--from=results/a", "name=b", "repeats=2", "sweep.temperature=[0,0.5]")
    assert again.returncode == 0, again.stderr
    said = dict(line.strip().split(": ", 1) for line in again.stderr.splitlines()[1:6])
    assert said["configuration"] == (
        "repeats 2 (then 1); sweep.temperature [0, 0.5] (then not set)"
    )
    assert f"evalharness {package.__version__} (then 0.0.1)" in said["code"]
    assert said["data"] == "1 prompt as then; 1 new (z), 1 gone (y)"
    assert "system terse (terse.txt) is another text: sha256 " in said["settings"]
    assert len(Run.open(tmp_path / "results" / "b").setting_list) == 4


def test_a_group_and_a_list_replace_what_is_stored(made: InProcess, tmp_path: Path) -> None:
    """``sweep=none`` leaves no axis, ``scoring=exact`` one scorer."""
    again = made("run", "--from", "a", "name=b", "sweep=none", "scoring=exact")
    assert again.returncode == 0, again.stderr
    (stored,) = stored_configs(Run.open(tmp_path / "results" / "b"))
    assert (stored["sweep"], stored["scoring"]) == ({}, [{"name": "exact"}])


def test_a_repeat_needs_a_name_and_its_own_name_continues(made: InProcess) -> None:
    """No folder is written into by accident."""
    refused = made("run", "--from", "a")
    assert refused.returncode == 2
    assert "needs a name" in refused.stderr
    assert "name=a continues" in refused.stderr
    more = made("run", "--from", "a", "name=a", "repeats=2")
    assert "4 requests sent" in more.stderr
    assert "4 were recorded before" in more.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--from",), "--from needs a run"),
        (("--from", "name=b"), "--from needs a run"),
        (("--from", "nothing", "name=b"), "no run `nothing`"),
        (("--from", "a", "name=b", "--cfg", "job"), "takes overrides and no `--cfg`"),
        (("--from", "a", "name=b", "experiment=none"), "another experiment"),
        (("--from", "a", "name=b", "repeat=2"), "unknown configuration key `repeat`"),
    ],
)
def test_bad_repeats_are_refused(made: InProcess, words: tuple[str, ...], told: str) -> None:
    """Exit 2 and a sentence, before anything is sent."""
    ended = made("run", *words)
    assert ended.returncode == 2
    assert told in ended.stderr


@pytest.mark.parametrize(
    "flags",
    [
        ("--config-dir", "results/a", "--config-name", "config"),
        ("--config-dir=results/a", "--config-name=config"),
        ("--config-path", "results/a"),
        ("-cd", "results/a", "-cn", "config"),
    ],
)
def test_a_run_folder_is_no_folder_of_configurations(
    made: InProcess, flags: tuple[str, ...]
) -> None:
    """Hydra would run another experiment under the run's name."""
    for command in ("run", "plan"):
        ended = made(command, *flags)
        assert ended.returncode == 2
        assert "results/a is the folder of a run" in ended.stderr
        assert "evalharness run --from results/a name=NEW" in ended.stderr


def test_named_models_need_no_model_of_the_provider(in_process: InProcess) -> None:
    """``sweep.model`` names them all, as a list or with names."""
    ended = in_process(
        "plan", "provider=openai_compatible", "provider.base_url=http://127.0.0.1:9",
        "experiment=none", "sweep.model={small: qwen-flash, large: qwen-plus}",
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr


def test_a_label_is_one_setting_after_a_file_changed(made: InProcess, tmp_path: Path) -> None:
    """The recipe of docs/notebook.md keeps the old text's records apart from the new one's."""
    (tmp_path / "terse.txt").write_text("One single word.\n")
    assert made("run", "--from", "a", "name=a").returncode == 0
    run = package.load("a")
    merged = run.records().merge(run.settings()[["setting_id", "label"]], on="setting_id")
    assert merged.groupby("label")["text"].count().to_dict() == {
        "system=terse": 2, "system=polite": 2, "system=terse (earlier)": 2,
    }  # fmt: skip
