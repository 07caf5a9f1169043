"""``dataset.columns``: any file's columns get their meaning without the file being changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evalharness.cli import main
from evalharness.config.models import DatasetConfig
from evalharness.datasets import Renderer, read_prompts
from evalharness.errors import DatasetError
from evalharness.records import Prompt

CSV = "ref,ticket,label,team,prompt\nT1,it is slow,bug,core,x\nT2,add a flag,wish,docs,y\n"
COLUMNS = {"id": "ref", "prompt": "ticket", "target": "label", "cluster": "team", "tags": "team"}


def _read(folder: Path, text: str = CSV, name: str = "a.csv", **config: Any) -> list[Prompt]:
    (folder / name).write_text(text, encoding="utf-8")
    options = {"columns": COLUMNS, **config}
    return read_prompts(DatasetConfig(path=name, **options), root=folder)


def test_columns_get_their_meaning(tmp_path: Path) -> None:
    """One column may have two; a column called as one that another has now is a field."""
    first, second = _read(tmp_path)
    assert first.messages == [{"role": "user", "content": "it is slow"}]
    assert (first.prompt_id, first.target, first.cluster, first.tags) == (
        "T1", "bug", "core", ["core"],
    )  # fmt: skip
    assert first.fields == {"prompt": "x"}
    assert second.source == "a.csv:3"


def test_the_other_columns_are_fields(tmp_path: Path) -> None:
    """Templates see them and the prompt by both names; `where` sees all by their own names."""
    columns = {"prompt": "ticket", "target": "label", "id": "ref"}
    template = "{{ team }}: {{ ticket }} / {{ prompt }} / {{ fields.prompt }}"
    [row] = _read(tmp_path, columns=columns, template=template, where='label == "wish"')
    content = Renderer(template, None).messages(row)[0]["content"]
    assert content == "docs: add a flag / add a flag / y"


def test_json_rows_may_lack_a_mapped_column(tmp_path: Path) -> None:
    """As they may lack any; a conversation, an own prompt_id and own fields stay apart."""
    rows = [
        {"chat": [{"role": "user", "content": "a"}], "n": 7, "prompt_id": "own", "prompt": "p"},
        {
            "chat": [{"role": "user", "content": "b"}],
            "n": 8,
            "gold": {"x": [1]},
            "fields": {"z": 1},
        },
    ]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    columns = {"messages": "chat", "id": "n", "target": "gold"}
    first, second = _read(tmp_path, text, "a.jsonl", columns=columns)
    assert (first.prompt_id, first.target, first.fields) == (
        "7", None, {"prompt_id": "own", "prompt": "p"},
    )  # fmt: skip
    assert (second.prompt_id, second.target, second.fields) == ("8", {"x": [1]}, {"z": 1})


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"columns": {"promt": "ticket"}}, ["`promt`", "did you mean prompt"]),
        ({"columns": {"prompt": "tiket"}}, ["`tiket` (for prompt)", "did you mean ticket"]),
        ({"template": "{{ ticket }} {{ label }}"}, ["`label`", "target", "must not reach"]),
    ],
)
def test_mistakes_are_named(tmp_path: Path, config: dict[str, Any], words: list[str]) -> None:
    """A meaning or column that does not exist, and a template that would show the answer."""
    with pytest.raises(DatasetError) as caught:
        _read(tmp_path, **config)
    for word in words:
        assert word in str(caught.value)


def test_a_target_of_the_files_own_is_no_name_in_templates(tmp_path: Path) -> None:
    """Where another column is the target, `{{ target }}` still says that templates see none."""
    text = CSV.replace("prompt\n", "target\n")
    rows = _read(tmp_path, text, columns={"prompt": "ticket", "target": "label"})
    with pytest.raises(DatasetError, match="templates do not see target"):
        Renderer("{{ prompt }} {{ target }}", None).prepare(rows)


def test_columns_are_typed_on_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whole, or one by one; the message about a file without prompts shows how."""
    monkeypatch.chdir(tmp_path)
    Path("a.csv").write_text("ticket,label\nslow,bug\n")
    plan = ["plan", "dataset.path=a.csv", "provider=emulator"]
    assert main([*plan, "dataset.columns={prompt: ticket, target: label}"]) == 0
    assert main([*plan, "dataset.columns.prompt=ticket"]) == 0
    capsys.readouterr()
    assert main(plan) == 2
    assert "dataset.columns={prompt: NAME}" in capsys.readouterr().err
