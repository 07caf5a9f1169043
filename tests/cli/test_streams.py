"""Standard streams that are closed or take ASCII only, and ends that are no verdict of a gate."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from pyarrow.lib import ArrowMemoryError

import evalharness
from evalharness.cli import main
from evalharness.errors import EXIT_DEFECT, EXIT_STORAGE, OutOfMemoryError, ProviderError
from evalharness.process.memory import is_out_of_memory
from evalharness.process.stdio import prepare_streams
from evalharness.store.parts.part_files import damaged_file_error

RUN = ["run", "provider=emulator", "name=s", "sweep=none", "scoring=includes", "dataset.limit=2"]
ASCII = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}


def _command(folder: Path, *arguments: str, closed: str = "", **more: str) -> tuple[int, str, str]:
    """Run a command by a shell that closes streams (``<&- >&-``)."""
    script = f'exec "$@" {closed}'
    done = subprocess.run(
        ["sh", "-c", script, "sh", sys.executable, "-m", "evalharness", *arguments],
        cwd=folder, env={**os.environ, **more}, capture_output=True, check=False, timeout=120,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.mark.parametrize("closed", ["<&-", ">&-", "<&- >&- 2>&-"])
def test_a_closed_stream_changes_nothing(tmp_path: Path, closed: str) -> None:
    """Everything is recorded, nothing is written where a stream was, and there is no traceback."""
    code, _, err = _command(tmp_path, *RUN, closed=closed)
    assert (code, "Traceback" in err) == (0, False), err
    assert len(evalharness.load(tmp_path / "results" / "s").records()) == 6
    for command in (["report", "s"], ["report", "s", "--json"], ["plan"], ["--help"]):
        code, _, err = _command(tmp_path, *command, closed=closed)
        assert (code, "Traceback" in err) == (0, False), (command, err)


def test_the_c_locale_is_readable(tmp_path: Path) -> None:
    """There Python itself chooses ASCII, and another way of handling what it lacks."""
    assert _command(tmp_path, *RUN)[0] == 0
    real = {key: value for key, value in ASCII.items() if key != "PYTHONIOENCODING"}
    code, out, err = _command(tmp_path, "report", "s", **real)
    assert (code, err, out.isascii()) == (0, "", True)
    assert "x 1 setting x 3 repeats" in out


def test_ascii_output_is_readable_and_data_are_exact(tmp_path: Path) -> None:
    """Our own signs have a spelling in ASCII; JSON and exports are UTF-8 in every locale."""
    (tmp_path / "d.jsonl").write_text('{"id": "é–1", "prompt": "Ж × 2?", "target": "…"}\n', "utf-8")
    code, _, err = _command(tmp_path, *RUN[:-1], "dataset.path=d.jsonl", **ASCII)
    assert (code, "Traceback" in err) == (0, False), err
    code, out, err = _command(tmp_path, "report", "s", **ASCII)
    assert (code, err) == (0, "")
    assert out.isascii()
    assert "x 1 setting x 3 repeats" in out
    code, out, _ = _command(tmp_path, "export", "s", "--format", "jsonl", **ASCII)
    assert code == 0
    assert {json.loads(line)["prompt_id"] for line in out.splitlines()} == {"é–1"}
    code, out, _ = _command(tmp_path, "report", "s", "--json", **ASCII)
    assert code == 0
    assert "é–1" in json.dumps(json.loads(out), ensure_ascii=False)


def test_prepared_streams_keep_what_was_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream that somebody has replaced is left as it is."""
    before = sys.stdout
    prepare_streams()
    assert sys.stdout is before
    monkeypatch.setattr(sys, "stdout", None)
    prepare_streams()
    print("into the null device")
    assert sys.stdout is not None


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (ZeroDivisionError("of ours"), EXIT_DEFECT, "this is a defect"),
        (MemoryError(), EXIT_STORAGE, "out of memory"),
        (RuntimeError("can't start new thread"), EXIT_STORAGE, "out of memory"),
        (OSError(12, "Cannot allocate memory"), EXIT_STORAGE, "out of memory"),
    ],
)
def test_a_defect_and_a_want_of_memory_are_no_verdict(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception,
    code: int, words: str,
) -> None:  # fmt: skip
    """`check` in CI: 1 is a gate that does not hold, 70 a defect, 74 a machine without memory."""

    def fail(_: object) -> int:
        raise error

    from evalharness.cli.commands import check

    monkeypatch.setattr(check, "COMMAND", check.COMMAND._replace(run=fail))
    assert main(["check", "r", "--min-score", "0.5"]) == code
    said = capsys.readouterr().err
    assert words in said
    assert ("Traceback" in said) == (code == EXIT_DEFECT)


def test_what_cannot_be_read_for_want_of_memory_is_not_damaged() -> None:
    """Nobody is told to move a sound file away."""
    path = Path("results/r/records/part-000001.parquet")
    for error in (
        ArrowMemoryError("malloc of size 64 failed"),
        OSError("Unknown error: Failed to launch worker thread: Resource temporarily unavailable"),
    ):
        assert isinstance(damaged_file_error(path, error), OutOfMemoryError)
    assert "is damaged" in str(damaged_file_error(path, OSError("no Parquet")))
    assert not is_out_of_memory(ProviderError("the local model server: CUDA out of memory"))
