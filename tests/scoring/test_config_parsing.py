"""Configuration into scorers: what is refused, and how it is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from evalharness.errors import ConfigError
from evalharness.scoring import TABLE, Sample, Score, Scorer, parse_answer_spec, parse_scoring
from evalharness.scoring.config_parsing import expand_entries

PRESETS = Path(__file__).parents[2] / "configs" / "scoring"


@pytest.mark.parametrize(
    ("scoring", "message", "hint"),
    [
        ([{"name": "exat"}], "`scoring[0].name`: no scorer is called 'exat'", "`exact`"),
        ([{"name": "zzz"}], "`scoring[0].name`", "known: exact"),
        ([{"tolerance": 1}], "`scoring[0].name`: the scorer's name is missing", "one of exact"),
        (["exact"], "`scoring[0]`: must be an object", "{name: exact}"),
        ([{"name": "numeric", "tolerence": 1}], "unknown configuration key `scoring[0].tolerence`",
         "`tolerance`"),
        ([{"name": "exact"}, {"name": "numeric", "tolerance": -1}],
         "`scoring[1].tolerance`: must be a number >= 0.0, got -1", None),
        ([{"name": "numeric", "tolerance": "1"}], "`scoring[0].tolerance`: must be a number, got", None),
        ([{"name": "f1", "threshold": 1.5}], "`scoring[0].threshold`", None),
        ([{"name": "exact", "of": "words"}], "`scoring[0].of`", None),
        ([{"name": "exact", "not": 1}], "`scoring[0].not`: must be true or false, got 1", None),
        ([{"name": "regex", "pattern": "("}], "`scoring[0].pattern`: not a regular", None),
        ([{"name": "regex", "pattern": "a" * 10_001}], "`scoring[0].pattern`: longer than", None),
        ([{"name": "regex", "pattern": "a", "group": 1}], "`scoring[0].group`", None),
        ([{"name": "regex", "group": 1}], "`scoring[0].group`: needs a `pattern`", None),
        ([{"name": "regex", "timeout_s": 0}], "`scoring[0].timeout_s`", None),
        ([{"name": "choice", "labels": ["a"]}], "`scoring[0].labels`: needs at least two", None),
        ([{"name": "choice", "labels": ["a", "A"]}], "`scoring[0].labels`: two labels", None),
        ([{"name": "json_schema", "schema": {"type": "strin"}}], "`scoring[0].schema`", None),
        ([{"name": "python"}], "`scoring[0].path` is missing", None),
        ([{"name": "python", "path": "no_such.f"}], "`scoring[0].path`: cannot import", None),
        ([{"name": "python", "path": "json.nothing"}], "`scoring[0].path`: 'json' has no", None),
        ([{"name": "python", "path": "json"}], "`scoring[0].path`: must be", None),
        ([{"name": "exact", "label": "q"}, {"name": "f1", "label": "q"}],
         "`scoring[1].label`: 'q' is already taken", None),
    ],
)  # fmt: skip
def test_refused_scoring(scoring: Any, message: str, hint: str | None) -> None:
    """A wrong scorer or argument is refused by the key as typed, with the nearest right word."""
    with pytest.raises(ConfigError) as caught:
        parse_scoring(scoring)
    assert message in caught.value.message
    assert hint is None or hint in str(caught.value.hint)


def test_labels() -> None:
    """Every score has a name of its own: the one given, the scorer's, or that with a number."""
    scoring = [{"name": "exact"}, {"name": "exact"}, {"name": "f1", "label": "words"}]
    assert [scorer.label for scorer in parse_scoring(scoring)] == ["exact", "exact_2", "words"]


def test_table_is_open() -> None:
    """A caller can bring scorers of its own."""

    class Always(Scorer, frozen=True):
        def evaluate(self, sample: Sample) -> Score:
            return Score(1.0)

    scorer = parse_scoring([{"name": "always"}], TABLE | {"always": Always})[0]
    assert scorer.score(Sample(text="", target="x")).value == 1.0


@pytest.mark.parametrize("preset", sorted(path.stem for path in PRESETS.glob("*.yaml")))
def test_presets_compose(preset: str, tmp_path: Path) -> None:
    """Every shipped preset composes over a primary configuration and parses."""
    (tmp_path / "scoring").symlink_to(PRESETS)
    (tmp_path / "config.yaml").write_text(
        "defaults:\n  - _self_\n  - scoring: none\nscoring: []\nanswer: null\n"
    )
    with initialize_config_dir(str(tmp_path), version_base=None):
        config: Any = OmegaConf.to_container(compose("config", overrides=[f"scoring={preset}"]))
    scorers = parse_scoring(config["scoring"])
    assert set(config) == {"scoring", "answer"}
    assert bool(scorers) == (preset != "none")
    assert preset in ("none", "qa") or config["scoring"] == [{"name": preset}]
    parse_answer_spec(config["answer"])


def test_presets_exist() -> None:
    """The presets that pages and issues speak of are there."""
    names = {path.stem for path in PRESETS.glob("*.yaml")}
    assert {"none", "exact", "includes", "numeric", "choice"} <= names


def test_names_in_a_list_are_presets_and_scorers() -> None:
    """`run` and `report` read a list of names and objects alike."""
    near = {"name": "numeric", "tolerance": 0.01}
    assert expand_entries(["exact", near]) == [{"name": "exact"}, near]
    assert expand_entries(["no_such_scorer"]) == [{"name": "no_such_scorer"}]
