"""Scorers that run without end, fill memory or crash: the score is null, and the rest goes on."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evalharness.errors import ConfigError
from evalharness.scoring import Sample, parse_answer_spec, parse_scoring
from evalharness.scoring.bounds import MAX_IN_PROCESS_CHARS
from evalharness.scoring.isolation.client import (
    MAX_LOSSES,
    REASON_GAVE_UP,
    IsolatedExtractor,
    IsolatedScorer,
)
from evalharness.scoring.run_scores import RunScores, score_records
from tests.scoring.test_run_scores import prompts, records

FUNCTIONS = """
import asyncio, os, signal, sys

lock = asyncio.Lock()

async def waits(sample):
    async with lock:  # of one event loop
        await asyncio.sleep(0)
    return sample.fields["right"] == sample.text

class Waiting:
    async def __call__(self, sample):
        return len(sample.text) / 10

waiting = Waiting()

def hangs(sample):
    if sample.text == "b":
        signal.pause()
    return True

def crashes(sample):
    print("a line of its own")
    if sample.text == "b":
        os.kill(os.getpid(), signal.SIGSEGV)
    return True

def leaves(sample):
    sys.exit(sample.text)

def fills(sample):
    kept = []
    while True:
        kept.append(bytearray(2**24))
"""


@pytest.fixture
def functions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of the module with the functions, in the current folder."""
    (tmp_path / "edge_scorers.py").write_text(FUNCTIONS)
    monkeypatch.chdir(tmp_path)
    return "edge_scorers"


def _scored(entry: dict[str, Any], texts: list[str], targets: dict[str, Any]) -> RunScores:
    rows = [{"prompt_id": name, "text": text} for text in texts for name in targets]
    scorers = parse_scoring([{"label": "it", **entry}])
    return score_records(records(rows), prompts(targets, right="a"), scorers, None)


def _doubling(levels: int) -> dict[str, Any]:
    """A schema that is checked 2^levels times, on any text."""
    defs: dict[str, Any] = {"s0": {"type": "integer"}}
    for level in range(1, levels + 1):
        defs[f"s{level}"] = {"allOf": [{"$ref": f"#/$defs/s{level - 1}"}] * 2}
    return {"$defs": defs, "$ref": f"#/$defs/s{levels}"}


def test_a_schema_without_end_is_stopped_and_given_up() -> None:
    """The score is null with the reason; after some texts no more are tried."""
    schema = {"name": "json_schema", "schema": _doubling(60), "timeout_s": 0.05}
    texts = [str(n) for n in range(MAX_LOSSES + 3)]
    scores = _scored(schema, texts, {"p": None})
    assert np.isnan(scores.scores["it"]).all()
    assert scores.why_null("it") == {
        "took more than 0.05 s of processor time (see `timeout_s`)": MAX_LOSSES,
        REASON_GAVE_UP: 3,
    }
    assert scores.explain("it", 0).explanation.startswith("took more than")


def test_items_that_are_not_unique_without_end() -> None:
    """One bad text costs its own score alone: `uniqueItems` compares every pair of objects."""
    schema = {"name": "json_schema", "schema": {"uniqueItems": True}, "timeout_s": 3}
    slow = json.dumps([{"a": n} for n in range(60_000)])
    scores = _scored(schema, ["[1, 2]", slow, "[1, 1]"], {"p": None})
    np.testing.assert_array_equal(scores.scores["it"], [1, math.nan, 0])
    assert scores.explain("it", 2).explanation == "at $: [1, 1] has non-unique elements"


def test_asynchronous_functions(functions: str) -> None:
    """All calls share an event loop, and see their prompt's fields."""
    path = f"{functions}.waits"
    scores = _scored({"name": "python", "path": path}, ["a", "b"], {"p": None})
    assert scores.scores["it"].tolist() == [1, 0]
    path = f"{functions}.waiting"
    scores = _scored({"name": "python", "path": path}, ["a", "bb"], {"p": None})
    assert scores.scores["it"].tolist() == [0.1, 0.2]
    here = parse_scoring([{"name": "python", "path": path}])[0]
    assert here.score(Sample(text="abc")).value == 0.3


async def test_an_asynchronous_function_in_a_running_loop(functions: str) -> None:
    """As in a notebook, where a loop runs already."""
    scorer = parse_scoring([{"name": "python", "path": f"{functions}.waiting"}])[0]
    assert scorer.score(Sample(text="abc")).value == 0.3


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("hangs", "took more than 3 s (see `timeout_s`)"),
        ("crashes", "its process was lost: killed by SIGSEGV"),
    ],
)
def test_one_output_ends_the_process_of_a_function(functions: str, name: str, reason: str) -> None:
    """The process is started again, and the other outputs have their scores."""
    entry = {"name": "python", "path": f"{functions}.{name}", "timeout_s": 3}
    scores = _scored(entry, ["a", "b", "c"], {"p": None})
    np.testing.assert_array_equal(scores.scores["it"], [1, math.nan, 1])
    assert scores.why_null("it") == {reason: 1}
    assert scores.explain("it", 0).explanation == "the function said yes"


def test_a_function_that_leaves_or_fills_memory(functions: str) -> None:
    """`sys.exit` is its failure and not the command's end; memory is bounded."""
    scores = _scored({"name": "python", "path": f"{functions}.leaves"}, ["a"], {"p": None})
    assert scores.why_null("it") == {"the scorer failed: SystemExit: a": 1}
    entry = {"name": "python", "path": f"{functions}.fills", "max_memory_mib": 256}
    scores = _scored(entry, ["a"], {"p": None})
    assert scores.why_null("it") == {"more memory was needed than a scorer may have": 1}


def test_a_module_that_ends_its_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused as one that cannot be imported."""
    (tmp_path / "edge_ends.py").write_text("import os\nos._exit(3)\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="its process ended"):
        parse_scoring([{"name": "python", "path": "edge_ends.f"}])


def test_long_texts_are_judged_within_bounds() -> None:
    """A text or target that takes hours costs its own score; others of the run keep theirs."""
    long = "ab " * MAX_IN_PROCESS_CHARS
    partial = {"name": "similarity", "method": "partial"}
    scores = _scored(partial, ["a", long, "b"], {"p": "a", "q": "ba " * MAX_IN_PROCESS_CHARS})
    p, q = scores.scores["it"][::2], scores.scores["it"][1::2]
    assert p.tolist() == [1, 1, 0]
    assert math.isnan(q[1])
    assert scores.why_null("it") == {"took more than 5 s of processor time": 1}


def test_long_texts_have_the_scores_of_short_ones() -> None:
    """Where a text is judged makes no difference to its score, answer and explanation."""
    long = "word " * MAX_IN_PROCESS_CHARS + "12"
    sample = Sample(text=long, target=["12", "word"], prompt_id="p", answer="\ud800")
    entries = [{"name": name} for name in ("exact", "includes", "numeric", "f1", "rouge")]
    for scorer in parse_scoring([*entries, {"name": "exact", "of": "answer", "label": "a"}]):
        assert IsolatedScorer(scorer).score([sample], brief=False) == [scorer.score(sample)]
    extractor = parse_answer_spec({"regex": "(?s)(.*)", "normalise": True})
    assert extractor is not None
    for text in (long, "\ud800 x", " "):
        assert IsolatedExtractor(extractor).extract(text) == extractor.extract(text)


def test_patterns_share_the_time_of_a_text() -> None:
    """Alternatives of a target take no more than one pattern may."""
    slow = [f"(a|aa)+{letter}$" for letter in "bcdefgh"]
    scorer = parse_scoring([{"name": "regex", "timeout_s": 0.05}])[0]
    score = scorer.score(Sample(text="a" * 60 + "zbcdefgh", target=["x", *slow]))
    assert "took too long" in score.explanation
