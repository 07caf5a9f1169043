"""Rows with ``turns``: what they become, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evalharness.config.models import DatasetConfig
from evalharness.datasets import prompt_digest, read_prompts
from evalharness.errors import DatasetError
from evalharness.records import Prompt, with_answers

TRIP = {"id": "trip", "turns": ["Name a river.", "How long is it?", "Where does it end?"]}


def read(folder: Path, *rows: dict[str, Any], **config: Any) -> list[Prompt]:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return read_prompts(DatasetConfig(path=str(path), **config), root=folder)


def said(prompt: Prompt) -> list[Any]:
    assert prompt.messages is not None
    return [message["content"] for message in prompt.messages]


def test_each_turn_is_a_prompt_with_what_was_said_before(tmp_path: Path) -> None:
    first, second, third, alone = read(tmp_path, TRIP, {"id": "alone", "prompt": "Hello."})
    assert [p.prompt_id for p in (first, second, third)] == ["trip.1", "trip.2", "trip.3"]
    assert said(third) == TRIP["turns"]
    assert said(first) == ["Name a river."]
    assert {p.conversation for p in (first, second, third)} == {"trip"}
    assert [p.turn for p in (first, second, third, alone)] == [1, 2, 3, None]
    assert {p.cluster for p in (first, second, third)} == {"trip"}  # they depend on each other
    assert alone.cluster is None


def test_targets_and_checks_are_of_their_turn(tmp_path: Path) -> None:
    row = {
        "id": "c", "cluster": "book", "tags": ["short"], "target": "six", "params": {"seed": 1},
        "turns": [{"content": "2?", "target": "two", "tags": ["even"], "scoring": "exact"}, "6?"],
    }  # fmt: skip
    first, last = read(tmp_path, row)
    assert (first.target, last.target) == ("two", "six")
    assert (first.tags, last.tags) == (["short", "even"], ["short"])
    assert (first.scoring, last.scoring) == (["exact"], [])
    assert {p.cluster for p in (first, last)} == {"book"}
    assert first.params == last.params == {"seed": 1}


def test_the_digest_of_a_turn_is_of_what_was_said_up_to_it(tmp_path: Path) -> None:
    """A later turn that changes leaves the recorded answers to earlier ones as they are."""
    before = [prompt_digest(p) for p in read(tmp_path, TRIP)]
    changed = {**TRIP, "turns": [*TRIP["turns"][:2], "Is it deep?"]}
    after = [prompt_digest(p) for p in read(tmp_path, changed)]
    assert [a == b for a, b in zip(before, after, strict=True)] == [True, True, False]
    messages = [{"role": "user", "content": text} for text in TRIP["turns"][:2]]
    (plain,) = read(tmp_path, {"id": "trip.2", "messages": messages})
    assert prompt_digest(plain) != before[1]


def test_answers_stand_after_their_questions(tmp_path: Path) -> None:
    third = read(tmp_path, TRIP)[2]
    system = {"role": "system", "content": "Be brief."}
    assert third.messages is not None
    messages = with_answers([system, *third.messages], ["The Po.", "652 km."])
    assert [(m["role"], m["content"]) for m in messages] == [
        ("system", "Be brief."),
        ("user", "Name a river."), ("assistant", "The Po."),
        ("user", "How long is it?"), ("assistant", "652 km."),
        ("user", "Where does it end?"),
    ]  # fmt: skip


def test_rows_are_selected_as_wholes(tmp_path: Path) -> None:
    rows = [
        {"id": f"c{i}", "tags": ["odd"] if i % 2 else [], "turns": ["a", "b"]} for i in range(6)
    ]
    chosen = read(tmp_path, *rows, where='"odd" in tags', limit=2)
    assert [p.prompt_id for p in chosen] == ["c1.1", "c1.2", "c3.1", "c3.2"]
    sample = read(tmp_path, *rows, sample=3)
    assert len(sample) == 6
    assert len({p.conversation for p in sample}) == 3


def test_csv_and_parquet_have_turns_too(tmp_path: Path) -> None:
    text = json.dumps(["a", "b"]).replace('"', '""')
    (tmp_path / "rows.csv").write_text(f'id,turns\nc,"{text}"\n')
    table = pa.table({"id": ["c"], "turns": [[{"content": "a", "target": None}, {"content": "b"}]]})
    pq.write_table(table, tmp_path / "rows.parquet")
    for name in ("rows.csv", "rows.parquet"):
        prompts = read_prompts(DatasetConfig(path=name), root=tmp_path)
        assert [said(p) for p in prompts] == [["a"], ["a", "b"]]


def test_a_template_that_names_turns_reads_them_as_a_field(tmp_path: Path) -> None:
    (prompt,) = read(tmp_path, TRIP, template="First: {{ turns[0] }}")
    assert prompt.turn is None
    assert prompt.fields["turns"] == TRIP["turns"]


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"turns": []}, "turns is empty"),
        ({"turns": ["only one"]}, "one turn"),
        ({"turns": "What?"}, "turns"),
        ({"turns": 3}, "must be a list"),
        ({"turns": ["a", ""]}, "turn 2 is empty"),
        ({"turns": ["a", 7]}, "turn 2 must be a text"),
        ({"turns": ["a", None]}, "turn 2 must be a text"),
        ({"turns": ["a", {"text": "b"}]}, "turn 2 has an unknown key 'text'"),
        ({"turns": ["a", {"target": "b"}]}, "turn 2 must be a text"),
        ({"turns": ["a", {"role": "assistant", "content": "b"}]}, "has the role 'assistant'"),
        ({"turns": ["a", "b"], "prompt": "c"}, "both turns and prompt"),
        ({"turns": ["a", "b"], "messages": [{"role": "user", "content": "c"}]}, "both turns and"),
    ],
)
def test_what_is_no_conversation_is_refused_with_its_line(
    tmp_path: Path, row: dict[str, Any], problem: str
) -> None:
    with pytest.raises(DatasetError) as caught:
        read(tmp_path, {"prompt": "fine"}, row)
    assert "rows.jsonl:2" in caught.value.message
    assert problem in caught.value.message


def test_an_id_that_a_turn_has_already_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"rows.jsonl:2.*'trip.2' is already used"):
        read(tmp_path, TRIP, {"id": "trip.2", "prompt": "a"})


def test_a_template_is_not_for_turns(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"rows.jsonl:1.*dataset.template makes one message"):
        read(tmp_path, TRIP, template="{{ prompt }}")
