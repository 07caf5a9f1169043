"""``evalharness check --baseline``: what is worse than before, by interval, and which prompts."""

from __future__ import annotations

import random
import re
from importlib import import_module
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from evalharness.cli import main
from evalharness.cli.check.summary import check_markdown
from evalharness.cli.check.verdicts import CheckVerdict
from tests.imported_run import Rows, write_run

pytestmark = pytest.mark.usefixtures("work")

Said = pytest.CaptureFixture[str]
PLANTED = ("p07", "p21", "p40")


def _rows(*, failing: tuple[str, ...] = (), factor: float = 1.0, **more: object) -> Rows:
    """60 prompts × 5 repeats, all right but of ``failing``; latency and cost vary by prompt."""
    noise = random.Random(f"{failing}{factor}")
    return [
        {"prompt_id": f"p{p:02}", "text": "yes", "answer": "yes",
         "score": 0.0 if f"p{p:02}" in failing else 1.0, "tags": ["hard" if p < 20 else "easy"],
         "latency_s": factor * (1 + p % 7 / 10) * noise.uniform(0.97, 1.03),
         "cost_usd": factor * 0.001 * (1 + p % 5 / 10) * noise.uniform(0.99, 1.01), **more}
        for p in range(60) for _ in range(5)
    ]  # fmt: skip


def _check(said: Said, *arguments: str) -> tuple[int, list[str], str]:
    said.readouterr()
    code = main(["check", "today", "--baseline", "yesterday", *arguments])
    out, err = said.readouterr()
    return code, out.splitlines(), err


def test_a_planted_regression_is_found_and_its_prompts_are_named(capsys: Said, work: Path) -> None:
    """3 of 60 prompts fail now: console, JUnit and Markdown name these three and no others."""
    write_run(_rows(), "yesterday")
    write_run(_rows(failing=PLANTED), "today")
    gates = ("--max-regression", "score=2pp", "--max-new-failures", "0", "--min-prompt-pass", "0.8")
    code, lines, err = _check(capsys, *gates, "--junit", "j.xml", "--markdown", "s.md")
    assert code == 1
    assert "60 prompts in common with yesterday" in err
    passing, change, anew = lines
    assert change.startswith("ok   ")
    assert "mean score 1 → 0.95 (-5 pp, 95 % interval" in change
    assert "may fall by 2 pp: not shown to be worse" in change
    assert "prompts that pass at least 80 % of their repeats 57 of 60, needed all" in passing
    assert "3 of 60 prompts, needed ≤ 0" in anew
    for line in lines:
        assert tuple(re.findall(r"p\d\d", line)) == PLANTED, line
    etree: Any = import_module("lxml.etree")
    schema = etree.XMLSchema(file=str(Path(__file__).parents[1] / "junit.xsd"))
    schema.assertValid(etree.parse(str(work / "j.xml")))
    failures = [f.text or "" for f in ET.parse(work / "j.xml").getroot().iter("failure")]
    assert len(failures) == 2
    assert all(p in text for text in failures for p in PLANTED)
    summary = (work / "s.md").read_text()
    assert summary.startswith("### today: 2 of 3 checks fail")
    assert all(f"- {p} (5 of 5 → 0 of 5)" in summary for p in PLANTED)


def test_a_summary_of_html_shows_names_as_they_are() -> None:
    """Within HTML no Markdown is read: a backslash before an underscore would be shown."""
    verdict = CheckVerdict("top_p=<1>", "score", False, "0", ("p_1",), "failing")
    page = check_markdown("r", [verdict], None, None)
    assert "<summary>top_p=&lt;1&gt;: score: failing</summary>" in page
    assert "- p\\_1\n" in page
    assert "| ❌ | top\\_p=&lt;1&gt;: score 0; failing: p\\_1 |" in page


def test_each_end_of_the_interval_has_its_gate(capsys: Said) -> None:
    """A loss of 10 of 60 prompts: shown to be worse than 2pp; within 30pp it is shown not to be."""
    write_run(_rows(), "yesterday")
    write_run(_rows(failing=tuple(f"p{p:02}" for p in range(10))), "today")
    code, lines, _ = _check(capsys, "--max-regression", "score=2pp")
    assert (code, "shown to be worse" in lines[0]) == (1, True)
    for allowed, default, confident in (("10pp", 0, 1), ("30pp", 0, 0), ("10%", 0, 1)):
        assert _check(capsys, "--max-regression", f"score={allowed}")[0] == default
        assert _check(capsys, "--max-regression", f"score={allowed}", "--confident")[0] == confident
    _, lines, _ = _check(capsys, "--max-regression", "score=10pp", "--confident")
    assert lines[0].startswith("FAIL")
    assert "not shown not to be worse" in lines[0]


def test_a_better_run_is_no_regression(capsys: Said) -> None:
    """More right answers, less money and time: everything holds, also with --confident."""
    write_run(_rows(failing=PLANTED), "yesterday")
    write_run(_rows(factor=0.8), "today")
    gates = ("--max-regression", "score=10pp", "--max-increase", "cost=0%", "latency=0%")
    assert _check(capsys, *gates, "--confident")[0] == 0


@pytest.mark.parametrize("metric", ["cost", "latency", "latency_p50", "latency_p95"])
def test_an_increase_of_a_fifth_fails_a_tenth_and_holds_within_a_third(
    capsys: Said, metric: str
) -> None:
    """All amounts are 1.2 × those of the baseline, up to noise: the ratio is shown with its ends."""
    write_run(_rows(), "yesterday")
    write_run(_rows(factor=1.2), "today")
    code, lines, _ = _check(capsys, "--max-increase", f"{metric}=10%")
    assert code == 1, lines
    low, high = re.search(r"interval \+([\d.]+) to \+([\d.]+) %", lines[0]).groups()  # type: ignore[union-attr]
    assert 10 < float(low) < 20 < float(high) < 33, lines
    assert _check(capsys, "--max-increase", f"{metric}=33%", "--confident")[0] == 0
    assert _check(capsys, "--max-increase", f"{metric}=19.9%", "--confident")[0] == 1


def test_scoring_may_follow_the_words_of_a_flag(capsys: Said) -> None:
    """Both runs are scored anew, and by the same scorer."""
    for name in ("yesterday", "today"):
        write_run([{"prompt_id": f"p{p}", "text": "a 4", "target": "4"} for p in range(20)], name)
    code, lines, _ = _check(capsys, "--max-regression", "score=2pp", "scoring=numeric")
    assert code == 0
    assert "mean score 1 → 1 (+0 pp" in lines[0]


def test_few_prompts_have_no_interval_and_the_figure_decides(capsys: Said) -> None:
    """Without an interval a gate can still fail; --confident proves nothing from it."""
    few = 5 * 5
    write_run(_rows()[:few], "yesterday")
    write_run(_rows(failing=("p01",))[:few], "today")
    code, lines, _ = _check(capsys, "--max-regression", "score=2pp")
    assert (code, "so the figure decides" in lines[0]) == (1, True)
    assert _check(capsys, "--max-regression", "score=20pp")[0] == 0
    assert _check(capsys, "--max-regression", "score=20pp", "--confident")[0] == 1


def test_new_errors_are_counted_by_prompt_and_named_with_their_kind(capsys: Said) -> None:
    """An error that was there before is none; one of a prompt that is new counts."""
    error: dict[str, object] = {"status": "error", "text": None, "error_kind": "timeout"}
    old: Rows = [{"prompt_id": f"p{p}", "text": "a"} for p in range(6)]
    old[0] = {"prompt_id": "p0", **error}
    new: Rows = [{"prompt_id": f"p{p}", "text": "a"} for p in range(7)]
    new[0], new[1], new[6] = ({"prompt_id": f"p{p}", **error} for p in (0, 1, 6))
    write_run(old, "yesterday")
    write_run(new, "today")
    code, lines, err = _check(capsys, "--max-new-errors", "0")
    assert code == 1
    assert "6 prompts in common with yesterday; 1 only in today" in err
    assert lines[0].endswith(
        "2, needed ≤ 0; with a new error: p1 (timeout), p6 (timeout; not in the baseline)"
    )
    assert _check(capsys, "--max-new-errors", "2")[0] == 0


def test_gates_hold_for_a_tag_or_a_setting(capsys: Said) -> None:
    """The three failing prompts are of one tag: the gates of the other hold."""
    write_run(_rows(), "yesterday")
    write_run(_rows(failing=("p01", "p02", "p03")), "today")
    gates = ("--min-prompt-pass", "1", "--max-new-failures", "0", "--min-score", "0.99")
    assert _check(capsys, *gates, "--tag", "easy")[0] == 0
    code, lines, _ = _check(capsys, *gates, "--tag", "hard", "--tag", "easy")
    assert code == 1
    assert [line[:4] for line in lines] == ["FAIL"] * 3 + ["ok  "] * 3
    assert "tag hard: mean score 0.85" in lines[0]
    assert "3 of 20 prompts" in lines[2]
    assert main(["check", "today", "--min-score", "0", "--tag", "hart"]) == 2
    assert "did you mean hard?" in capsys.readouterr().err


def test_a_setting_that_the_baseline_lacks_does_not_hold(capsys: Said) -> None:
    """What cannot be compared is said to be unknown; --setting leaves it out."""
    write_run(_rows(temperature=0), "yesterday")
    write_run([*_rows(temperature=0), *_rows(temperature=1)], "today")
    code, lines, _ = _check(capsys, "--max-regression", "score=2pp")
    assert code == 1
    assert lines[1] == "FAIL T=1: mean score unknown: the baseline has no such setting"
    assert _check(capsys, "--max-regression", "score=2pp", "--setting", "T=0")[0] == 0


def test_an_incomplete_baseline_is_refused(capsys: Said, work: Path) -> None:
    """Half a run is no measure, unless it is asked for."""
    write_run(_rows(), "yesterday")
    write_run(_rows(), "today")
    manifest = work / "results/yesterday/run.json"
    manifest.write_text(manifest.read_text().replace('"imported"', '"interrupted"'))
    code, lines, err = _check(capsys, "--max-regression", "score=2pp")
    assert (code, lines) == (2, [])
    assert "--baseline yesterday: it is interrupted, with 300" in err
    assert "--allow-incomplete" in err
    gates = ("--max-regression", "score=2pp", "--allow-incomplete", "--markdown", "s.md")
    code, _, err = _check(capsys, *gates)
    assert code == 0
    said = "; the baseline is interrupted, with 300 recorded"
    assert err.splitlines()[0].endswith(said)
    assert said in (work / "s.md").read_text()


def test_a_run_behind_a_flag_of_several_words_is_told_its_place(capsys: Said) -> None:
    """The flag takes the run as one of its words."""
    assert main(["check", "--baseline", "y", "--max-regression", "score=2pp", "today"]) == 2
    assert "RUN goes before --max-regression" in capsys.readouterr().err
    assert main(["check", "--baseline", "y"]) == 2
    assert "evalharness check --help" in capsys.readouterr().err


def test_runs_with_other_scorers_are_said_first(capsys: Said, work: Path) -> None:
    """Their scores are not compared; what needs no score still is."""
    for name, scorer in (("yesterday", "includes"), ("today", "exact")):
        rows: Rows = [
            {"prompt_id": f"p{p}", "text": "a 4", "target": "4", "latency_s": 1 + p / 9}
            for p in range(20)
        ]
        write_run(rows, name)
        (work / "results" / name / "config.yaml").write_text(f"scoring: [{{name: {scorer}}}]\n")
    gates = (
        "--max-regression",
        "score=2pp",
        "--max-increase",
        "latency=5%",
        "--max-new-failures",
        "0",
    )
    code, lines, err = _check(capsys, *gates)
    assert code == 1
    said = "the scorers differ: exact in today, includes in yesterday; scoring=… scores both alike"
    assert said in err.splitlines()[0]
    assert lines[0] == f"FAIL imported: mean score unknown: {said}"
    assert lines[1].startswith("ok   imported: mean latency")
    assert "unknown: the scorers differ" in lines[2]
    assert _check(capsys, *gates, "scoring=includes")[0] == 0


def _asked(*, ids: str = "p", question: str = "what is") -> Rows:
    """20 prompts with their messages."""
    return [
        {"prompt_id": f"{ids}{p:02}", "text": "yes", "score": 1.0, "answer": "yes",
         "messages": [{"role": "user", "content": f"{question} {p}?"}]}
        for p in range(20)
    ]  # fmt: skip


def test_prompts_with_other_ids_are_matched_by_content(capsys: Said, work: Path) -> None:
    """Their number is said, and they are named by their ids in the run."""
    write_run(_asked(), "yesterday")
    renamed = [{**row, "prompt_id": f"z{row['prompt_id']}"} for row in _asked()[2:]]
    failing = [{**row, "score": 0.0 if row["prompt_id"] == "zp07" else 1.0} for row in renamed]
    write_run([*_asked()[:1], *failing], "today")
    gates = ("--max-regression", "score=20pp", "--max-new-failures", "0", "--markdown", "s.md")
    code, lines, err = _check(capsys, *gates)
    said = "19 prompts in common with yesterday (1 by id, 18 by content); 1 only in yesterday (the"
    assert err.startswith(said)
    assert said[:30] in (work / "s.md").read_text()
    assert code == 1
    assert "1 of 19 prompts, needed ≤ 0; failing anew: zp07 (1 of 1 → 0 of 1)" in lines[1]


def test_ids_under_which_something_else_was_asked_are_said_first(capsys: Said) -> None:
    """They are compared all the same, as ``compare`` does."""
    write_run(_asked(question="how much is"), "yesterday")
    write_run(_asked(), "today")
    code, _, err = _check(capsys, "--max-regression", "score=20pp")
    assert code == 0
    assert err.startswith(
        "20 prompts in common with yesterday; 20 of them asked something else there under the same "
        "id: p00, p01, "
    )


@pytest.mark.parametrize(("more", "shown"), [(0, "+0 to +0"), (3, "+3 to +3")])
def test_amounts_that_differ_by_the_same_everywhere_are_known(
    capsys: Said, more: int, shown: str
) -> None:
    """No spread, but enough prompts: the difference is that, also with --confident."""
    for name, extra in (("yesterday", 0), ("today", more)):
        rows = [{"prompt_id": f"p{p}", "text": "a", "prompt_tokens": 9 + p + extra, "cost_usd": 0.5}
                for p in range(12)]  # fmt: skip
        write_run(rows, name)
    gates = ("prompt_tokens=4", "cost=0.001")
    code, lines, _ = _check(capsys, "--max-increase", *gates, "--confident")
    assert code == 0, lines
    assert f"95 % interval {shown} tokens), may rise by 4 tokens: shown not" in lines[0]
    code, lines, _ = _check(capsys, "--max-increase", "prompt_tokens=2")
    assert code == (more > 2), lines


def test_why_there_is_no_interval_is_said(capsys: Said) -> None:
    """Too few prompts only where they are too few."""
    for name, score in (("yesterday", 1.0), ("today", 0.5)):
        tokens = [0 if name == "yesterday" else 1, *range(3, 14)]
        rows = [{"prompt_id": f"p{p}", "text": "a", "score": score, "completion_tokens": n}
                for p, n in enumerate(tokens)]  # fmt: skip
        write_run(rows, name)
    gates = ("--max-regression", "score=60pp", "--max-increase", "completion_tokens=50%")
    _, lines, _ = _check(capsys, *gates)
    assert "no 95 % interval: every prompt has the same difference, so the figure" in lines[0]
    assert "no 95 % interval: the baseline is 0 on a prompt, so the figure" in lines[1]


def test_runs_without_a_common_prompt_are_refused(capsys: Said) -> None:
    """Nothing can be compared: a sentence says so."""
    write_run(_rows(), "yesterday")
    write_run([{**row, "prompt_id": f"q{row['prompt_id']}"} for row in _rows()], "today")
    code, _, err = _check(capsys, "--max-regression", "score=2pp")
    assert (code, "have no prompt in common" in err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--max-regression", "score=2pp"], "--baseline RUN"),
        (["--baseline", "today", "--max-regression", "score=2pp"], "it is the run itself"),
        (["--baseline", "yesterday", "--min-score", "0"], "no gate compares with it"),
        (["--baseline", "yesterday", "--max-regression", "cost=2%"], "--max-increase cost=2%"),
        (["--baseline", "yesterday", "--max-increase", "score=2%"], "--max-regression score=2%"),
        (["--baseline", "yesterday", "--max-increase", "cost=2pp"], "cost=2%"),
        (["--baseline", "yesterday", "--max-regression", "score=2"], "score=2pp"),
        (["--baseline", "yesterday", "--max-regression", "score=-1%"], "not an amount"),
        (["--baseline", "yesterday", "--max-increase", "lateny_p95=2%"], "mean latency_p95"),
        (["--baseline", "yesterday", "--max-increase", "itl_p95=2%"], "mean itl?"),
        (["--baseline", "yesterday", "--max-increase", "cost"], "cost=10%"),
        (["--baseline", "yesterday", "--max-increase", "latency_p95=abc"], "latency_p95=0.5"),
        (["--baseline", "yesterday", "--max-regression", "scroe=2pp"], "did you mean score?"),
        (["--baseline", "yesterday", "--max-regression", "score=200pp"], "by 100pp at most"),
        (["--baseline", "yesterday", "--max-regression", "score=101%"], "by 100% at most"),
        (["--baseline", "yesterday", "--max-increase", "cost=1%", "cost_usd=2%"], "two amounts"),
        (["--baseline", "yesterdya", "--max-regression", "score=2pp"], "did you mean yesterday?"),
        (["--min-prompt-pass", "80"], "--min-prompt-pass 0.8"),
        (["--min-prompt-pass", "0"], "above 0"),
    ],
)
def test_gates_that_mean_nothing_are_refused(
    capsys: Said, arguments: list[str], message: str
) -> None:
    """Exit 2, with what to type instead."""
    write_run(_rows(), "yesterday")
    write_run(_rows(), "today")
    assert main(["check", "today", *arguments]) == 2
    assert message in capsys.readouterr().err
