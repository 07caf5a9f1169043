"""Names of values, the texts behind them, and one name for two texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console

from evalharness.analysis.comparison.compare import compare, compare_runs
from evalharness.analysis.data.frame import RunFrame
from evalharness.analysis.data.join_runs import JoinedRuns
from evalharness.config.value_texts import value_hash
from evalharness.records import Variant
from evalharness.report.build.named_texts import named_texts
from evalharness.report.sections.named_texts import print_texts
from tests.analysis.setting_frames import frame, score_rows

TERSE, POLITE = "Answer in one word only, please.", "Answer in a full sentence, please."
FILE_HASH = "a" * 64


def variant(axis: str, value: Any, name: str, file: str | None = None) -> dict[str, Variant]:
    sha256 = value_hash(value) if file is None else FILE_HASH
    return {axis: Variant(name=name, file=file, sha256=sha256)}


def run_of(texts: dict[str, str | None]) -> RunFrame:
    """A setting for each name; a name of None is a run with one text and no name for it."""
    settings: dict[str, dict[str, Any]] = {}
    names: dict[str, dict[str, Variant]] = {}
    rows: list[dict[str, Any]] = []
    for number, (text, name) in enumerate(texts.items()):
        setting_id = f"s{number}"
        settings[setting_id] = {"system": text, "model": "m"}
        names[setting_id] = {} if name is None else variant("system", text, name)
        scores: dict[str, Sequence[float | None]] = {
            f"p{n}": [float((n + number) % 2)] for n in range(8)
        }
        rows += score_rows(setting_id, scores)
    return frame(settings, rows, names=names)


def test_comparisons_show_names_and_the_texts_once() -> None:
    """The sides are named; file, hash and the word diff stand beside them."""
    settings = {"a": {"system": TERSE}, "b": {"system": POLITE}}
    names = {
        "a": variant("system", TERSE, "terse", "prompts/terse.txt"),
        "b": variant("system", POLITE, "polite"),
    }
    rows = [*score_rows("a", {"p": [1], "q": [0]}), *score_rows("b", {"p": [0], "q": [0]})]
    run = frame(settings, rows, names=names)
    (row,) = compare(run, by="system", metrics=["score"])
    assert (row.a_value, row.b_value) == ("polite", "terse")
    assert run.params("a")["system"] == TERSE
    texts = named_texts(JoinedRuns.of({"": run}), "system")
    first, second = texts.values
    assert (first.name, first.file, first.sha256, first.text) == (
        "terse", "prompts/terse.txt", FILE_HASH, TERSE,
    )  # fmt: skip
    assert (second.file, second.sha256) == (None, value_hash(POLITE))
    (difference,) = texts.differences
    assert [(p.kind, p.text) for p in difference.pieces][:2] == [
        ("same", "Answer in "), ("removed", "one word only"),
    ]  # fmt: skip
    assert not texts.ambiguous
    assert named_texts(JoinedRuns.of({"": run}), "temperature").values == []
    console = Console(width=90, highlight=False)
    with console.capture() as capture:
        print_texts(texts, console)
    shown = capture.get()
    assert "system terse" in shown.splitlines()[1]
    assert "system polite" in shown.splitlines()[1]
    assert "prompts/terse.txt, sha256 aaaaaaaaaaaa" in shown
    assert "Answer in [-one word only-]{+a full sentence+}, please." in shown


def test_a_baseline_is_a_name_or_the_text_itself() -> None:
    """Both mean the same side."""
    run = run_of({TERSE: "terse", POLITE: "polite"})
    for baseline in ("polite", POLITE):
        (row,) = compare(run, by="system", baseline=baseline, metrics=["score"])
        assert (row.a_value, row.b_value) == ("terse", "polite")


def test_one_name_for_two_texts_is_said() -> None:
    """Settings of two runs are paired by name, and a name that changed its meaning is told."""
    frames = {
        "old": run_of({TERSE: "terse", POLITE: "polite"}),
        "new": run_of({"One word.": "terse", POLITE: "polite"}),
    }
    texts = named_texts(JoinedRuns.of(frames), "run")
    old, new = value_hash(TERSE)[:12], value_hash("One word.")[:12]
    assert texts.ambiguous == [
        f"system terse is not the same text in these runs: sha256 {old} in old; sha256 {new} in new"
    ]
    assert [(text.name, text.runs) for text in texts.values] == [
        ("terse", ["old"]), ("terse", ["new"]),
    ]  # fmt: skip
    rows = compare_runs(frames, metrics=["score"])
    assert {row.stratum.get("system") for row in rows if not row.pooled} == {"terse", "polite"}


def test_equal_texts_of_two_runs_are_paired_whatever_they_are_called() -> None:
    """By another name, or by none: a text is itself."""
    named = run_of({TERSE: "terse", POLITE: "polite"})
    for other in (
        run_of({TERSE: "short", POLITE: "long"}),
        run_of({TERSE: None, POLITE: None}),
    ):
        frames = {"a": named, "b": other}
        rows = compare_runs(frames, metrics=["score"])
        assert {row.stratum.get("system") for row in rows if not row.pooled} == {"terse", "polite"}
        assert not named_texts(JoinedRuns.of(frames), "run").ambiguous
    swapped = run_of({POLITE: "terse", TERSE: "polite"})
    assert len(named_texts(JoinedRuns.of({"a": named, "b": swapped})).ambiguous) == 2


def test_a_named_model_is_not_taken_for_a_changed_one() -> None:
    """What was asked for is what was sent; the name is for people."""
    rows = score_rows("a", {"p": [1]})
    run = frame({"a": {"model": "big-model-1"}}, rows, names={"a": variant("model", "x", "big")})
    assert run.params("a")["model"] == "big-model-1"
    assert run.compared_values("a")["model"] == "big"


def test_named_fields_of_a_provider_are_one_axis() -> None:
    """``sweep.extra={plain: {}, fast: {top_k: 1}}`` can be compared by extra."""
    names = {
        "a": variant("extra", {}, "plain"),
        "b": variant("extra", {"top_k": 1}, "fast"),
    }
    settings = {"a": {}, "b": {"extra": {"top_k": 1}}}
    rows = [*score_rows("a", {"p": [1], "q": [0]}), *score_rows("b", {"p": [0], "q": [0]})]
    run = frame(settings, rows, names=names)
    (row,) = compare(run, by="extra", metrics=["score"])
    assert (row.a_value, row.b_value) == ("fast", "plain")
    assert run.params("b")["extra.top_k"] == 1
