"""The answers in plain sentences: no claim that the data do not carry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from evalharness.report.sections.headline.answers import headline_answers
from evalharness.report.sections.headline.caveats import caveats
from evalharness.report.words.names import join_names
from tests.report import runs
from tests.report.json_reports import report_of

Row = dict[str, Any]


def by_question(data: Row) -> Row:
    """Answers by their question."""
    return {answer.question: answer for answer in headline_answers(report_of(data))}


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


def test_a_single_setting_is_described_not_ranked(tmp_path: Path) -> None:
    """One setting is not the best of one: the four figures stand for themselves."""
    found = {a.question: a for a in headline_answers(runs.sweep(tmp_path, 20, 1).data)}
    assert list(found) == ["Same text again", "Score", "Latency", "Cost"]
    assert found["Score"].who.startswith(tuple("0123456789"))
    assert "setting" not in " ".join(a.text for a in found.values())


def test_size_is_no_reason_where_prompts_are_not_shared(data: Row) -> None:
    """Settings that share too few prompts with the leader are not undetected "at this size"."""
    found = data["leaders"]["score"]
    found["group"] = [found["setting_id"], *(row["setting_id"] for row in found["others"])]
    assert by_question(data)["Best score"].text.endswith("detectably worse at this size.")
    found["others"][0].update(n=0, p=None, p_adjusted=None, difference=None, ci95=None)
    found["others"][1].update(n=5)
    assert by_question(data)["Best score"].text.endswith(
        "detectably worse at this size; 2 settings share too few prompts with it to be compared."
    )
    for row in found["others"]:
        row.update(n=0, p=None, p_adjusted=None, difference=None, ci95=None)
    text = by_question(data)["Best score"].text
    assert text.endswith("but the other settings share too few prompts with it to be compared.")


def test_a_winner_is_not_told_apart_from_what_shares_no_prompt(data: Row) -> None:
    """Nor is a setting that cannot be compared said to be like the winner."""
    found = data["leaders"]["score"]
    apart = found["others"][0]
    apart.update(n=0, p=None, p_adjusted=None, difference=None, ci95=None)
    found["group"] = [found["setting_id"], apart["setting_id"]]
    answer = by_question(data)["Best score"]
    assert answer.settled
    assert "not detectably different" not in answer.text
    assert "; 1 setting shares too few prompts with it to be compared" in answer.text


def test_scored_prompts_have_a_target_only_where_they_do(data: Row) -> None:
    """Some scorers need no target: then prompts are scored, and not more is said."""
    found = data["leaders"]["score"]
    found["group"] = found["group"][:1]
    leader = next(r for r in data["settings"] if r["setting_id"] == found["setting_id"])
    prompts, run = leader["score"]["prompts"], data["run"]
    run["prompts_with_target"] = run["prompts"]
    text = by_question(data)["Best score"].text
    assert text.startswith(f"Mean score over {prompts} prompts with a target")
    run["prompts_with_target"] = 0
    text = by_question(data)["Best score"].text
    assert text.startswith(f"Mean score over {prompts} scored prompts")


def test_what_is_unknown_is_said_to_be_unknown(data: Row) -> None:
    """Without scores, prices or repeats the answer says why there is none."""
    for metric in data["leaders"]:
        data["leaders"][metric] = None
    for row in data["settings"]:
        row["score"]["mean"] = row["cost_usd"]["per_1k_requests"] = None
        row["agreement"]["raw"]["pairwise"] = row["latency_s"]["mean"] = None
    for answer in headline_answers(report_of(data)):
        assert not answer.settled
        assert answer.figure == "—"
        assert answer.text


def test_listing_counts_what_it_does_not_name() -> None:
    """No name is dropped silently."""
    assert join_names(["a"], 3) == "a"
    assert join_names(["a", "b", "c"], 3) == "a, b and c"
    assert join_names(["a", "b", "c", "d", "e"], 3) == "a, b, c and 2 more"
    assert join_names(["a=1, b=2", "c"], 3) == "a=1, b=2; c"


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
    texts = " ".join(caveat.text for caveat in caveats(report_of(data)))
    assert "finish the run" in texts
    assert "use repeats=3" not in texts


def test_figures_that_differ_by_rounding_share_the_first_place(data: Row) -> None:
    """A last digit that is the rounding of thirds puts no setting before another."""
    found = data["leaders"]["score"]
    for row in found["others"]:
        row["value"] = found["value"] * (1 - 2**-52)
    found["group"] = [found["setting_id"], *(row["setting_id"] for row in found["others"])]
    assert by_question(data)["Best score"].who == "All alike"
