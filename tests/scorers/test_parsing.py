"""Configuration into scorers and extractors: what is refused, and how it is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from evalharness.errors import ConfigError
from evalharness.scoring import TABLE, Sample, Score, Scorer, parse_answer_spec, parse_scoring

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
         "`scoring[1].tolerance`: Expected `float` >= 0.0, got -1", None),
        ([{"name": "numeric", "tolerance": "1"}], "`scoring[0].tolerance`: Expected `float`", None),
        ([{"name": "f1", "threshold": 1.5}], "`scoring[0].threshold`", None),
        ([{"name": "exact", "of": "words"}], "`scoring[0].of`", None),
        ([{"name": "exact", "not": 1}], "`scoring[0].not`: Expected `bool`, got `int`", None),
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
        def grade(self, sample: Sample) -> Score:
            return Score(1.0)

    scorer = parse_scoring([{"name": "always"}], TABLE | {"always": Always})[0]
    assert scorer.score(Sample(text="", target="x")).value == 1.0


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("lastnumber", "`answer`: no extraction is called 'lastnumber'"),
        ({"regx": "a"}, "unknown configuration key `answer.regx`"),
        ({}, "no step is given"),
        ({"last_number": False}, "no step is given"),
        ({"regex": "("}, "`answer.regex`: not a regular expression"),
        ({"regex": "a", "group": 2}, "`answer.group`"),
        ({"group": 2, "normalise": True}, "`answer.group`: needs a `regex`"),
        ({"json": "a..b"}, "`answer.json`: not a path"),
        ({"choice": ["a"]}, "`answer.choice`"),
        ({"choice": True, "last_number": True}, "`answer.choice`: cannot stand beside"),
        ({"normalise": 1}, "`answer.normalise`"),
        (["regex"], "`answer`: must be an object"),
    ],
)
def test_refused_answer(spec: Any, message: str) -> None:
    """A wrong answer extraction is refused by the key as typed."""
    with pytest.raises(ConfigError) as caught:
        parse_answer_spec(spec)
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("spec", "text", "answer"),
    [
        ({"regex": r"ANSWER: (\w+)"}, "ANSWER: a ANSWER: b", "b"),
        ({"regex": ".*"}, "so 4", "so 4"),
        ({"regex": ".*", "last_number": True}, "so 4", "4"),
        ({"regex": r"ANSWER: (\w+)", "which": "first"}, "ANSWER: a ANSWER: b", "a"),
        ({"regex": r"\d+"}, "no 12 of 34", "34"),
        ({"regex": r"(\w)=(\w)", "group": 2}, "x=y", "y"),
        ({"regex": r"(?P<k>\w)=(\w)", "group": "k"}, "x=y", "x"),
        ({"regex": "z"}, "none", None),
        ({"json": "a.b[1]"}, '{"a": {"b": [1, 2.5]}}', "2.5"),
        ({"json": "a"}, '{"a": "text"}', "text"),
        ({"json": "a"}, '{"a": null}', None),
        ({"json": "a[5]"}, '{"a": []}', None),
        ({"json": "a.b"}, '{"a": []}', None),
        ({"json": ""}, '```json\n{"b": 1, "a": 2}\n```', '{"a":2,"b":1}'),
        ("last_number", "1,234.50 in all", "1234.5"),
        ("last_number", "0.0", "0"),
        ("choice", "The answer is (c).", "C"),
        ({"choice": ["yes", "no"]}, "NO!", "no"),
        ("normalise", "  The  Answer!\n", "the answer"),
        ("normalise", "…", None),
        ({"regex": "answer: (.*)", "normalise": True}, "answer: PARIS.", "paris"),
        ({"regex": "costs (.*)", "last_number": True}, "7 costs 8 or 9", "9"),
        ("last_number", None, None),
        ("last_number", "", None),
    ],
)
def test_extraction(spec: Any, text: str | None, answer: str | None) -> None:
    """Each step takes what the one before found; nothing found is None."""
    extractor = parse_answer_spec(spec)
    assert extractor is not None
    assert extractor.extract(text) == answer


def test_extraction_of_a_hopeless_pattern() -> None:
    """A pattern over its time limit is told from an answer that is not there."""
    extractor = parse_answer_spec({"regex": "(a|aa)+$", "timeout_s": 0.05})
    assert extractor is not None
    assert extractor.parse("a" * 60 + "b").failed
    assert not extractor.parse("b").failed


def test_no_answer_spec() -> None:
    """Without a specification there is no extractor."""
    assert parse_answer_spec(None) is None


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
