"""What messages tell people to type exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from evalharness.cli import main
from evalharness.cli.suggestions import keys_by_group
from tests.imported_run import write_run

ROOT = Path(__file__).parents[2]
_KEY = re.compile(
    r"(?<![\w./])(params|provider\.profile|provider|dataset|limits|execution|order|load)"
    r"\.([a-z][a-z_]*)(?=[=.\s,;:)`']|$)"
)
# The name of a file.
_OTHER = {"load.json", "load.workload"}


def _texts(path: Path) -> list[str]:
    """Every literal of a module that is no docstring."""
    tree = ast.parse(path.read_text("utf-8"))
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and id(node) not in docstrings
    ]


def test_messages_name_only_keys_that_exist() -> None:
    """A key in any text of the program is a key of the configuration."""
    groups = keys_by_group()
    wrong = {
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in sorted((ROOT / "evalharness").rglob("*.py"))
        for text in _texts(path)
        for match in _KEY.finditer(text)
        if match[2] not in groups[match[1]] and match[0] not in _OTHER
    }
    assert not wrong


@pytest.mark.parametrize(
    ("overrides", "hint"),
    [
        (["reasoning_effort=low"], "params.reasoning_effort=low fixes it"),
        (["sweep.reasoning=[low]"], "did you mean sweep.reasoning_effort?"),
        (["temperatur=1"], "did you mean params.temperature=1?"),
        (["providr.modle=m"], "did you mean provider.model?"),
        (["provider.profile.model=[]"], "did you mean provider.profile.models?"),
        (["params.frobnicate=1"], "goes into params.extra.frobnicate"),
        (["limits.speed=1"], "keys of limits: concurrency, "),
        (
            ["provider=openai", "params.max_tokens=9", "sweep.model=[o3]"],
            "use params.max_completion_tokens in its place, with params.max_tokens=null",
        ),
        (
            ["provider=ollama", "provider.model=m", "sweep.provider=[ollama,vllm]"],
            "sweep.model=[NAME] names the models",
        ),
        (["provider=emulator", "sweep.provider=[{name: a}]"], "then sweep.provider=[NAME,…]"),
        (
            ["provider=openai_compatible", "provider.base_url=http://10.0.0.5:8000/v1",
             "provider.model=m", "provider.api_key_env=SOME_KEY"],
            "provider.allow_plain_http=true",
        ),
    ],
)  # fmt: skip
def test_what_to_type_instead(
    overrides: list[str],
    hint: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Nothing is sent, and the hint is something that works."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SOME_KEY", "a-key-of-some-length")
    (tmp_path / "rows.jsonl").write_text('{"prompt": "x"}\n')
    assert main(["plan", "dataset.path=rows.jsonl", *overrides]) == 2
    assert hint in capfd.readouterr().err


def test_swept_models_are_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A provider whose file names no model needs none where the sweep names them."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.jsonl").write_text('{"prompt": "x"}\n')
    sweep = ["provider=ollama", "sweep.model=[a,b]", "sweep.reasoning_effort=[low,high]"]
    assert main(["plan", "dataset.path=rows.jsonl", *sweep]) == 0
    assert "model=b, reasoning_effort=high" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        (["judge", "r", "mode=pairwise", "provider=local", "a=1", "b=2"], "text: a=\"'1'\""),
        (["report", "r", "answer.choice=true"], "→ 'answer={choice: true}'"),
        (["export", "r", "--format=csv", "answer.choice=true"], "→ 'answer={choice: true}'"),
        (["report", "--hlep"], "did you mean --help?"),
    ],
)
def test_what_to_type_instead_with_a_run(
    typed: list[str],
    hint: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """The hint can be typed as it stands."""
    monkeypatch.chdir(tmp_path)
    write_run([{"prompt_id": "p", "temperature": 0, "text": "A"}])
    assert main(typed) == 2
    assert hint in capfd.readouterr().err
