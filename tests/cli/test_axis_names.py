"""Names of values as people type them, through Hydra and back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import evalharness
from evalharness.cli.axis_names import encode_names, with_text_keys
from evalharness.errors import ConfigError

Run = Callable[..., Any]
PLAN = ("provider=emulator", "dataset.path=d.jsonl", "repeats=1", "name=n")


@pytest.mark.parametrize(
    ("typed", "labels"),
    [
        ("{1: x, 2: y}", ["system=1", "system=2"]),
        ("{knapp: x, höflich: y}", ["system=knapp", "system=höflich"]),
        ('{"v2.1": x, "a, b": y}', ["system=v2.1", "system=a, b"]),
        ("{true: x, null: y}", ["system=true", "system=null"]),
    ],
)
def test_any_name_is_kept(in_process: Run, tmp_path: Path, typed: str, labels: list[str]) -> None:
    """Sent, stored, read and shown under the name that was typed."""
    (tmp_path / "d.jsonl").write_text('{"prompt": "hi"}\n')
    assert in_process("run", *PLAN, f"sweep.system={typed}").returncode == 0
    assert evalharness.load("n").settings()["label"].tolist() == labels
    assert in_process("report", "n").returncode == 0
    name = labels[1]
    assert in_process("check", "n", "--max-error-share", "0", "--setting", name).returncode == 0


def test_a_single_name_can_still_be_checked(in_process: Run, tmp_path: Path) -> None:
    """A gate does not break when one variant is left."""
    (tmp_path / "d.jsonl").write_text('{"prompt": "hi"}\n')
    assert in_process("run", *PLAN, "sweep.system={terse: x}").returncode == 0
    arguments = ("check", "n", "--max-error-share", "0", "--setting")
    assert in_process(*arguments, "system=terse").returncode == 0
    assert in_process(*arguments, "system=polite").returncode == 2


def test_equal_names_are_refused() -> None:
    """Also where one of them is quoted."""
    with pytest.raises(ConfigError, match="has the name `a` twice"):
        encode_names("sweep.system", '{a: x, "a": y}')
    assert with_text_keys({1: [{None: 2}]}) == {"1": [{"None": 2}]}
