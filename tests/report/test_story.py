"""The answers in plain sentences: no claim that the data do not carry."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest

from evalharness.report.build.report_data import Built
from evalharness.report.caveats import caveats
from evalharness.report.html.view import view_of
from evalharness.report.markdown import as_markdown, escaped
from evalharness.report.words.answers import answers, listing
from evalharness.report.words.differences import differences, in_words, is_real
from evalharness.report.words.summary_text import tell
from evalharness.report.words.verdicts import together
from tests.report import runs

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
    assert "than 6 other settings" in answer.text


def test_one_loser_among_many_makes_no_winners(data: Row) -> None:
    """Where a single setting of eight is worse, the other seven are not called the best."""
    found = data["leaders"]["score"]
    last = found["others"][-1]["setting_id"]
    found["group"] = [found["setting_id"]] + [
        row["setting_id"] for row in found["others"] if row["setting_id"] != last
    ]
    answer = by_question(data)["Best score"]
    loser = next(r["label"] for r in data["settings"] if r["setting_id"] == last)
    assert (answer.settled, answer.who) == (False, "Not settled")
    assert f"of 7 others only {loser} is detectably worse" in answer.text


def test_what_cannot_be_told_from_the_first_is_named_beside_the_beaten(data: Row) -> None:
    """Settings that share the figure, that cannot be told from it, and that are worse add up."""
    found = data["leaders"]["agreement"]
    near = found["others"][-1]["setting_id"]
    found["group"].append(near)
    text = by_question(data)["Most repeatable"].text
    label = next(r["label"] for r in data["settings"] if r["setting_id"] == near)
    assert f"not detectably different from {label}" in text
    assert "than 5 other settings" in text


def test_the_fastest_has_its_interval(data: Row) -> None:
    """The mean latency stands with its interval over prompts, in the same unit."""
    found = data["leaders"]["latency_s"]
    drawn = next(d for d in data["distributions"] if d["setting_id"] == found["setting_id"])
    low, high = drawn["means"]["latency_s"]["ci95"]
    figure = by_question(data)["Fastest"].figure
    assert f"[{low:#.3g},\u00a0{high:#.3g}]" in figure


def test_nothing_is_free_that_was_billed(data: Row) -> None:
    """A price table that says 0 does not hide the provider's bill; one caveat says it for all."""
    for row in data["settings"]:
        row["cost_usd"].update(total=0.0, per_1k_requests=0.0, billed_total=0.5)
        data["prices"]["settings"][row["setting_id"]] = {
            "computed_minus_billed_usd": -0.5, "billed_total_usd": 0.5,
        }  # fmt: skip
    found = data["leaders"]["cost_usd"]
    found["value"] = 0.0
    for row in found["others"]:
        row["value"] = 0.0
    story = tell(data)
    assert "billed $4.00" in next(a.text for a in story.answers if a.question == "Cheapest")
    assert "$4.00 billed" in dict(story.facts)["Cost"]
    told = [c.text for c in story.caveats if "billed" in c.text]
    assert told == [
        "The provider billed $4.00 where the price table comes to $0 in 8 of 8 settings: check "
        "the table."
    ]


def test_a_single_setting_is_described_not_ranked(tmp_path: Path) -> None:
    """One setting is not the best of one: the four figures stand for themselves."""
    found = {a.question: a for a in answers(runs.sweep(tmp_path, 20, 1).data)}
    assert list(found) == ["Same text again", "Score", "Latency", "Cost"]
    assert found["Score"].who.startswith(tuple("0123456789"))
    assert "setting" not in " ".join(a.text for a in found.values())


def test_a_run_of_nothing_but_errors_says_so(data: Row) -> None:
    """No setting is cheapest for having failed; the repeats that were asked for are counted."""
    for row in data["settings"]:
        row["availability"] = 0.0
        row["agreement"]["raw"].update(n=None, pairwise=None)
    story = tell(data)
    assert {a.who for a in story.answers} == {"Not known"}
    assert all("ended in an error" in a.text for a in story.answers)
    assert dict(story.facts)["Size"].endswith("× 3 repeats")
    told = " ".join(c.text for c in story.caveats)
    assert "No prompt has two usable repeats" in told
    assert "One repeat a prompt" not in told


def test_a_saturated_client_is_a_serious_caveat(data: Row) -> None:
    """A client that computed all the time is named; one that waited, or hardly ran, is not."""
    idle = {"seconds": 10.0, "cpu_s": 2.0, "sent": 100}
    brief = {"seconds": 1.0, "cpu_s": 1.0, "sent": 100}
    data["provenance"]["sessions"] = [idle, brief]
    assert not any("saturated" in c.text for c in caveats(data))
    data["provenance"]["sessions"] = [idle, {**idle, "cpu_s": 9.7}]
    told = [c for c in caveats(data) if "saturated" in c.text]
    assert len(told) == 1
    assert told[0].serious
    assert "97\u00a0% of a core" in told[0].text


def test_figures_side_by_side_share_a_unit(data: Row) -> None:
    """A difference of 2 ms within ±0.5 s is told in seconds; one of 2 ms within ±3 ms in ms."""
    row = next(r for r in data["comparisons"] if r["metric"] == "latency_s" and r["pooled"])
    row.update(difference=0.002, ci95=[-0.5, 0.504], mde=0.6, p_adjusted=0.9, p=0.9)
    assert "+0.002\u00a0s [−0.5,\u00a0+0.504]; under 0.6\u00a0s" in in_words(row)
    row.update(ci95=[-0.001, 0.005], mde=0.004)
    assert "+2\u00a0ms [−1,\u00a0+5]; under 4\u00a0ms" in in_words(row)


def test_a_figure_that_no_prompt_changes_is_equal_not_zero(data: Row) -> None:
    """Where all prompts are tied the sentence says equal, with the interval that leaves open."""
    row = next(r for r in data["comparisons"] if r["metric"] == "score" and r["pooled"])
    row.update(difference=0.0, wins=0, losses=0, ci95=[-0.06, 0.06], p_adjusted=1.0, p=1.0)
    assert f"score equal for each of {row['n']} prompts [−6.0,\u00a0+6.0]" in in_words(row)
    row["metric"] = "completion_tokens"
    assert differences([row]) == ([], [])


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
    same = [r for r in data["comparisons"] if r["metric"] == "cost_usd" and not r["difference"]]
    assert same, "seeds cost the same, which is not news"
    pooled = [row for row in data["comparisons"] if row["pooled"] and row not in same]
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
        (
            lambda d: [r.update(wins=3, losses=1, ties=36) for r in d["comparisons"][:2]],
            "2 intervals of differences rest on few prompts that differ at all (down to 4)",
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


def test_real_trends_are_told_and_no_others(data: Row) -> None:
    """A slope is a sentence with its interval where its adjusted p is below .05."""
    assert {row["by"] for row in data["trends"]} <= {row["by"] for row in data["comparisons"]}
    one = {"metric": "score", "by": "temperature", "stratum": {"seed": None}, "slope": -0.388,
           "ci95": [-0.668, -0.109], "p": 0.02, "sentence": "x"}  # fmt: skip
    data["trends"] = [{**one, "p_adjusted": 0.031}, {**one, "p_adjusted": 0.2}]
    (text,) = tell(data).slopes
    assert text == (
        "Per unit of temperature at seed not sent: score 38.8\u00a0pp lower [−66.8,\u00a0−10.9]"
    )
    assert text.split("[")[0] in as_markdown(data)


@pytest.mark.parametrize(
    ("metric", "slope", "ci95", "expected"),
    [
        ("cost_usd", 1.82e-5, [6.62e-6, 2.98e-5],
         "a request costs $0.0000182 more [+0.00000662,\u00a0+0.0000298]"),
        ("latency_s", -0.0052, [-0.0278, -0.0013], "answers take 5.2\u00a0ms less [−27.8,\u00a0−1.3]"),
        ("agreement", -1.5, [-2.1, -1.2], "the same text 150.0\u00a0pp less often [−210,\u00a0−120]"),
    ],
)  # fmt: skip
def test_a_slope_and_its_interval_share_a_unit_people_read(
    data: Row, metric: str, slope: float, ci95: list[float], expected: str
) -> None:
    """No power of ten, no seconds beside milliseconds, and a slope of shares has no bounds."""
    data["trends"] = [{"metric": metric, "by": "top_p", "stratum": {}, "slope": slope,
                       "ci95": ci95, "p": 0.01, "p_adjusted": 0.01, "n": 9}]  # fmt: skip
    assert tell(data).slopes == [f"Per unit of top_p: {expected}"]
    (row,) = view_of(data)[0].trends
    assert row["interval"] == expected.partition(" [")[1].strip() + expected.partition(" [")[2]


def test_a_parameter_keeps_its_name_at_the_beginning_of_a_sentence(data: Row) -> None:
    """`Top_p` is nothing that can be typed."""
    said = [f"{name} undetectable: too few" for name in ("top_p", "temperature")]
    data["effects"] = [
        {"parameter": text.split()[0], "verdict": "undetectable", "sentence": text} for text in said
    ]
    told = {caveat.text for caveat in caveats(data)}
    assert {"top_p undetectable: too few.", "Temperature undetectable: too few."} <= told


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


def _row(**more: Any) -> Row:
    """A comparison of agreement, seed none against 7."""
    return {
        "metric": "agreement", "by": "seed", "a_value": None, "b_value": 7, "pooled": False,
        "stratum": {}, "n": 12, "difference": 0.0, "ci95": [-0.24, 0.24], "mde": None, "p": 1.0,
        "p_adjusted": 1.0, "family": 1, "wins": 0, "losses": 12, "ties": 0,
        "a_settings": ["a", "b", "c", "d"], **more,
    }  # fmt: skip


def _strata(hot: float, ends: list[float]) -> list[Row]:
    return [
        _row(stratum={"temperature": t, "top_p": p}, difference=hot if t else 0.0,
             ci95=ends if t else [-0.24, 0.24])
        for t in (0.0, 1.0) for p in (0.5, 1.0)
    ]  # fmt: skip


def test_a_mean_over_strata_that_disagree_names_them() -> None:
    """An effect at one temperature alone is not told as half an effect everywhere."""
    pooled = _row(pooled=True, difference=-0.5, ci95=None, p=0.001, p_adjusted=0.001)
    real, _ = differences([pooled, *_strata(-1.0, [-1.0, -0.75])])
    (told,) = [d.text for d in real]
    assert "0.0\u00a0pp (temperature 0), −100.0\u00a0pp (temperature 1)" in told
    assert "alike for every prompt" not in told
    pooled = _row(pooled=True, difference=-0.05, ci95=[-0.1, -0.01], p_adjusted=0.01)
    real, _ = differences([pooled, *_strata(-0.1, [-0.3, 0.1])])
    assert "not alike" not in real[0].text


def test_one_finding_at_temperature_0_is_told_once() -> None:
    """Settings of which the same is true share a sentence that names them; others keep theirs."""

    def effect(label: str, text: str) -> Row:
        return {"parameter": "temperature=0", "verdict": "no divergence seen",
                "evidence": {"label": label}, "sentence": f"temperature 0 ({label}): {text}"}  # fmt: skip

    other = {"parameter": "model", "verdict": "as asked", "evidence": {}, "sentence": "model"}
    found = together([effect("a", "none"), effect("b", "none"), effect("c", "one"), other])
    assert [one["sentence"] for one in found] == [
        "temperature 0 (2 settings: a and b): none", "temperature 0 (c): one", "model",
    ]  # fmt: skip


def test_a_run_that_goes_on_is_not_said_to_lack_repeats(data: Row) -> None:
    """Repeats that are planned and not yet recorded: finish the run, do not ask for more."""
    for row in data["settings"]:
        row["agreement"]["raw"].update(pairwise=None, n=0)
        row["trials"] = data["run"]["prompts"]
    data["leaders"]["agreement"] = None
    run = data["run"]
    run["planned"] = 3 * run["prompts"] * run["settings"]
    run["records"] = run["prompts"] * run["settings"]
    assert "finish the run" in by_question(data)["Most repeatable"].text
    texts = " ".join(caveat.text for caveat in caveats(data))
    assert "finish the run" in texts
    assert "use repeats=3" not in texts


def test_markdown_has_the_load_points(data: Row) -> None:
    """What a benchmark measured stands in a summary too."""
    point = {
        "label": "poisson 10/s", "valid": False, "invalid": ["late"], "state": "done",
        "requested_rate": 10.0, "achieved_rate": 9.5, "throughput_per_s": 9.4,
        "output_tokens_per_s": 170.0, "concurrency": {"mean": 0.7, "asked": None},
        "goodput": None, "schedule_delay_s": {"p99": 0.0774, "max": 0.1},
        "requests": {"failed": 1, "sent": 200, "retries": 0}, "errors": [],
        "tpot_s": {"p50": 0.002, "p95": 0.003},
        "latency_s": {o: {"n": 199, "p50": 0.07, "p95": 0.1, "p99": 0.4} for o in ("sent", "scheduled")},
        "ttft_s": {o: {"n": 199, "p50": 0.03, "p95": 0.05, "p99": None} for o in ("sent", "scheduled")},
    }  # fmt: skip
    data["load"] = {"points": [point], "searches": [], "unfinished_measurements": 0}
    text = as_markdown(data)
    assert "| poisson 10/s INVALID | 10 | 9.5 | 9.4 |" in text
    assert "| poisson 10/s | sent | 199 | 0.03/0.05/— |" in text
