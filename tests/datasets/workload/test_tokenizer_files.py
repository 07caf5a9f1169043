"""Tokenizers from files: real ones, made here; and what is none."""

from __future__ import annotations

import base64
import sys
from pathlib import Path
from typing import Any

import pytest

from evalharness.config.validation import convert
from evalharness.config.workload import WorkloadConfig
from evalharness.datasets.workload.generate import workload_rows
from evalharness.datasets.workload.token_counts import LinearCounts
from evalharness.datasets.workload.tokenizer_files import open_counter
from evalharness.errors import DatasetError


def bytes_and_words(words: list[str]) -> list[bytes]:
    """A vocabulary of all bytes, and of what byte pairs make of some words."""
    tokens = [bytes([value]) for value in range(256)]
    for word in words:
        for end in range(2, len(word) + 1):
            if (token := word[:end].encode()) not in tokens:
                tokens.append(token)
    return tokens


@pytest.fixture
def vocabulary(tmp_path: Path) -> Path:
    """Some of the words are one token, and the others five letters."""
    pytest.importorskip("tiktoken")
    tokens = bytes_and_words([" about", " above", " water", " world"])
    lines = [f"{base64.b64encode(token).decode()} {rank}" for rank, token in enumerate(tokens)]
    path = tmp_path / "small.tiktoken"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def tokenizer_json(tmp_path: Path) -> Path:
    """Words of up to three letters a token: `#` goes on with one."""
    tokenizers: Any = pytest.importorskip("tokenizers")
    from evalharness.datasets.workload.words import WORDS

    pieces = {"[UNK]", ".", *(w[:3] for w in WORDS), *(f"#{w[3:]}" for w in WORDS)}
    vocab = {piece: number for number, piece in enumerate(sorted(pieces))}
    model = tokenizers.models.WordPiece(
        vocab, unk_token="[UNK]", continuing_subword_prefix="#", max_input_chars_per_word=20
    )
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    path = tmp_path / "tokenizer.json"
    tokenizer.save(str(path))
    return path


def test_a_vocabulary_of_tiktoken(vocabulary: Path) -> None:
    counter = open_counter("small.tiktoken", vocabulary.parent)
    assert [counter.count(text) for text in (" about", " about world", " zebra", "")] == [
        1,
        2,
        6,
        0,
    ]


def test_a_tokenizer_json(tokenizer_json: Path) -> None:
    counter = open_counter(str(tokenizer_json), Path("/nowhere"))
    assert [counter.count(text) for text in ("about", "about world.", "")] == [2, 5, 0]


@pytest.mark.parametrize("kind", ["vocabulary", "tokenizer_json"])
def test_prompts_have_as_many_tokens(kind: str, request: pytest.FixtureRequest) -> None:
    """By the tokenizer and the line that was measured, to within a word; common beginnings, too."""
    path: Path = request.getfixturevalue(kind)
    counter, line = open_counter(path.name, path.parent), LinearCounts(1.02, 14.0)
    config = convert(
        {"requests": 30, "prompt_tokens": "lognormal 400 0.5 200..2000", "tokenizer": path.name,
         "prefixes": {"count": 2, "tokens": 150}},
        WorkloadConfig,
    )  # fmt: skip
    for row in workload_rows(config, "workload:t", path.parent, line):
        tokens = line.overhead + line.per_unit * counter.count(row.columns["prompt"])
        assert tokens == pytest.approx(row.columns["asked_prompt_tokens"], rel=0.02)


def test_what_is_no_tokenizer(tmp_path: Path) -> None:
    pytest.importorskip("tiktoken")
    pytest.importorskip("tokenizers")
    (tmp_path / "one.json").write_text("{}")
    (tmp_path / "two.tiktoken").write_text("IQ== 0\n")
    (tmp_path / "three.tiktoken").write_text("no vocabulary\n")
    for name, words in (
        ("one.json", "one.json is no tokenizer.json"),
        ("two.tiktoken", "two.tiktoken is no vocabulary of tiktoken"),
        ("three.tiktoken", "three.tiktoken is no vocabulary of tiktoken"),
        ("four.json", "there is no file four.json"),
    ):
        with pytest.raises(DatasetError, match=words):
            open_counter(name, tmp_path)


def test_a_library_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names it, and what to type."""
    (tmp_path / "tokenizer.json").write_text("{}")
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(DatasetError, match="needs the library tokenizers") as error:
        open_counter("tokenizer.json", tmp_path)
    assert "evalharness[tokens]" in str(error.value.hint)
