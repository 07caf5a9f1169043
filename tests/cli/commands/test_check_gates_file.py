"""``evalharness check --gates FILE``: the flags as YAML, and gates for one setting or tag."""

from __future__ import annotations

from pathlib import Path

import pytest

from evalharness.cli import main
from tests.imported_run import Rows, write_run

pytestmark = pytest.mark.usefixtures("work")

Said = pytest.CaptureFixture[str]

ROWS: Rows = [
    {"prompt_id": f"p{p}", "temperature": t, "text": "yes", "tags": ["safety"] if p < 5 else [],
     "score": 0.0 if (p, t) == (0, 1) else 1.0, "answer": "yes"}
    for p in range(20) for t in (0, 1) for _ in range(2)
]  # fmt: skip

GATES = """
baseline: yesterday
min_score: 0.9
max_regression: {score: 10pp}
max_new_errors: 0
also:
  - {tag: safety, min_prompt_pass: 1}
  - {setting: T=0, min_score: 1}
"""


def _check(said: Said, *arguments: str) -> tuple[int, list[str]]:
    said.readouterr()
    code = main(["check", "r", *arguments])
    return code, said.readouterr().out.splitlines()


def test_a_file_has_every_gate_and_entries_of_their_own(capsys: Said) -> None:
    """The one failing prompt is of the tag; typed gates stand over those of the file."""
    write_run(ROWS, "yesterday")
    write_run(ROWS)
    Path("gates.yaml").write_text(GATES)
    code, lines = _check(capsys, "--gates", "gates.yaml")
    assert code == 1
    assert [line for line in lines if line.startswith("FAIL")] == [
        "FAIL T=1, tag safety: prompts that pass all of their repeats "
        "4 of 5, needed all; failing: p0 (0 of 2)"
    ]
    assert len(lines) == 2 * 4 + 1
    code, lines = _check(capsys, "--gates", "gates.yaml", "--min-score", "0.96")
    assert sum(line.startswith("FAIL T=1: mean score 0.95") for line in lines) == 1
    assert not any("≥ 0.9:" in line or line.endswith("≥ 0.9") for line in lines)
    code, lines = _check(capsys, "--gates", "gates.yaml", "--setting", "T=0")
    assert code == 0
    assert all(line.startswith("ok   T=0") for line in lines)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("min_scor: 0.9", "did you mean min_score"),
        ("min_score: high", "gates.yaml: `min_score` takes a number, not `high`"),
        ("min_score: true", "`min_score` takes a number, not `True`"),
        ("min_prompt_pass: a", "gates.yaml: `min_prompt_pass`: Expected"),
        (
            "also: [{baseline: x, min_score: 1}]",
            "also[0]: `baseline` stands at the top, not in also",
        ),
        ("also: [{also: [], min_score: 1}]", "also[0]: `also` stands at the top, not in also"),
        ("min_score: 90", "--min-score 0.9"),
        ("max_regression: {score: 2pp}", "--baseline RUN"),
        ("also: [{tag: a}]", "without a gate"),
        ("- min_score", "it holds no gates"),
        ("min_score: 1\nmin_score: 2", "gates.yaml:2"),
        ("max_new_errors: -1", "must not be below 0"),
        ("max_regression: score=2pp", "max_regression: {score: 2pp}"),
        ("max_increase: [cost=1%]", "max_increase: {cost: 10%}"),
        (
            "max_regression: {scroe: 2pp}",
            "--gates gates.yaml: --max-regression scroe=2pp: there is",
        ),
    ],
)
def test_a_file_that_cannot_be_taken_is_refused(capsys: Said, text: str, message: str) -> None:
    """Exit 2, with the file and the key at fault."""
    write_run(ROWS)
    Path("gates.yaml").write_text(text)
    assert main(["check", "r", "--gates", "gates.yaml"]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("file", "typed", "held"),
    [
        ("min_score: 0.5", "--min-score 0.2", [("T=0", 0.2), ("T=1", 0.2)]),
        ("min_score: 0.5", "--min-score 0.2 --setting T=1", [("T=0", 0.5), ("T=1", 0.2)]),
        ("{min_score: 0.5, setting: T=1}", "--min-score 0.2", [("T=0", 0.2), ("T=1", 0.2)]),
        (
            "{min_score: 0.5, setting: T=0}", "--min-score 0.2 --setting T=1",
            [("T=0", 0.5), ("T=1", 0.2)],
        ),
        (
            "{min_score: 0.5, tag: safety}", "--min-score 0.2 --setting T=1",
            [("T=0, tag safety", 0.5), ("T=1, tag safety", 0.5), ("T=1", 0.2)],
        ),
        (
            "{min_score: 0.5, tag: safety}", "--min-score 0.2 --tag safety --setting T=1",
            [("T=0, tag safety", 0.5), ("T=1, tag safety", 0.2)],
        ),
        ("max_cost_usd: 5", "--max-cost-usd 2", [("the run", 2)]),
        (
            "max_cost_usd: 5", "--max-cost-usd 2 --setting T=1",
            [("the run", 5), ("these settings together", 2)],
        ),
        ("min_agreement: 0.5", "--min-score 0.2 --setting T=1", [
            ("T=0", 0.5), ("T=1", 0.5), ("T=1", 0.2)]),
    ],
)  # fmt: skip
def test_a_typed_gate_stands_over_the_same_one_of_the_same_setting_and_tag(
    capsys: Said, file: str, typed: str, held: list[tuple[str, float]]
) -> None:
    """Where both would be checked only the typed one is; elsewhere the file's stays."""
    write_run([{**row, "cost_usd": 0.001} for row in ROWS])
    Path("gates.yaml").write_text(file)
    code, lines = _check(capsys, "--gates", "gates.yaml", *typed.split())
    assert code == 0
    said = [(line[5:].split(": ")[0], float(line.split()[-1])) for line in lines]
    assert said == held


def test_a_typed_allowance_stands_over_that_of_the_file_for_its_setting(capsys: Said) -> None:
    """T=1 lost half its prompts: the file's 2pp would fail it; T=0 is still held to them."""
    write_run(ROWS, "yesterday")
    write_run([{**r, "score": 0.0 if r["temperature"] and i % 2 else 1.0}
               for i, r in enumerate(ROWS)])  # fmt: skip
    Path("gates.yaml").write_text("{baseline: yesterday, max_regression: {score: 2pp}}")
    assert _check(capsys, "--gates", "gates.yaml")[0] == 1
    typed = ("--max-regression", "score=90pp", "--setting", "T=1")
    code, lines = _check(capsys, "--gates", "gates.yaml", *typed)
    assert code == 0
    allowed = [(line[5:8], line.partition("may fall by ")[2].split(":")[0]) for line in lines]
    assert allowed == [("T=0", "2 pp"), ("T=1", "90 pp")]


def test_a_file_that_is_not_there(capsys: Said) -> None:
    """The name of the file stands in the message, with where it was looked for."""
    write_run(ROWS)
    assert main(["check", "r", "--gates", "none.yaml"]) == 2
    assert (
        "--gates none.yaml: there is no such file, here or in configs/" in capsys.readouterr().err
    )


def test_the_workflow_and_the_file_of_the_page_are_taken() -> None:
    """Ten lines of workflow, whose check has flags that exist; the file of gates is read."""
    from evalharness.cli.check.rules import read_gates_file
    from evalharness.cli.commands.check import CheckOptions
    from evalharness.cli.parser import flags
    from evalharness.config.strict_yaml import parse_yaml

    page = (Path(__file__).parents[3] / "docs/gates.md").read_text("utf-8")
    file, workflow = (block.split("```")[0] for block in page.split("```yaml\n")[1:])
    Path("gates.yaml").write_text(file)
    assert [rules.tag for rules in read_gates_file("gates.yaml").rules] == [[], ["safety"], []]
    assert len(workflow.splitlines()) == 10
    steps = parse_yaml(workflow)["jobs"]["evaluate"]["steps"]
    typed = next(step["run"] for step in steps if "check pull" in step.get("run", ""))
    assert {word for word in typed.split() if word.startswith("--")} <= set(flags(CheckOptions))
