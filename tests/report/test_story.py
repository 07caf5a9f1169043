"""The answers in plain sentences: no claim that the data do not carry."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest

from evalharness.report.answers import answers, listing
from evalharness.report.build import Built
from evalharness.report.caveats import caveats
from evalharness.report.differences import differences, is_real
from evalharness.report.markdown import as_markdown, escaped
from evalharness.report.story import tell

Row = dict[str, Any]


@pytest.fixture
def data(sweep: Built) -> Row:
    """The JSON of the sweep, to change at will."""
    return copy.deepcopy(sweep.data)


def by_question(data: Row) -> Row:
    """Answers by their question."""
    return {answer.question: answer for answer in answers(data)}


def test_a_leader_that_nothing_matches_is_named(data: Row) -> None:
    """One setting ahead of all others is named, with the figure of the JSON and its lead."""
    found = data["leaders"]["score"]
    found["group"] = found["group"][:1]
    answer = by_question(data)["Best score"]
    leader = next(r for r in data["settings"] if r["setting_id"] == found["setting_id"])
    assert answer.settled
    assert answer.who == leader["label"]
    assert answer.figure.startswith(f"{100 * leader['score']['mean']:.0f}\u00a0%")
    assert "every other setting" in answer.text


def test_nothing_is_called_best_when_nothing_is_detectably_worse(data: Row) -> None:
    """A figure that merely is the highest names no winner."""
    found = data["leaders"]["score"]
    found["group"] = [found["setting_id"], *(row["setting_id"] for row in found["others"])]
    answer = by_question(data)["Best score"]
    assert not answer.settled
    assert answer.who == "Not settled"


def test_settings_with_the_same_figure_share_the_first_place(data: Row) -> None:
    """Two settings that never diverged are both named; neither is put before the other."""
    answer = by_question(data)["Most repeatable"]
    assert answer.who == "2 settings alike"
    assert "the other 6 settings" in answer.text


def test_what_is_unknown_is_said_to_be_unknown(data: Row) -> None:
    """Without scores, prices or repeats the answer says why there is none."""
    for metric in data["leaders"]:
        data["leaders"][metric] = None
    for row in data["settings"]:
        row["score"]["mean"] = row["cost_usd"]["per_1k_requests"] = None
        row["agreement"]["raw"]["pairwise"] = row["latency_s"]["mean"] = None
    for answer in answers(data):
        assert not answer.settled
        assert answer.figure == "—"
        assert answer.text


def test_real_and_undetected_differences_are_told_apart_by_the_adjusted_p(data: Row) -> None:
    """Each chosen comparison is in exactly one list, by its adjusted p alone."""
    real, undetected = differences(data["comparisons"])
    assert all(is_real(row) for found in real for row in found.rows)
    assert not any(is_real(row) for found in undetected for row in found.rows)
    chosen = [row for found in [*real, *undetected] for row in found.rows]
    pooled = [row for row in data["comparisons"] if row["pooled"]]
    assert len(chosen) == len(pooled), "where an axis is pooled, the pooled rows stand for it"


def test_every_sentence_on_a_difference_holds_its_interval(data: Row) -> None:
    """A reader never sees a difference without its interval."""
    real, undetected = differences(data["comparisons"])
    for found in [*real, *undetected]:
        assert re.search(r"\[[^\]]+\]", found.text), found.text


def test_many_values_of_an_axis_share_one_sentence(data: Row) -> None:
    """Nine temperatures do not fill the first screen; the sentence gives range and largest."""
    one = next(r for r in data["comparisons"] if r["metric"] == "agreement" and r["pooled"]
               and r["by"] == "temperature")  # fmt: skip
    rows = [{**one, "a_value": v, "difference": -0.1 * v, "p_adjusted": 0.001} for v in range(1, 6)]
    real, _ = differences(rows)
    assert len(real) == 1
    assert "at 5 values" in real[0].text
    assert "10.0\u00a0pp to 50.0\u00a0pp less often" in real[0].text
    assert len(real[0].rows) == 5


def test_an_undetected_difference_names_what_would_be_missed(data: Row) -> None:
    """ "Not detected" stands beside the smallest difference that would have been."""
    _, undetected = differences(data["comparisons"])
    latency = next(d for d in undetected if d.rows[0]["metric"] == "latency_s")
    assert "would be missed" in latency.text


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d["run"].update(status="interrupted", planned=2000), "is interrupted"),
        (lambda d: d["run"].update(attempts_in_doubt=3), "3 attempts in doubt"),
        (lambda d: d["run"].update(damaged_journal_entries=2), "could not be read: 2"),
        (lambda d: d["settings"][0]["status"].update(error=5), "5 of 960 trials are errors"),
        (
            lambda d: d["settings"][0]["status"].update(truncated=96),
            "96 of 960 outputs (10\u00a0%)",
        ),
        (lambda d: d["settings"][0].update(unparsed={"n": 60, "share": 0.5}), "No answer could be"),
        (lambda d: d["settings"][0].update(served_models={"a": 1, "b": 2}), "served by 2 models"),
        (
            lambda d: d["settings"][0].update(system_fingerprints={"a": 1, "b": 2}),
            "backend changed",
        ),
        (lambda d: d["run"].update(prompts=12), "12 prompts: intervals are wide"),
        (lambda d: d["run"].update(notes=["kept in extra_json"]), "kept in extra_json"),
    ],
)
def test_what_would_change_a_reader_s_mind_is_said(data: Row, change: Any, words: str) -> None:
    """Each of these facts is a caveat, and is none where it does not hold."""
    assert not any(words in caveat.text for caveat in caveats(data))
    change(data)
    assert any(words in caveat.text for caveat in caveats(data))


def test_an_ignored_seed_is_a_serious_caveat(data: Row) -> None:
    """A parameter without effect comes first."""
    data["effects"] = [{"parameter": "seed", "verdict": "ignored", "sentence": "seed ignored: x"}]
    assert caveats(data)[0].serious
    assert caveats(data)[0].text == "Seed ignored: x."


@pytest.mark.parametrize(
    ("p99", "n", "latency_s", "ttft_s", "said"),
    [
        (0.004, 500, 0.01, None, False),  # within what is always allowed
        (0.006, 500, 0.01, None, True),
        (0.006, 500, 1.0, None, False),  # less than 5 % of a latency
        (0.06, 500, 1.0, None, True),
        (0.006, 500, 1.0, 0.5, True),  # streams have milliseconds between chunks
        (0.5, 20, 1.0, None, False),  # too few probes for a 99th percentile
    ],
)
def test_a_saturated_client_is_said(
    data: Row, p99: float, n: int, latency_s: float, ttft_s: float | None, said: bool
) -> None:
    """The event loop's lateness is a caveat where it matters beside what was measured."""
    data["provenance"]["sessions"] = [{"loop_lag_s": {"n": n, "p99": p99}}]
    for row in data["settings"]:
        row["latency_s"]["p50"], row["ttft_s"]["p50"] = latency_s, ttft_s
    found = [caveat for caveat in caveats(data) if caveat.text.startswith("Client saturated")]
    assert bool(found) is said
    assert all(caveat.serious for caveat in found)


def test_listing_counts_what_it_does_not_name() -> None:
    """No name is dropped silently."""
    assert listing(["a"], 3) == "a"
    assert listing(["a", "b", "c"], 3) == "a, b and c"
    assert listing(["a", "b", "c", "d", "e"], 3) == "a, b, c and 2 more"
    assert listing(["a=1, b=2", "c"], 3) == "a=1, b=2; c"


def test_markdown_tells_the_same_story(data: Row) -> None:
    """Answers, caveats and one table row a setting are in the Markdown."""
    text, story = as_markdown(data), tell(data)
    for answer in story.answers:
        assert escaped(answer.text) in text
    for row in data["settings"]:
        assert any(line.startswith(f"| {row['label']}") for line in text.splitlines())


def test_markdown_of_hostile_names_starts_nothing(hostile: Built) -> None:
    """Names hold no tag, link, image, mention, table cell or line of their own."""
    text = as_markdown(hostile.data)
    assert "<" not in text
    assert "http://" not in text
    rows = [line for line in text.splitlines() if line.startswith("| model=")]
    cells = {len(re.findall(r"(?<!\\)\|", line)) for line in rows}
    assert len(rows) == 3
    assert len(cells) == 1
    assert not any(char in text for char in "\u202e\u2066\x1b\x00\x07")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a|b", r"a\|b"),
        ("[x](http://y)", r"\[x](http&#58;//y)"),
        ("@team", "&#64;team"),
        ("- item", "&#8203;- item"),
        ("1. item", "&#8203;1. item"),
        ("# title #12", r"\# title \#12"),
        ("two\nlines", "two⏎lines"),
        ("16.3 s", "16.3 s"),
        ("−0.4", "−0.4"),
    ],
)
def test_markdown_escapes(text: str, shown: str) -> None:
    """What would be active is escaped, what would not is left readable."""
    assert escaped(text) == shown
