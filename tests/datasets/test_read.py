"""Files become prompts; what cannot be read exactly is refused with its place."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalharness.config.models import DatasetConfig
from evalharness.datasets import prompt_digest, read_prompts
from evalharness.errors import DatasetError
from evalharness.records import Prompt


def load(folder: Path, name: str, text: str | bytes, **config) -> list[Prompt]:
    data = text.encode() if isinstance(text, str) else text
    (folder / name).write_bytes(data)
    return read_prompts(DatasetConfig(path=name, **config), root=folder)


def refusal(folder: Path, name: str, text: str | bytes, **config) -> str:
    with pytest.raises(DatasetError) as caught:
        load(folder, name, text, **config)
    assert caught.value.exit_code == 2
    return str(caught.value)


ROW = {
    "id": "q1",
    "prompt": "What is 2+2?",
    "target": 4,
    "tags": ["math", "short"],
    "cluster": "sums",
    "params": {"max_tokens": 8},
    "lang": "en",
}


def expected(source: str, **other) -> Prompt:
    values = {
        "prompt_id": "q1",
        "messages": [{"role": "user", "content": "What is 2+2?"}],
        "target": 4,
        "tags": ["math", "short"],
        "cluster": "sums",
        "params": {"max_tokens": 8},
        "fields": {"lang": "en"},
        "source": source,
    }
    return Prompt(**{**values, **other})


def test_jsonl_columns(tmp_path):
    """Every column of a JSONL row lands where the documentation says."""
    assert load(tmp_path, "a.jsonl", "\n" + json.dumps(ROW) + "\n\n") == [expected("a.jsonl:2")]


def test_yaml_columns(tmp_path):
    """YAML gives the same prompt as JSONL (JSON rows are YAML too)."""
    assert load(tmp_path, "a.yaml", "# rows\n- " + json.dumps(ROW)) == [expected("a.yaml:2")]


def test_parquet_columns(tmp_path):
    """Parquet gives the same prompt, with the row's number for a place."""
    pq.write_table(pa.Table.from_pylist([ROW]), tmp_path / "a.parquet")
    prompts = read_prompts(DatasetConfig(path="a.parquet"), root=tmp_path)
    assert prompts == [expected("a.parquet:row 1")]


def test_csv_columns(tmp_path):
    """CSV keeps text as text; lists and objects are written in cells; empty cells are absent."""
    text = (
        "id,prompt,target,tags,cluster,params,lang\n"
        'q1,What is 2+2?,4,math; short,sums,"{""max_tokens"": 8}",en\n'
        'q2,"two\nlines",,,,,\n'
        "q3,third,,,,,x\n"
    )
    prompts = load(tmp_path, "a.csv", text)
    assert prompts[0] == expected("a.csv:2", target="4")
    assert prompts[1].messages == [{"role": "user", "content": "two\nlines"}]
    assert (prompts[1].target, prompts[1].tags, prompts[1].cluster) == (None, [], None)
    assert prompts[1].fields == {"lang": ""}
    assert prompts[2].source == "a.csv:5"


def test_messages_in_every_format(tmp_path):
    """Multi-turn messages come through JSONL, CSV (as JSON text) and Parquet unchanged."""
    messages = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]},
        {"role": "tool", "content": "x", "tool_call_id": "1"},
    ]
    cell = json.dumps(messages).replace('"', '""')
    from_csv = load(tmp_path, "a.csv", f'id,messages\nq,"{cell}"\n')
    from_jsonl = load(tmp_path, "a.jsonl", json.dumps({"id": "q", "messages": messages}))
    pq.write_table(
        pa.Table.from_pylist([{"id": "q", "messages": messages}]), tmp_path / "a.parquet"
    )
    from_parquet = read_prompts(DatasetConfig(path="a.parquet"), root=tmp_path)
    assert from_csv[0].messages == from_jsonl[0].messages == from_parquet[0].messages == messages


REFUSED = {
    "duplicate id": (
        "a.jsonl",
        '{"id":"x","prompt":"a"}\n{"id":"x","prompt":"b"}',
        ["a.jsonl:2", "a.jsonl:1", "'x'"],
    ),
    "duplicate key": (
        "a.jsonl",
        '{"id":"x","prompt":"a","prompt":"b"}',
        ["a.jsonl:1", "'prompt'", "twice"],
    ),
    "duplicate key below": (
        "a.jsonl",
        '{"prompt":"a","params":{"n":1, "n" :2}}',
        ["a.jsonl:1", "'n'"],
    ),
    "NaN": ("a.jsonl", '{"prompt":"a","x":NaN}', ["a.jsonl:1", "NaN"]),
    "Infinity": ("a.jsonl", '\n{"prompt":"a","x":-Infinity}', ["a.jsonl:2", "-Infinity"]),
    "huge number": ("a.jsonl", '{"prompt":"a","x":1e999}', ["a.jsonl:1", "finite", "in x"]),
    "not an object": ("a.jsonl", '{"prompt":"a"}\n[1]', ["a.jsonl:2", "object", "a list"]),
    "malformed": ("a.jsonl", '{"prompt":"a"}\n{"prompt" 1}', ["a.jsonl:2", "column 11"]),
    "cut": ("a.jsonl", '{"prompt":"a"', ["a.jsonl:1", "column"]),
    "surrogate": ("a.jsonl", '{"prompt":"\\ud800"}', ["a.jsonl:1", "surrogate", "in prompt"]),
    "deep": (
        "a.jsonl",
        '{"prompt":"a","x":' + "[" * 100_000 + "]" * 100_000 + "}",
        ["a.jsonl:1", "deep"],
    ),
    "bad UTF-8": ("a.jsonl", b'{"prompt":"a"}\n{"prompt":"\xe9"}', ["a.jsonl:2", "0xe9"]),
    "no prompt": (
        "a.jsonl",
        '{"id":"x","lang":"en"}',
        ["a.jsonl:1", "neither prompt nor messages", "lang"],
    ),
    "both": (
        "a.jsonl",
        '{"prompt":"a","messages":[{}]}',
        ["a.jsonl:1", "both prompt and messages"],
    ),
    "empty prompt": ("a.jsonl", '{"prompt":" "}', ["a.jsonl:1", "empty"]),
    "prompt no text": ("a.jsonl", '{"prompt":4}', ["a.jsonl:1", "must be text", "4"]),
    "two ids": (
        "a.jsonl",
        '{"id":"a","prompt_id":"b","prompt":"c"}',
        ["a.jsonl:1", "both id and prompt_id"],
    ),
    "id no text": ("a.jsonl", '{"id":1.5,"prompt":"c"}', ["a.jsonl:1", "id must be text"]),
    "empty messages": ("a.jsonl", '{"messages":[]}', ["a.jsonl:1", "at least one message"]),
    "message no object": ("a.jsonl", '{"messages":[{},"hi"]}', ["a.jsonl:1", "message 2"]),
    "tags": ("a.jsonl", '{"prompt":"a","tags":[1]}', ["a.jsonl:1", "tags"]),
    "params": ("a.jsonl", '{"prompt":"a","params":[1]}', ["a.jsonl:1", "params must be an object"]),
    "field twice": ("a.jsonl", '{"prompt":"a","x":1,"fields":{"x":2}}', ["a.jsonl:1", "'x'"]),
    "empty file": ("a.jsonl", "\n \n", ["a.jsonl", "no rows"]),
    "suffix": ("a.txt", "hello", ["a.txt", ".txt", ".jsonl"]),
    "CSV cells": ("a.csv", "id,prompt\nx,a,b\n", ["a.csv:2", "3 cells", "2 columns"]),
    "CSV header": ("a.csv", "id,id\nx,a\n", ["a.csv:1", "'id'", "twice"]),
    "CSV quote": ("a.csv", 'id,prompt\nx,"a"b\n', ["a.csv:2", "malformed CSV"]),
    "CSV UTF-8": ("a.csv", b"id,prompt\nx,a\ny,\xff\n", ["a.csv:3", "UTF-8"]),
    "CSV JSON": ("a.csv", "id,params,prompt\nx,{,a\n", ["a.csv:2", "params", "JSON"]),
    "YAML key": ("a.yaml", "- prompt: a\n  prompt: b\n", ["a.yaml:2", "'prompt'", "twice"]),
    "YAML shape": ("a.yml", "prompt: a\n", ["a.yml:1", "list"]),
    "YAML row": ("a.yaml", "- prompt: a\n- b\n", ["a.yaml:2", "mapping"]),
    "YAML malformed": ("a.yaml", "- prompt: [a\n", ["a.yaml:2", "malformed YAML"]),
    "YAML NaN": ("a.yaml", "- prompt: a\n  x: .nan\n", ["a.yaml:2", ".nan"]),
    "Parquet": ("a.parquet", "PAR?", ["a.parquet", "Parquet"]),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals_name_file_and_line(tmp_path, case):
    """What is wrong with a file is said with file, line and the thing at fault."""
    name, text, words = REFUSED[case]
    message = refusal(tmp_path, name, text)
    assert [word for word in words if word not in message] == []


def test_parquet_nan_names_row_and_column(tmp_path):
    """A NaN in a Parquet column is refused: JSON has no such number."""
    pq.write_table(
        pa.table({"prompt": ["a", "b"], "x": [1.0, float("nan")]}), tmp_path / "a.parquet"
    )
    with pytest.raises(DatasetError, match=r"a\.parquet:row 2: nan in x"):
        read_prompts(DatasetConfig(path="a.parquet"), root=tmp_path)


def test_key_like_text_inside_a_string_is_no_duplicate(tmp_path):
    """The fast check for repeated keys is not fooled by text that looks like a key."""
    text = json.dumps({"prompt": 'say "a": and "b" :', "x": {"y": [{"z": '":":'}]}})
    assert load(tmp_path, "a.jsonl", text)[0].fields == {"x": {"y": [{"z": '":":'}]}}


def test_yaml_values_are_not_changed(tmp_path):
    """`no`, `012` and `12:30:45` stay the text they are; 1e-3 is a number."""
    text = "- prompt: a\n  x: [no, 012, 1e-3, 12:30:45, 2026-01-31, yes, ~, 7]\n"
    assert load(tmp_path, "a.yaml", text)[0].fields == {
        "x": ["no", "012", 0.001, "12:30:45", "2026-01-31", "yes", None, 7]
    }


def test_missing_file_suggests_neighbours(tmp_path):
    """A mistyped name is answered with the file that was meant."""
    (tmp_path / "capitals.jsonl").write_text("")
    with pytest.raises(DatasetError, match=r"did you mean capitals\.jsonl"):
        read_prompts(DatasetConfig(path="captials.jsonl"), root=tmp_path)


def test_shipped_dataset_is_found_from_anywhere(tmp_path, monkeypatch):
    """A path that is not under the root is looked for among the shipped datasets."""
    shipped = tmp_path / "shipped" / "datasets"
    shipped.mkdir(parents=True)
    (shipped / "mine.jsonl").write_text('{"prompt": "a"}')
    monkeypatch.setattr("evalharness.datasets.read.package_data_dir", lambda kind: shipped)
    for path in ("mine.jsonl", "datasets/mine.jsonl"):
        assert len(read_prompts(DatasetConfig(path=path), root=tmp_path / "else")) == 1


def test_hub_without_the_library_says_what_to_install(tmp_path, monkeypatch):
    """hf: without the optional library is one clear sentence."""
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(DatasetError, match=r"evalharness\[hf\]"):
        read_prompts(DatasetConfig(path="hf:squad:train"), root=tmp_path)


def test_hub_reads_local_folders(tmp_path):
    """hf: reads a local folder with the datasets library, with and without a split."""
    library = pytest.importorskip("datasets", reason="the Hugging Face library is not installed")
    if not hasattr(library, "load_dataset"):
        pytest.skip("the Hugging Face library is not installed (datasets is the checkout's folder)")
    (tmp_path / "local").mkdir()
    (tmp_path / "local" / "train.jsonl").write_text('{"prompt": "a", "x": 1}\n')
    for path in ("hf:local", "hf:local:train"):
        [prompt] = read_prompts(DatasetConfig(path=path), root=tmp_path)
        assert prompt.messages == [{"role": "user", "content": "a"}]
        assert prompt.fields == {"x": 1}
    with pytest.raises(DatasetError, match="no split 'test'"):
        read_prompts(DatasetConfig(path="hf:local:test"), root=tmp_path)


# --- ids and digests -------------------------------------------------------------------------


def test_ids_from_content_survive_insertion(tmp_path):
    """Made-up ids do not change when a row is inserted; repeated content is numbered."""
    rows = ['{"prompt":"a"}', '{"prompt":"b"}', '{"prompt":"a"}']
    before = [p.prompt_id for p in load(tmp_path, "a.jsonl", "\n".join(rows))]
    after = [p.prompt_id for p in load(tmp_path, "a.jsonl", '{"prompt":"new"}\n' + "\n".join(rows))]
    assert after[1:] == before
    assert before[2] == f"{before[0]}-2"
    assert all(len(i) == 12 for i in before[:2])


def test_digest_covers_what_shapes_requests_and_nothing_else():
    """Messages, fields and params change the digest; target, tags, cluster and id do not."""
    base = Prompt(prompt_id="a", messages=[{"role": "user", "content": "x"}])
    same = Prompt(prompt_id="b", messages=base.messages, target=1, tags=["t"], cluster="c")
    assert prompt_digest(same) == prompt_digest(base)
    for other in (
        Prompt(prompt_id="a", messages=[{"role": "user", "content": "y"}]),
        Prompt(prompt_id="a", messages=base.messages, fields={"f": 1}),
        Prompt(prompt_id="a", messages=base.messages, params={"n": 1}),
    ):
        assert prompt_digest(other) != prompt_digest(base)


# --- selection -------------------------------------------------------------------------------


def many(folder: Path, size: int = 60) -> str:
    rows = [
        {"id": f"q{i}", "prompt": f"p{i}", "tags": ["odd"] if i % 2 else [], "lang": "en",
         "target": None if i % 3 else i}
        for i in range(size)
    ]  # fmt: skip
    (folder / "many.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return "many.jsonl"


def ids(folder: Path, path: str, **config) -> list[str]:
    return [p.prompt_id for p in read_prompts(DatasetConfig(path=path, **config), root=folder)]


def test_where_reads_all_columns(tmp_path):
    """A condition sees tags, target, fields by name and under fields, and ids."""
    path = many(tmp_path)
    condition = '"odd" in tags and target != null and fields.lang == lang and id != "q3"'
    assert ids(tmp_path, path, where=condition) == [f"q{i}" for i in range(9, 60, 6)]


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ("tags ==", ["dataset.where", "malformed"]),
        ("nothing > 1", ["dataset.where", "'nothing' is undefined", "many.jsonl:1", "lang"]),
        ("tags", ["dataset.where", "not true or false"]),
        ("lang == 'fr'", ["dataset.where", "none of 60 rows"]),
        ("lang > 1", ["dataset.where", "TypeError", "many.jsonl:1"]),
        ("'a' * 10**10 == lang", ["dataset.where", "memory"]),
    ],
)
def test_where_errors_name_the_key(tmp_path, condition, words):
    """A condition that cannot be evaluated names dataset.where and the row."""
    with pytest.raises(DatasetError) as caught:
        ids(tmp_path, many(tmp_path), where=condition)
    assert [word for word in words if word not in str(caught.value)] == []


def test_order_is_where_then_sample_then_limit(tmp_path):
    """limit takes the first of the sample, the sample is drawn from what where keeps."""
    path = many(tmp_path)
    kept = ids(tmp_path, path, where='"odd" in tags')
    sampled = ids(tmp_path, path, where='"odd" in tags', sample=10)
    assert len(sampled) == 10
    assert sampled == [i for i in kept if i in sampled]  # the file's order
    assert ids(tmp_path, path, where='"odd" in tags', sample=10, limit=4) == sampled[:4]
    assert ids(tmp_path, path, sample=1000) == ids(tmp_path, path)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), size=st.integers(1, 30), extra=st.integers(0, 59))
def test_sample_is_stable(tmp_path_factory, seed, size, extra):
    """The same seed draws the same rows, whatever their order; a new row displaces at most one."""
    folder = tmp_path_factory.mktemp("sample")
    path = many(folder)
    first = ids(folder, path, sample=size, sample_seed=seed)
    lines = (folder / path).read_text().split("\n")
    random.Random(seed).shuffle(lines)
    (folder / path).write_text("\n".join(lines))
    assert set(ids(folder, path, sample=size, sample_seed=seed)) == set(first)
    lines.insert(extra, '{"id": "new", "prompt": "new"}')
    (folder / path).write_text("\n".join(lines))
    assert len(set(first) - set(ids(folder, path, sample=size, sample_seed=seed))) <= 1


def test_every_row_is_checked_even_beyond_the_limit(tmp_path):
    """A broken row is found although limit would leave it out."""
    message = refusal(tmp_path, "a.jsonl", '{"prompt":"a"}\n{"prompt":"b"}\n{"x":1}', limit=1)
    assert "a.jsonl:3" in message


# --- anything at all -------------------------------------------------------------------------

texts = st.text(st.characters(codec="utf-8"))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
field_names = st.text(st.characters(codec="utf-8"), min_size=1).filter(
    lambda n: n not in ("id", "prompt_id", "prompt", "messages", "target", "tags", "cluster",
                        "params", "fields")
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(fields=st.dictionaries(field_names, json_values, max_size=4), target=json_values)
def test_any_json_comes_through_jsonl(tmp_path_factory, fields, target):
    """Whatever a row holds arrives as it was written."""
    folder = tmp_path_factory.mktemp("any")
    [prompt] = load(folder, "a.jsonl", json.dumps({"prompt": "p", "target": target, **fields}))
    assert prompt.fields == fields
    assert prompt.target == target


@settings(max_examples=300, deadline=None)
@given(data=st.binary(max_size=80), suffix=st.sampled_from(["jsonl", "csv", "yaml", "parquet"]))
def test_any_bytes_give_prompts_or_a_dataset_error(tmp_path_factory, data, suffix):
    """No file, however broken, gives anything but prompts or an error that names it."""
    folder = tmp_path_factory.mktemp("bytes")
    message = f"a.{suffix}"
    prompts: list[Prompt] = []
    try:
        prompts = load(folder, message, data)
    except DatasetError as error:
        message = str(error)
    assert f"a.{suffix}" in message
    assert all(prompt.messages for prompt in prompts)
