"""Values with names, values from files, and labels that are never the same."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalharness.config.models import DatasetConfig, ProviderConfig, RunConfig
from evalharness.config.value_texts import value_texts
from evalharness.errors import ConfigError
from evalharness.planning.build import build_plan
from evalharness.planning.setting_labels import label_settings
from evalharness.planning.sweep import expand_sweep
from evalharness.records import Setting
from evalharness.store.parts.to_arrow import setting_table, settings_from_table

IDENTITIES = {"p": "https://p"}


def config(sweep: dict[str, Any], **more: Any) -> RunConfig:
    provider = ProviderConfig(kind="remote", name="p", model="m", base_url="u")
    dataset = more.pop("dataset", DatasetConfig(path="d.jsonl"))
    return RunConfig(name="x", provider=provider, dataset=dataset, sweep=sweep, **more)


def settings(sweep: dict[str, Any], root: Path | None = None) -> list[Setting]:
    return label_settings(expand_sweep(config(sweep), IDENTITIES, root))


def test_names_stand_for_values_in_labels_and_axes(tmp_path: Path) -> None:
    """A text, a file and an object: the setting sends the value, tables show the name."""
    (tmp_path / "terse.txt").write_text("Be terse.\n")
    (tmp_path / "tools.json").write_text('[{"type": "function"}]')
    made = settings(
        {
            "system": {"terse": "@terse.txt", "polite": "Be polite."},
            "tools": {"none": None, "one": "@tools.json"},
        },
        tmp_path,
    )
    assert [s.label for s in made] == [
        "system=terse, tools=none", "system=terse, tools=one",
        "system=polite, tools=none", "system=polite, tools=one",
    ]  # fmt: skip
    assert [s.system for s in made] == ["Be terse."] * 2 + ["Be polite."] * 2
    assert made[1].params == {"tools": [{"type": "function"}]}
    assert made[3].axes == {"system": "polite", "tools": "one"}
    variant = made[0].variants["system"]
    assert (variant.name, variant.file) == ("terse", "terse.txt")
    assert variant.sha256 == hashlib.sha256(b"Be terse.\n").hexdigest()
    assert made[2].variants["system"].sha256 == hashlib.sha256(b"Be polite.").hexdigest()
    # The same settings without names have the same ids: a name can be given to a run that exists.
    unnamed = settings({"system": ["Be terse.", "Be polite."], "tools": [None, "@tools.json"]},
                       tmp_path)  # fmt: skip
    assert [s.setting_id for s in unnamed] == [s.setting_id for s in made]
    stored = settings_from_table(setting_table([(s, True) for s in made]))
    assert [s for s, _ in stored] == made


def test_numbers_with_names_stay_numbers_on_their_axis() -> None:
    """The label has the name; slopes need the number."""
    made = settings({"temperature": {"cold": 0, "hot": 1.5}})
    assert [s.label for s in made] == ["T=cold", "T=hot"]
    assert [s.axes["temperature"] for s in made] == [0, 1.5]


def test_files_in_a_list_are_named_by_their_stems(tmp_path: Path) -> None:
    """Unique stems, else the whole name as it was typed."""
    for name in ("a/v1.txt", "a/v2.txt", "b/v1.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    made = settings({"system": ["@a/v1.txt", "@a/v2.txt"]}, tmp_path)
    assert [s.label for s in made] == ["system=v1", "system=v2"]
    made = settings({"template": ["@a/v1.txt", "@b/v1.txt", "@a/v2.txt"]}, tmp_path)
    assert [s.label for s in made] == ["template=a/v1.txt", "template=b/v1.txt", "template=v2"]


def test_whole_objects_of_own_fields_have_names() -> None:
    """One name for all of a provider's own fields, over the fixed ones."""
    sweep = {"extra": {"fast": {"think": False}, "deep": {"think": True, "budget": 9}}}
    run = config(sweep, params={"extra": {"top_k": 3, "think": None}})
    made = label_settings(expand_sweep(run, IDENTITIES))
    assert [s.label for s in made] == ["extra=fast", "extra=deep"]
    assert made[1].params["extra"] == {"top_k": 3, "think": True, "budget": 9}


def test_long_texts_are_cut_to_what_differs() -> None:
    """Two prompts that begin alike are told apart; where that fails they are numbered."""
    begin = "You are a helpful assistant for customers of the bank. "
    assert value_texts([begin + "Be terse.", begin + "Be polite.", None]) == [
        "…terse.", "…polite.", "none",
    ]  # fmt: skip
    middle = "The very same words stand in both."
    first, second = value_texts([f"{middle} A {middle} x", f"{middle} A {middle} y"])
    assert first != second


@given(
    st.lists(
        st.text(st.sampled_from("ab 1\n#…"), max_size=60) | st.none() | st.integers(0, 3),
        min_size=2, max_size=6, unique_by=lambda value: json.dumps(value),
    ),
    st.lists(st.text(st.sampled_from("ab, =T"), max_size=30), min_size=2, max_size=4, unique=True),
)  # fmt: skip
def test_labels_are_never_the_same(systems: list[Any], models: list[str]) -> None:
    """Whatever the values look like."""
    texts = [value for value in systems if not isinstance(value, int)]
    sweep: dict[str, Any] = {"model": [m or "m" for m in models if m != "m"], "stop": systems}
    if len(texts) > 1:
        sweep["system"] = texts
    made = settings(sweep)
    assert len({s.label for s in made}) == len(made)


@pytest.mark.parametrize(
    ("sweep", "message"),
    [
        ({"system": {"a": "x", "b": "x"}}, "`sweep.system`: `a` and `b` are the same value"),
        ({"system": {"a": "x", " a": "y"}}, "`sweep.system` has one name twice"),
        ({"system": {"": "x"}}, "'' is no name"),
        ({"system": {}}, "`sweep.system` has no values"),
        ({"system": {"a": {"b": "c"}, "d": "e"}}, "`sweep.system`: a value must be a text"),
        ({"model": ["m", 4]}, "`sweep.model`: a value must be a text, got 4"),
        ({"system": ["@v3.txt"]}, "there is no file 'v3.txt'\n  → did you mean @v1.txt"),
        ({"system": {"a": "@no/such.txt"}}, "there is no file 'no/such.txt'"),
        ({"system": ["@empty.txt"]}, "the file empty.txt is empty"),
        ({"system": ["@latin.txt"]}, "latin.txt:2: not valid UTF-8"),
        ({"tools": ["@v1.txt"]}, "v1.txt is no JSON"),
        ({"extra": {"fast": {"a": 1}, "b": [1]}}, "`fast` is an object of fields, and others are"),
    ],
)
def test_names_and_files_that_cannot_be_are_refused(
    tmp_path: Path, sweep: dict[str, Any], message: str
) -> None:
    """Each with its key, and what to type where that is known."""
    (tmp_path / "v1.txt").write_text("one")
    (tmp_path / "empty.txt").write_text(" \n")
    (tmp_path / "latin.txt").write_bytes(b"one\ncaf\xe9")
    with pytest.raises(ConfigError) as caught:
        settings(sweep, tmp_path)
    assert message in str(caught.value)


def test_fixed_texts_and_objects_come_from_files_too(tmp_path: Path) -> None:
    """``dataset.system=@file`` and ``params.response_format=@file``; ``@@`` is an ``@``."""
    (tmp_path / "d.jsonl").write_text('{"prompt": "hi"}\n')
    (tmp_path / "v1.txt").write_text("Be brief.\n")
    (tmp_path / "format.yaml").write_text("type: json_object\n")
    run = config(
        {}, dataset=DatasetConfig(path="d.jsonl", system="@v1.txt"),
        params={"response_format": "@format.yaml"},
    )  # fmt: skip
    setting = build_plan([run], IDENTITIES, root=tmp_path).settings[0]
    assert setting.system == "Be brief."
    assert setting.params == {"response_format": {"type": "json_object"}}
    run = config({}, dataset=DatasetConfig(path="d.jsonl", system="@@all: hello"))
    assert build_plan([run], IDENTITIES, root=tmp_path).settings[0].system == "@all: hello"


def test_a_long_text_gets_the_name_that_its_label_shows() -> None:
    """Without a name of its own: comparisons show the label's words, the setting sends the text."""
    texts = ["You are careful. Answer with one word only.", "You are careful. Answer politely."]
    made = settings({"system": texts, "stop": ["\n", ["a", "b"]]})
    assert [s.axes["system"] for s in made[::2]] == ["…with one word only.", "…politely."]
    assert [s.system for s in made[::2]] == texts
    assert [s.axes["stop"] for s in made[:2]] == [r'"\n"', '["a", "b"]']
    assert made[0].variants["system"].sha256 == hashlib.sha256(texts[0].encode()).hexdigest()
    assert made[0].variants["system"].file is None
    (model,) = settings({"model": ["an-organisation/a-model-with-a-long-name"]})
    assert not model.variants


def test_a_fixed_file_is_in_the_settings_table(tmp_path: Path) -> None:
    """With the hash that the same file has on an axis; texts that differ in blanks are numbered."""
    (tmp_path / "d.jsonl").write_text('{"prompt": "hi"}\n')
    (tmp_path / "v1.txt").write_text("Be brief.\n")
    run = config({}, dataset=DatasetConfig(path="d.jsonl", system="@v1.txt"))
    fixed = build_plan([run], IDENTITIES, root=tmp_path).settings[0]
    swept = settings({"system": ["@v1.txt", "x"]}, tmp_path)[0]
    assert fixed.variants == swept.variants
    assert fixed.label == "m"
    blanks = settings({"system": ["a b", "a  b"]})
    assert [s.label for s in blanks] == ["system=a b #1", "system=a b #2"]
    assert [s.variants["system"].name for s in blanks] == ["a b #1", "a b #2"]
