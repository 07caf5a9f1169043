"""Recorded traces: their blocks, times and lengths as rows, and what cannot be replayed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalharness.config.models import DatasetConfig
from evalharness.config.validation import convert
from evalharness.config.workload import TRACE_DUE, WorkloadConfig
from evalharness.datasets.read import read_prompts
from evalharness.datasets.workload.token_counts import LinearCounts
from evalharness.datasets.workload.traces import select_requests, trace_rows
from evalharness.errors import ConfigError, DatasetError

COUNTS = LinearCounts(1.5, 20.0)
ROWS = [
    {"timestamp": 0, "input_length": 1100, "output_length": 9, "hash_ids": [1, 2, 3]},
    {"timestamp": 250, "input_length": 1024, "output_length": 4, "hash_ids": [1, 2]},
    {"timestamp": 250, "input_length": 700, "output_length": 30, "hash_ids": [1, 7]},
    {"timestamp": 2000, "input_length": 60, "output_length": 1},
]
AZURE = "TIMESTAMP,ContextTokens,GeneratedTokens\n"


def write(folder: Path, lines: list[Any]) -> Path:
    path = folder / "trace.jsonl"
    path.write_text("".join(f"{x if isinstance(x, str) else json.dumps(x)}\n" for x in lines))
    return path


def workload(path: Path, trace: dict[str, Any] | None = None, **keys: Any) -> WorkloadConfig:
    return convert({"trace": {"path": str(path), **(trace or {})}, **keys}, WorkloadConfig)


def made(config: WorkloadConfig, counts: LinearCounts | None = COUNTS) -> list[dict[str, Any]]:
    assert config.trace is not None
    return [row.columns for row in trace_rows(config, config.trace, Path(), counts)]


def common(first: str, second: str) -> int:
    """Words that two texts begin with."""
    pairs = zip(first.split(), second.split(), strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), 10**6)


def test_equal_ids_are_equal_blocks_and_others_are_not(tmp_path: Path) -> None:
    first, second, third, alone = made(workload(write(tmp_path, ROWS)))
    two_blocks, one_block = COUNTS.units(1024), COUNTS.units(512)
    assert common(first["prompt"], second["prompt"]) >= two_blocks
    assert len(second["prompt"].split()) == two_blocks
    assert 0 <= common(first["prompt"], third["prompt"]) - one_block < 3
    assert common(first["prompt"], alone["prompt"]) < 13  # the task, which all have


@given(st.integers(1, 3), st.integers(1, 512), st.booleans(), st.sampled_from([0.9, 1.2, 1.5]))
def test_lengths_are_those_of_the_trace(
    tmp_path_factory: pytest.TempPathFactory, blocks: int, rest: int, salt: bool, per_word: float
) -> None:
    length = 512 * blocks + rest
    row = {"timestamp": 5, "input_length": length, "output_length": 7,
           "hash_ids": list(range(blocks + 1))}  # fmt: skip
    counts = LinearCounts(per_word, 30.0)
    path = write(tmp_path_factory.mktemp("trace"), [row])
    (made_row,) = made(workload(path, salt=salt), counts)
    tokens = counts.overhead + counts.per_unit * len(made_row["prompt"].split())
    assert abs(tokens - length) <= counts.per_unit
    assert made_row["params"] == {"max_tokens": 7}
    assert made_row["prompt"].startswith(made_row.get("salt", ""))
    assert ("salt" in made_row) == salt


def test_times_are_those_of_the_trace_in_a_window(tmp_path: Path) -> None:
    path = write(tmp_path, ROWS)
    assert [row[TRACE_DUE] for row in made(workload(path))] == [0.0, 0.25, 0.25, 2.0]
    window = workload(path, {"from_s": 0.25, "to_s": 2.0}, requests=1)
    assert window.trace is not None
    chosen, read = select_requests(window, window.trace, Path())
    assert [row.request.line for row in chosen] == [2]
    assert (read.chosen, read.first_s, read.more) == (1, 0.25, True)


def test_azure_times_keep_their_seven_digits(tmp_path: Path) -> None:
    path = tmp_path / "azure.csv"
    path.write_text(
        f"{AZURE}2023-11-16 18:17:03.9799600,48,10\n2023-11-16 18:17:04.0319605,31,8\n"
        "2023-11-16 19:17:04.5+01:00,50,2\n"
    )
    rows = made(workload(path))
    assert [row[TRACE_DUE] for row in rows] == [0.0, 0.0520005, 0.52004]
    assert [row["asked_prompt_tokens"] for row in rows] == [48, 31, 50]
    assert [row["asked_output_tokens"] for row in rows] == [10, 8, 2]


def test_what_is_too_long_is_cut_or_left_out_and_counted(tmp_path: Path) -> None:
    path = write(tmp_path, ROWS)
    cut = workload(path, {"on_long": "truncate"}, max_context=1_000)
    rows = made(cut)
    assert [row["asked_prompt_tokens"] for row in rows] == [991, 996, 700, 60]
    assert [row.get("trace_prompt_tokens") for row in rows] == [1100, 1024, None, None]
    skipped = workload(path, {"on_long": "skip"}, max_context=1_000)
    assert [row["asked_prompt_tokens"] for row in made(skipped)] == [700, 60]
    for config, counts in ((cut, (4, 2, 0)), (skipped, (2, 0, 2))):
        assert config.trace is not None
        _, read = select_requests(config, config.trace, Path())
        assert (read.chosen, read.truncated, read.skipped_long) == counts


def test_what_does_not_fit_is_refused_with_counts(tmp_path: Path) -> None:
    path = write(tmp_path, ROWS)
    with pytest.raises(DatasetError, match=r"2 of 4 requests are longer .* the first is line 1"):
        made(workload(path, max_context=1_000))
    with pytest.raises(DatasetError, match=r"1 of 4 requests have shorter prompts than the 92"):
        made(workload(path), LinearCounts(1.5, 90.0))
    rows = made(workload(path, {"on_short": "lengthen"}), LinearCounts(1.5, 90.0))
    assert rows[-1]["asked_prompt_tokens"] == 92
    assert rows[-1]["trace_prompt_tokens"] == 60


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ({"input_length": 5, "output_length": 2}, "t.jsonl:2: the request has no `timestamp`"),
        ({**ROWS[3], "timestamp": -1}, "`timestamp` must be milliseconds"),
        ('{"timestamp": NaN, "input_length": 5, "output_length": 1}', ":2"),
        ({**ROWS[3], "input_length": -3}, "`input_length` must be a whole number of tokens"),
        ({**ROWS[3], "output_length": 0}, "`output_length` must be a whole number of tokens"),
        ({**ROWS[3], "hash_ids": [1, 2]}, "2 hash_ids, and 60 prompt tokens are 1 blocks of 512"),
        ({**ROWS[3], "hash_ids": ["a"]}, "`hash_ids` must be a list of whole numbers"),
        ({**ROWS[3], "session_id": "s"}, "`session_id` is of conversations"),
        ("[1]", "a request must be an object, got a list"),
        ("", ":2: an empty line, and requests behind it"),
    ],
)
def test_a_hole_names_its_line(tmp_path: Path, line: Any, said: str) -> None:
    path = write(tmp_path, [ROWS[0], line, ROWS[3]])
    with pytest.raises(DatasetError) as error:
        made(workload(path))
    assert said.replace("t.jsonl", "trace.jsonl") in str(error.value)
    assert f"{path}:2" in str(error.value)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("t.jsonl", "", "the trace has no requests"),
        ("t.csv", AZURE, "the trace has no requests"),
        ("t.csv", "a,b\n1,2\n", "no column TIMESTAMP, ContextTokens, GeneratedTokens; it has a, b"),
        ("t.csv", f"{AZURE}yesterday,1,2\n", "`TIMESTAMP` must be a date and a time"),
        ("t.csv", f"{AZURE}2023-11-16 18:17:03,1\n", "t.csv:2: 2 cells, and the header has 3"),
        ("t.csv", f"{AZURE}2023-11-16 18:17:03,1,2.5\n", "`GeneratedTokens` must be a whole"),
        ("t.csv", f"{AZURE}2023-11-16 18:17:03,9,2\n2023-11-16 18:17:02,9,2\n", "1 s before that"),
        ("t.txt", "x", "cannot tell the format of the trace from .txt"),
    ],
)
def test_files_that_are_no_traces(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DatasetError) as error:
        made(workload(tmp_path / name))
    assert said in str(error.value)


def test_keys_that_contradict_a_trace(tmp_path: Path) -> None:
    path = write(tmp_path, ROWS)
    with pytest.raises(ConfigError, match="must be null with a trace"):
        workload(path, prompt_tokens=5)
    with pytest.raises(ConfigError, match="must be above from_s=3"):
        workload(path, {"from_s": 3, "to_s": 2})
    with pytest.raises(ConfigError, match=r"must be set .* or a trace"):
        convert({"output_tokens": 3}, WorkloadConfig)
    sampled = DatasetConfig(path="workload:t", sample=2, workload=workload(path))
    with pytest.raises(DatasetError, match="takes requests out of the middle of a trace"):
        read_prompts(sampled, root=Path())
    limited = DatasetConfig(path="workload:t", limit=2, workload=workload(path))
    assert len(read_prompts(limited, root=Path())) == 2
