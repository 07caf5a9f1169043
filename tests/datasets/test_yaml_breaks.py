"""In YAML only LF and CR break lines: U+0085, U+2028 and U+2029 stay the characters they are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from evalharness.cli import main
from evalharness.config.models import DatasetConfig
from evalharness.config.strict_yaml import parse_yaml
from evalharness.config.yaml_breaks import write_with_separators
from evalharness.datasets import read_prompts

SEPARATORS = ["\x85", "\u2028", "\u2029"]
TEXTS = st.text(st.sampled_from([*SEPARATORS, "a", " ", "\n", ":", "#", "'", "\ue000", "e", "0"]))


@pytest.mark.parametrize("mark", SEPARATORS)
def test_every_style_keeps_the_character(tmp_path: Path, mark: str) -> None:
    """Plain, quoted, literal and folded text, keys and comments; lines are counted by LF."""
    text = (
        f"# note{mark}- prompt: none\n"
        f"- prompt: p{mark}q\n  'k{mark}1': 'x {mark} y'\n  n: 7{mark}\n"
        f'- prompt: "s {mark} t"\n'
        f"- prompt: |-\n    l{mark}m\n    {mark}\n"
        f"- prompt: >-\n    f {mark} g\n    h\n"
    )
    (tmp_path / "a.yaml").write_text(text, encoding="utf-8", newline="")
    prompts = read_prompts(DatasetConfig(path="a.yaml"), root=tmp_path)
    assert [p.messages[0]["content"] for p in prompts if p.messages] == [
        f"p{mark}q", f"s {mark} t", f"l{mark}m\n{mark}", f"f {mark} g h",
    ]  # fmt: skip
    assert prompts[0].fields == {f"k{mark}1": f"x {mark} y", "n": f"7{mark}"}
    assert [p.source for p in prompts] == ["a.yaml:2", "a.yaml:5", "a.yaml:6", "a.yaml:9"]


@given(value=st.dictionaries(TEXTS, TEXTS))
def test_quoted_text_is_read_as_json_reads_it(value: dict[str, str]) -> None:
    """Also beside the characters that stand in for them while YAML is parsed."""
    assert parse_yaml(json.dumps(value, ensure_ascii=False)) == value
    assert parse_yaml(json.dumps(value)) == value


@given(value=st.dictionaries(st.sampled_from("ab"), TEXTS))
def test_a_stored_configuration_is_read_as_it_was(value: dict[str, str]) -> None:
    """What is written with a run gives the same texts when it is read again."""
    stored = write_with_separators(value, lambda v: OmegaConf.to_yaml(OmegaConf.create(v)))
    assert parse_yaml(stored) == value


def test_a_configuration_file_with_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Hydra's reader would change the template: the file, the line and the escape are named."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "configs" / "experiment"
    folder.mkdir(parents=True)
    text = "# @package _global_\ndataset:\n  template: 'a\u2028{{ prompt }}'\n"
    (folder / "mine.yaml").write_text(text, encoding="utf-8")
    assert main(["plan", "experiment=mine"]) == 2
    said = capsys.readouterr().err
    assert "configs/experiment/mine.yaml:3" in said
    assert "U+2028" in said
    assert "\\L" in said
