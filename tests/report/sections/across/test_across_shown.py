"""The agreement across settings in every output: console, Markdown, page, JSON, Python."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import evalharness
from evalharness.report.build_report import build_report
from evalharness.report.html_report import render_report
from evalharness.report.markdown import as_markdown
from evalharness.report.sections.across.section import ACROSS
from evalharness.report.sections.comparisons.across_tables import across_table
from evalharness.store.folder.run import Run
from tests.cli.typed_command import run
from tests.imported_run import write_run


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def two_providers(name: str, other: str, repeats: int = 3) -> None:
    """Each of two providers always repeats itself."""
    write_run(
        [
            {"prompt_id": f"p{p}", "repeat": k, "provider": provider, "model": "m", "temperature": 0,
             "text": f"{answer} {p}"}
            for p in range(12) for provider, answer in (("A", "answer"), ("B", other))
            for k in range(repeats)
        ],
        name,
    )  # fmt: skip


def words(text: str) -> str:
    return " ".join(text.replace("\u00a0", " ").split())


def compared(*arguments: str) -> tuple[str, list[dict[str, Any]]]:
    text, data = run("compare", *arguments), run("compare", *arguments, "--json")
    assert text.returncode == data.returncode == 0, text.stderr
    return words(text.stdout), json.loads(data.stdout)["agreement_across"]


def test_providers_that_never_agree_do_not_look_alike() -> None:
    two_providers("apart", "reply")
    text, rows = compared("apart", "--by", "provider")
    assert rows[0]["text"]["across"] == 0
    assert rows[0]["text"]["own_a"] == rows[0]["text"]["own_b"] == 1
    report = run("report", "apart")
    for shown in (
        text,
        words(report.stdout),
        words(as_markdown(build_report(Run.open("apart")).data)),
    ):
        assert "the same text in 0 %" in shown
        assert "100 % and 100 % within each" in shown
        assert "further apart than the repeats of each" in shown
        assert "no difference" not in shown.lower()


def test_equal_repeatability_does_not_read_as_equal_texts() -> None:
    two_providers("apart", "reply")
    report = build_report(Run.open("apart")).data
    for shown in (words(as_markdown(report)), words(render_report(report))):
        assert "same text within each side equal for each of 12 prompts" in shown
        assert "same text equal" not in shown


def test_providers_that_always_agree_say_so() -> None:
    two_providers("alike", "answer")
    text, rows = compared("alike", "--by", "provider")
    assert (rows[0]["text"]["across"], rows[0]["text"]["verdict"]) == (1, "equal")
    assert "every two outputs have the same text (12 prompts)" in text


def test_two_runs_are_compared() -> None:
    two_providers("monday", "answer")
    two_providers("tuesday", "reply")
    text, rows = compared("monday", "tuesday")
    found = {(row["b_run"], row["b_label"]): row["text"]["across"] for row in rows}
    assert found == {("monday", "provider=A"): 1, ("monday", "provider=B"): 0}
    assert "tuesday: provider=B and monday: provider=B: the same text in 0 %" in text


def test_one_repeat_says_what_is_missing() -> None:
    two_providers("once", "reply", repeats=1)
    text, rows = compared("once", "--by", "provider")
    assert rows[0]["text"]["verdict"] == "not tested"
    assert "whether each repeats itself is not known" in text


def test_the_page_has_a_heat_map_of_settings_by_settings() -> None:
    two_providers("apart", "reply")
    report = build_report(Run.open("apart"))
    page = render_report(report.data)
    assert 'id="across"' in page
    assert "Same text across settings" in page
    assert "further apart than the repeats of each" in words(page)


def test_one_setting_has_nothing_to_agree_with() -> None:
    write_run([{"prompt_id": "p", "text": "x"}])
    report = build_report(Run.open("r"))
    assert report.data[ACROSS] == []
    assert "Agreement across" not in render_report(report.data)


def test_python_has_the_pairs_and_their_prompts() -> None:
    two_providers("apart", "reply")
    pairs = evalharness.load("apart").across()
    assert pairs[["a_label", "b_label", "of", "across", "verdict"]].to_numpy().tolist() == [
        ["provider=A", "provider=B", "text", 0.0, "apart"]
    ]
    prompts = evalharness.load("apart").across(by_prompt=True)
    assert prompts["across"].tolist() == [0.0] * 12
    assert prompts["own_a"].tolist() == [1.0] * 12
    two_providers("alike", "answer")
    several = evalharness.load(["apart", "alike"]).across()
    assert len(several) == 6
    assert several.query("a_run != b_run and a_label == b_label")["across"].tolist() == [1.0, 0.0]


def asked(name: str, prefix: str, reply: str, repeats: int = 2) -> None:
    """A run of one setting, whose prompts have ids of its own."""
    write_run(
        [
            {"prompt_id": f"{prefix}{p}", "prompt": f"{p}?", "repeat": k, "text": f"{reply} {p}"}
            for p in range(8) for k in range(repeats)
        ],
        name,
    )  # fmt: skip


def test_prompts_with_other_ids_are_matched_by_what_they_ask() -> None:
    asked("monday", "p", "answer")
    asked("tuesday", "renamed-", "answer")
    text, (row,) = compared("monday", "tuesday")
    assert (row["text"]["across"], row["text"]["prompts"]) == (1, 8)
    assert "0 by id, 8 by content" in text
    runs = evalharness.load(["monday", "tuesday"])
    assert runs.across()["across"].tolist() == [1.0]
    assert runs.across(by_prompt=True)["across"].tolist() == [1.0] * 8


def test_a_baseline_may_be_given_as_a_path() -> None:
    asked("monday", "p", "answer")
    asked("tuesday", "p", "reply")
    _, (row,) = compared("monday", "tuesday", "--baseline", "results/tuesday")
    assert (row["b_run"], row["text"]["across"]) == ("tuesday", 0)


def test_the_page_about_runs_says_that_outputs_differ(folder: Path) -> None:
    asked("monday", "p", "answer")
    asked("tuesday", "p", "reply")
    text = run("compare", "monday", "tuesday", "--html", "page.html").stdout
    page = (folder / "page.html").read_text("utf-8")
    for shown in (words(text), words(page)):
        assert "the same text in 0 %" in shown
        assert "the outputs differ, by more than the repeats of a setting do" in shown
        assert "no difference" not in shown.lower()
        assert "nothing" not in shown.lower()


def test_without_repeats_nothing_is_said_of_them() -> None:
    asked("monday", "p", "answer", repeats=1)
    asked("tuesday", "p", "reply", repeats=1)
    text, _ = compared("monday", "tuesday")
    assert "the outputs differ, and whether by more than repeats would needs repeats=2" in text


def temperatures(name: str, *texts: str) -> None:
    """A run of one setting a text; each repeats itself."""
    write_run(
        [
            {"prompt_id": f"p{p}", "repeat": k, "model": "m", "temperature": t / 100,
             "text": f"{text} {p}"}
            for t, text in enumerate(texts) for p in range(6) for k in range(2)
        ],
        name,
    )  # fmt: skip


def every_output(name: str) -> list[str]:
    """The report on a terminal, in Markdown and as a page."""
    report = build_report(Run.open(name)).data
    console = run("report", name)
    assert console.returncode == 0, console.stderr
    return [words(console.stdout), words(as_markdown(report)), words(render_report(report))]


def test_settings_that_were_not_compared_are_not_called_alike() -> None:
    temperatures("many", *["answer"] * 24, "reply", "reply")
    console, markdown, page = every_output("many")
    for shown in (console, page):
        assert "No difference was detected" not in shown
        assert "The outputs of the first 24 of 26 settings are equal" in shown
        assert "those of the others were not compared" in shown
    for shown in (console, markdown, page):
        assert "276 pairs of the first 24 of 26 settings: 276 give equal texts throughout" in shown


def test_outputs_that_differ_among_the_first_settings_are_of_these() -> None:
    temperatures("many", *["answer"] * 12, *["reply"] * 14)
    console = every_output("many")[0]
    assert "the outputs of the first 24 of 26 settings differ, by more than" in console


def test_settings_that_are_all_compared_name_no_cut() -> None:
    temperatures("few", *["answer"] * 4)
    console = every_output("few")[0]
    assert "No difference was detected; that does not mean equal." in console
    assert "6 pairs of settings: 6 give equal texts throughout." in console
    assert "the first" not in console


def test_every_pair_is_counted_in_the_summary() -> None:
    write_run(
        [
            {"prompt_id": f"p{p}", "provider": provider, "model": "m", "temperature": 0,
             "text": f"{min('C', provider)} {p}"}
            for p in range(12) for provider in "ABCD"
        ],
        "four",
    )  # fmt: skip
    for shown in every_output("four"):
        assert (
            "6 pairs of settings: 5 give texts that differ, and have no repeats to test it, "
            "1 gives equal texts throughout."
        ) in shown
        assert "that needs repeats=2 or more" in shown


def test_noise_is_not_said_to_be_like_that_of_repeats() -> None:
    write_run(
        [
            {"prompt_id": f"p{p}", "repeat": k, "provider": provider, "model": "m",
             "temperature": 0, "text": f"{(p + k + (provider == 'B')) % 2}"}
            for p in range(12) for provider in "AB" for k in range(4)
        ],
        "noisy",
    )  # fmt: skip
    console, _, page = every_output("noisy")
    for shown in (console, page):
        assert (
            "the outputs differ, though not detectably more than the repeats of a setting do"
        ) in shown
    write_run(
        [
            {"prompt_id": f"p{p}", "repeat": k, "provider": provider, "model": "m",
             "temperature": 0, "text": f"{(p + k + (provider == 'B')) % 2}"}
            for p in range(12) for provider in "ABCD" for k in range(4)
        ],
        "four",
    )  # fmt: skip
    assert (
        "6 pairs of settings: 6 give texts that differ, but not detectably more than the repeats "
        "of each."
    ) in every_output("four")[0]


def test_a_share_below_one_is_not_shown_as_all() -> None:
    write_run(
        [
            {"prompt_id": f"p{p}", "repeat": k, "provider": provider, "model": "m",
             "temperature": 0, "text": "no" if (p, k, provider) == (0, 0, "B") else "yes"}
            for p in range(300) for provider in "AB" for k in range(2)
        ],
        "near",
    )  # fmt: skip
    for shown in every_output("near"):
        assert "the same text in 99.8 % " in shown.replace("\\", "")
        assert "100 % and 99.7 % within each" in shown
    table = across_table(build_report(Run.open("near")).data[ACROSS])
    (row,) = ([words(text) for text in row] for row in table.rows)
    assert row[1].startswith("99.8 % [")
    assert not row[1].endswith("100]")
    assert row[2:4] == ["100 %", "99.7 %"]


def with_answers(*answers: tuple[str | None, str | None]) -> None:
    """A run of two settings with equal texts and, of each prompt, these answers of both."""
    write_run(
        [
            {"prompt_id": f"p{p}", "repeat": k, "provider": provider, "model": "m",
             "temperature": 0, "text": f"text {p}", "answer": pair[provider == "B"]}
            for p, pair in enumerate(answers) for provider in "AB" for k in range(2)
        ],
        "r",
    )  # fmt: skip


def test_answers_that_were_not_parsed_are_not_said_to_differ() -> None:
    with_answers(*[(None, None)] * 8)
    text, (row,) = compared("r", "--by", "provider")
    for shown in (text, *every_output("r")):
        assert "the same text (8 prompts); no answer was parsed in either (8 prompts)" in shown
        assert "answers differ" not in shown
    answer = row["answer"]
    assert (answer["parsed_a"], answer["parsed_b"], answer["verdict"]) == (0, 0, "unknown")
    table = across_table(build_report(Run.open("r")).data[ACROSS])
    assert not any("answer" in heading for heading in table.headings)


def test_answers_that_were_partly_parsed_say_so() -> None:
    with_answers(*[("1", "1")] * 6, *[(None, None)] * 2)
    text, (row,) = compared("r", "--by", "provider")
    assert (row["answer"]["parsed_a"], row["text"]["parsed_b"]) == (0.75, 1)
    assert "75 % and 75 % of the answers were parsed and an unparsed one equals none" in text
    assert "the answers differ" not in text
