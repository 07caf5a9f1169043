"""Made prompts: the same everywhere, of asked lengths, and nothing that cannot be."""

from __future__ import annotations

import hashlib
import math
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalharness.config.models import DatasetConfig
from evalharness.config.package_data import package_data_dir
from evalharness.config.strict_yaml import parse_yaml
from evalharness.config.validation import convert
from evalharness.config.workload import WorkloadConfig, parse_lengths
from evalharness.datasets.read import read_prompts
from evalharness.datasets.workload.generate import workload_rows
from evalharness.datasets.workload.lengths import draw_length
from evalharness.datasets.workload.token_counts import LinearCounts, fit_counts
from evalharness.datasets.workload.words import WORDS
from evalharness.errors import ConfigError, DatasetError

ROOT = Path()


def rows(counts: LinearCounts | None = None, **keys: Any) -> list[dict[str, Any]]:
    config = convert({"requests": 50, "prompt_tokens": 200, **keys}, WorkloadConfig)
    return [row.columns for row in workload_rows(config, "workload:t", ROOT, counts)]


def drawn(text: int | str, n: int = 4_000) -> list[int]:
    draw = random.Random(7)
    return [draw_length(parse_lengths(text, "prompt_tokens"), draw, "key") for _ in range(n)]


def test_one_seed_gives_the_same_bytes_on_every_machine() -> None:
    """A digest that was written down, and another one for another seed."""
    made = rows(prompt_tokens="lognormal 90 1.08 4..2048", output_tokens="normal 70 20 16..160",
                prefixes={"count": 5, "tokens": 64, "zipf": 1.0}, salt=True)  # fmt: skip
    digest = hashlib.sha256(repr(made).encode()).hexdigest()[:16]
    assert digest == "356ac6083fb12a30"
    assert rows(seed=1) != rows()


def test_distributions_have_their_moments() -> None:
    lognormal = drawn("lognormal 90 0.5")
    assert math.isclose(sorted(lognormal)[2_000], 90, rel_tol=0.05)
    normal = drawn("normal 300 30")
    assert math.isclose(sum(normal) / len(normal), 300, rel_tol=0.01)
    histogram = drawn("histogram 10:3 20:0 50:1 100")
    assert {10 <= n <= 20 or 50 <= n <= 100 for n in histogram} == {True}
    assert 0.7 < sum(n <= 20 for n in histogram) / 4_000 < 0.8
    assert drawn(128, 3) == [128, 128, 128]
    assert all(40 <= n <= 60 for n in drawn("normal 50 30 40..60"))


def test_lengths_follow_the_servers_counts() -> None:
    """What a server counts of texts of known words is what was asked for, to half a word."""
    counts = LinearCounts(per_unit=1.3, overhead=11.0)
    for row in rows(counts, prompt_tokens="lognormal 200 0.6 60..900"):
        words = len(row["prompt"].split())
        assert abs(11.0 + 1.3 * words - row["asked_prompt_tokens"]) <= 0.65 + 1e-9


@given(st.floats(0.5, 3.0), st.floats(0.0, 40.0))
def test_a_line_is_found(per_word: float, overhead: float) -> None:
    words = [16, 16, 64, 64, 500, 500]
    fit = fit_counts(words, [round(overhead + per_word * w) for w in words])
    assert fit.per_unit == pytest.approx(per_word, abs=0.02)
    assert fit.overhead == pytest.approx(overhead, abs=2.0)


def test_a_prompt_shorter_than_the_chat_template_is_refused() -> None:
    """As soon as that is measured; the hint has bounds that can be met."""
    with pytest.raises(DatasetError, match="31 for a prompt of one word") as error:
        rows(LinearCounts(1.1, 30.0), prompt_tokens=30)
    assert "32..2048" in str(error.value.hint)
    assert len(rows(LinearCounts(1.1, 30.0), prompt_tokens=32)) == 50


def test_a_server_that_does_not_count_is_refused() -> None:
    with pytest.raises(ValueError, match="do not grow"):
        fit_counts([16, 64], [9, 9])


def test_prefixes_and_salts() -> None:
    """Beginnings in common are equal word by word; a salt makes every beginning its own."""
    common = rows(prefixes={"count": 3, "tokens": 100, "share": 0.5, "zipf": 2.0})
    with_prefix = [row for row in common if "prefix" in row]
    assert 15 < len(with_prefix) < 35
    for number in {row["prefix"] for row in with_prefix}:
        starts = {
            tuple(row["prompt"].split()[:97]) for row in with_prefix if row["prefix"] == number
        }
        assert len(starts) == 1
    assert sum(row["prefix"] == 0 for row in with_prefix) > sum(
        row["prefix"] == 2 for row in with_prefix
    )
    salted = rows(prefixes={"tokens": 100}, salt=True)
    assert len({row["prompt"][:24] for row in salted}) == 50


def test_outputs_of_an_exact_length() -> None:
    config = convert(
        {"prompt_tokens": 200, "output_tokens": 64, "exact_output": True}, WorkloadConfig
    )
    first = next(workload_rows(config, "workload:t", ROOT, None, ["ignore_eos", "min_tokens"]))
    sent = {"max_tokens": 64, "extra": {"ignore_eos": True, "min_tokens": 64}}
    assert first.columns["params"] == sent
    (first, *_) = rows(output_tokens=64, output_parameter="max_completion_tokens")
    assert first["params"] == {"max_completion_tokens": 64}


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "lognormal 5",
        "normal 0 1",
        "histogram 5:1",
        "histogram 9:1 5",
        "9..5",
        "0",
        "lognormal 90 1 9..5",
        "lognormal inf 1",
        "normal 90 nan",
        "histogram 1:nan 5",
        "histogram 1:1 inf",
    ],
)
def test_lengths_that_cannot_be_read(text: str) -> None:
    with pytest.raises(ConfigError, match="prompt_tokens"):
        convert({"prompt_tokens": text}, WorkloadConfig, "dataset.workload")


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"max_context": 199}, "200 prompt tokens and 0 of output are more than"),
        ({"prompt_tokens": "normal 5 1 100..200"}, "fewer than one length in 1000"),
        ({"tokenizer": "no.json"}, "tokenizer"),
        ({"prompt_tokens": 30_000_000}, "fewer than one length in 1000 is from 1 to 20000000"),
        ({"prompt_tokens": 5_000_000}, "row 41: 205,000,000 prompt tokens up to here"),
        ({"prompt_tokens": "lognormal 90 500", "requests": 500}, "prompt tokens up to here are more than"),
        ({"prefixes": {"count": 10**9}}, "prefixes: 256,000,000,000 prompt tokens"),
    ],
)  # fmt: skip
def test_what_cannot_be_made(keys: dict[str, Any], words: str) -> None:
    with pytest.raises(DatasetError, match=words):
        rows(**keys)


def test_a_path_and_a_workload_belong_together() -> None:
    for path, workload in (("workload:x", None), ("q.jsonl", {"prompt_tokens": 5})):
        config = convert({"path": path, "workload": workload}, DatasetConfig, "dataset")
        with pytest.raises(DatasetError, match=r"dataset\.workload"):
            read_prompts(config, root=ROOT)


# Median, mean and 90th percentile of the trace that each preset follows, computed from the trace itself.
TRACES = {
    ("code", "prompt_tokens"): (1469, 2048, 5188),
    ("code", "output_tokens"): (13, 28, 55),
    ("chat", "prompt_tokens"): (1020, 1155, 2735),
    ("chat", "output_tokens"): (129, 211, 424),
}


@pytest.mark.parametrize(("name", "key"), TRACES)
def test_presets_have_the_lengths_of_their_traces(name: str, key: str) -> None:
    preset = parse_yaml((package_data_dir("configs") / "dataset" / f"{name}.yaml").read_text())
    lengths = sorted(drawn(preset["workload"][key], 20_000))
    found = (lengths[10_000], sum(lengths) / 20_000, lengths[18_000])
    for measured, true in zip(found, TRACES[name, key], strict=True):
        assert measured == pytest.approx(true, rel=0.08)


@pytest.mark.parametrize("name", ["chat", "code", "rag", "summarize"])
def test_presets_have_the_keys_of_other_datasets(name: str) -> None:
    """A key that is not in the file cannot be typed."""
    folder = package_data_dir("configs") / "dataset"
    preset, usual = (
        parse_yaml((folder / f"{file}.yaml").read_text()) for file in (name, "quickstart")
    )
    assert set(preset) == {*usual, "workload"}
    assert set(preset["workload"]) == {*WorkloadConfig.__struct_fields__}


def test_words_are_alike() -> None:
    assert len(WORDS) == len(set(WORDS)) > 150
    assert {len(word) for word in WORDS} == {5}
