"""What a reader has to know before trusting the figures."""

from __future__ import annotations

from typing import Any

import pytest

from evalharness.report.sections.headline.caveat import Caveat
from evalharness.report.sections.headline.caveats import caveats as caveats_of
from tests.report.json_reports import report_of

Row = dict[str, Any]


def caveats(data: Row) -> list[Caveat]:
    """The caveats of a report's JSON."""
    return caveats_of(report_of(data))


@pytest.mark.parametrize(
    ("by", "group", "against", "difference", "words"),
    [
        ("system_fingerprint", "different", "equal", -0.31,
         "repeats under different system fingerprints give the same text 31.0\u00a0pp less often "
         "than those under equal ones"),
        ("response_model", "different", "equal", -0.2, "from different served models"),
        ("time_gap", ">= 1 h", "< 1 s", -0.2, "sent >= 1 h apart"),
        ("in_flight", "65-256", "1", 0.2, "with 65-256 requests in flight give the same text 20.0"
         "\u00a0pp more often than those with 1 ("),
        ("cached_tokens", "both", "neither", -0.2, "whose prompt was cached in both"),
    ],
)  # fmt: skip
def test_circumstances_that_go_with_differences_are_said(
    data: Row, by: str, group: str, against: str, difference: float, words: str
) -> None:
    """What is clear and large is a caveat; what is unclear or small is none."""
    row = {"by": by, "group": group, "against": against, "prompts": 40, "p": 0.001}
    for part, change, p in zip(
        data["breakdowns"][:4],
        (difference, difference / 2, -0.04, 0.3),
        (0.009, 0.002, 0.002, 0.02),
        strict=True,
    ):
        part["contrasts"] = [{**row, "difference": change, "p_adjusted": p}]
    told = [caveat.text for caveat in caveats(data) if "give the same text" in caveat.text]
    assert len(told) == 1
    assert words in told[0]
    assert f"Under {data['settings'][0]['label']} " in told[0]
    assert "40 prompts); so in 1 other setting: observed, not tried" in told[0]


def test_a_saturated_client_is_a_serious_caveat(data: Row) -> None:
    """A client that computed all the time is named; one that waited, or hardly ran, is not."""
    idle = {"seconds": 10.0, "cpu_s": 2.0, "sent": 100}
    brief = {**idle, "seconds": 1.0, "cpu_s": 1.0}
    data["provenance"]["sessions"] = [idle, brief]
    assert not any("saturated" in c.text for c in caveats(data))
    data["provenance"]["sessions"] = [idle, {**idle, "cpu_s": 9.7}]
    told = [c for c in caveats(data) if "saturated" in c.text]
    assert len(told) == 1
    assert told[0].serious
    assert "97\u00a0% of a core" in told[0].text


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d["run"].update(status="interrupted", planned=2000), "is interrupted"),
        (lambda d: d["provenance"].update(unverified=["vllm"]), "certificate of vllm was not"),
        (lambda d: d["run"].update(attempts_in_doubt=3), "3 attempts in doubt"),
        (lambda d: d["run"].update(damaged_journal_entries=2), "could not be read: 2"),
        (lambda d: d["settings"][0]["status"].update(error=5), "5 of 960 trials are errors"),
        (
            lambda d: d["settings"][0]["status"].update(truncated=96),
            "96 of 960 outputs (10\u00a0%)",
        ),
        (lambda d: d["settings"][0].update(unparsed={"n": 60, "share": 0.5}), "No answer could be"),
        (lambda d: d["settings"][0].update(response_models={"a": 1, "b": 2}), "served by 2 models"),
        (
            lambda d: d["settings"][0].update(unknown_finish_reasons={"weary": 3, "bored": 7}),
            "10 of 960 answers ended with a finish_reason that is not known here (“bored” and "
            "“weary”)",
        ),
        (
            lambda d: d["settings"][0].update(system_fingerprints={"a": 1, "b": 2}),
            "backend changed",
        ),
        (
            lambda d: d["run"].update(clusters=9, effective_clusters=2.3),
            "9 clusters, which tell as much as 2.3 of equal size: under 6 independent clusters",
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


def test_what_figures_leave_out_is_said(data: Row) -> None:
    """Prompts without enough repeats or a partner, and agreement that is no answer."""
    row = data["settings"][0]
    raw = row["agreement"]["raw"]
    words = ("fewer than two", "have all", "one side only", "refused alike", "empty alike")
    assert not any(word in caveat.text for caveat in caveats(data) for word in words)
    raw["prompts"] = row["prompts"] - 3
    raw["tar_prompts"][str(raw["n"])] = row["prompts"] - 5
    row["sensitivity"].update(equal_refusals=0.2, equal_empty=0.03)
    next(r for r in data["comparisons"] if r["metric"] == "score")["unmatched"] = {"a": 1, "b": 2}
    found = {word: c for c in caveats(data) for word in words if word in c.text}
    assert set(found) == set(words)
    assert f"3 of {row['prompts']} prompts" in found["fewer than two"].text
    assert f"only {row['prompts'] - 5} of" in found["have all"].text
    assert "3 prompts" in found["one side only"].text
    assert found["refused alike"].serious
    assert "20.0\u00a0%" in found["refused alike"].text
    assert not found["empty alike"].serious


def test_what_holds_of_several_settings_is_said_of_all(data: Row) -> None:
    """A caveat that names the worst setting counts the others."""
    first = data["settings"][0]["label"]
    for row in data["settings"][:3]:
        raw = row["agreement"]["raw"]
        raw["prompts"] = row["prompts"] - 3
        raw["tar_prompts"][str(raw["n"])] = row["prompts"] - 5
        row["sensitivity"].update(equal_refusals=0.2)
        row.update(unparsed={"n": 60, "share": 0.5}, system_fingerprints={"a": 1, "b": 2})
    scores = [row for row in data["comparisons"] if row["metric"] == "score"]
    for row in scores[:2]:
        row["unmatched"] = {"a": 1, "b": 2}
    told = "\n".join(caveat.text for caveat in caveats(data))
    where = f"Under {first} and 2 more settings"
    assert f"{where} up to 3 of " in told
    assert f"{where} as few as " in told
    assert f"{where} up to 20.0\u00a0% of the pairs" in told
    assert f"of the outputs ({first} and 2 more settings)" in told
    assert f"in one setting ({first} and 2 more settings)" in told
    assert " and 1 more comparison: up to 3 prompts with a score on one side only" in told


def test_a_parameter_keeps_its_name_at_the_beginning_of_a_sentence(data: Row) -> None:
    """`Top_p` is nothing that can be typed."""
    said = [f"{name} undetectable: too few" for name in ("top_p", "temperature")]
    effect = {"verdict": "undetectable", "evidence": {"n": 0}}
    data["effects"] = [{**effect, "parameter": text.split()[0], "sentence": text} for text in said]
    told = {caveat.text for caveat in caveats(data)}
    assert {"top_p undetectable: too few.", "Temperature undetectable: too few."} <= told


def test_an_ignored_seed_is_a_serious_caveat(data: Row) -> None:
    """A parameter without effect comes first."""
    effect = {"parameter": "seed", "verdict": "ignored", "evidence": {"n": 9}}
    data["effects"] = [{**effect, "sentence": "seed ignored: x"}]
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
