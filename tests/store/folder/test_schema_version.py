"""A run folder of another storage schema is refused by every reader, in one sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evalharness.cli import main
from evalharness.errors import EXIT_CONFIG, SchemaVersionError
from evalharness.records import SCHEMA_VERSION
from evalharness.store.folder.run import Run
from evalharness.store.folder.run_folder import RunFolder

COMMANDS = (
    ["report"], ["report", "--json"], ["compare", "--by", "temperature"], ["verify"],
    ["check", "--min-score", "0.1"], ["export", "--format", "csv"],
)  # fmt: skip


def _folder(root: Path, version: int) -> Path:
    folder = root / "results" / "r"
    run = RunFolder.open(folder, code_version="0")
    run.save_manifest(status="complete")
    run.close()
    manifest = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**manifest, "schema_version": version}))
    return folder


@pytest.mark.parametrize("version", [SCHEMA_VERSION - 1, SCHEMA_VERSION + 1])
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_another_schema_is_refused_with_both_versions(
    command: list[str],
    version: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Exit 2, nothing on stdout, the sentence and a hint on stderr."""
    _folder(tmp_path, version)
    monkeypatch.chdir(tmp_path)
    assert main([command[0], "r", *command[1:]]) == EXIT_CONFIG
    out, err = capsys.readouterr()
    assert out == ""
    assert f"written with storage schema {version}, and this version reads schema" in err
    assert f"schema {SCHEMA_VERSION}" in err
    assert "  → " in err


def test_a_writer_and_the_python_interface_refuse_it_too(tmp_path: Path) -> None:
    """Neither opening for writing nor reading touches such a folder."""
    folder = _folder(tmp_path, SCHEMA_VERSION - 1)
    before = (folder / "run.json").read_bytes()
    with pytest.raises(SchemaVersionError):
        RunFolder.open(folder, code_version="0")
    with pytest.raises(SchemaVersionError):
        Run.open(str(folder))
    assert (folder / "run.json").read_bytes() == before
