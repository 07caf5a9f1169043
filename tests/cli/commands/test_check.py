"""``evalharness check``: what holds, what fails, and what is said about it."""

from __future__ import annotations

from pathlib import Path

import pytest

from evalharness.cli import main
from evalharness.cli.commands.check import CheckOptions
from evalharness.cli.gates import GATES
from tests.imported_run import Rows, write_run

pytestmark = pytest.mark.usefixtures("work")

# 20 prompts × 2 repeats. T=0 always says the same, and 19 of 20 right; T=1 says two things.
ROWS: Rows = [
    {"prompt_id": f"p{p}", "temperature": t, "text": "yes" if t == 0 else f"yes {k}",
     "score": 0.0 if p == 0 else 1.0, "answer": "yes", "latency_s": 0.1 + p / 100,
     "cost_usd": 0.001}
    for p in range(20) for t in (0, 1) for k in range(2)
]  # fmt: skip

Said = pytest.CaptureFixture[str]


def _check(said: Said, *arguments: str) -> tuple[int, list[str]]:
    said.readouterr()
    code = main(["check", "r", *arguments])
    return code, said.readouterr().out.splitlines()


def test_each_setting_is_named_with_what_was_measured_and_needed(capsys: Said) -> None:
    """One setting of two fails; --setting picks by label, and an unknown one is refused."""
    write_run(ROWS)
    code, lines = _check(capsys, "--min-agreement", "0.9")
    assert code == 1
    assert lines == [
        "ok   T=0: pairwise agreement of raw text 1, needed ≥ 0.9",
        "FAIL T=1: pairwise agreement of raw text 0, needed ≥ 0.9",
    ]
    assert _check(capsys, "--min-agreement", "0.9", "--setting", "T=0") == (0, lines[:1])
    assert main(["check", "r", "--min-agreement", "0.9", "--setting", "T=2"]) == 2
    assert "one of: T=0 · T=1" in capsys.readouterr().err


def test_part_of_a_label_picks_every_setting_that_has_it(capsys: Said) -> None:
    """``--setting system=terse`` is all temperatures of that prompt; half a name is none."""
    rows: Rows = [
        {"prompt_id": f"p{p}", "label": f"system={name}, T={t}", "temperature": t, "system": name,
         "text": "yes", "latency_s": 0.1}
        for p in range(3) for t in (0, 1) for name in ("terse", "polite") for _ in range(2)
    ]  # fmt: skip
    write_run(rows)
    code, lines = _check(capsys, "--min-agreement", "0.9", "--setting", "system=terse")
    assert code == 0
    assert [line.split(":")[0] for line in lines] == [
        "ok   T=0, system=terse", "ok   T=1, system=terse",
    ]  # fmt: skip
    assert _check(capsys, "--min-agreement", "0.9", "--setting", "system=ters")[0] == 2


@pytest.mark.parametrize(
    ("gate", "holds", "fails"),
    [
        ("--min-agreement", "1", None),
        ("--min-answer-agreement", "1", None),
        ("--min-score", "0.95", "0.951"),
        ("--max-error-share", "0", None),
        ("--max-latency-p50-s", "0.196", "0.194"),
        ("--max-latency-p95-s", "0.2805", "0.2795"),
        ("--max-cost-usd", "0.04", "0.0399"),
    ],
)
def test_every_gate_holds_at_its_figure_and_fails_beyond(
    capsys: Said, gate: str, holds: str, fails: str | None
) -> None:
    """A limit equal to the figure holds, whatever the last bit of a float says."""
    write_run(ROWS)
    assert _check(capsys, gate, holds, "--setting", "T=0")[0] == 0
    if fails is not None:
        assert _check(capsys, gate, fails, "--setting", "T=0")[0] == 1


def test_one_error_in_twenty_is_a_share_of_a_twentieth(capsys: Said) -> None:
    """1 - 0.95 is more than 0.05 in floats; the gate must not fail on that."""
    rows: Rows = [
        {"prompt_id": f"p{p}", "text": "a", "status": "error" if p == 0 else "ok"}
        for p in range(20)
    ]
    write_run(rows)
    assert _check(capsys, "--max-error-share", "0.05")[0] == 0
    assert _check(capsys, "--max-error-share", "0.049")[0] == 1


def test_confident_holds_the_worse_bound_to_the_limit(capsys: Said) -> None:
    """The figure passes and its 95 % bound does not; too few values prove nothing."""
    write_run(ROWS)
    for gate, limit in (
        ("--min-agreement", "0.9"), ("--min-score", "0.9"), ("--max-error-share", "0.05"),
        ("--max-latency-p50-s", "0.2"),
    ):  # fmt: skip
        assert _check(capsys, gate, limit, "--setting", "T=0")[0] == 0, gate
        code, lines = _check(capsys, gate, limit, "--setting", "T=0", "--confident")
        assert code == 1, gate
        assert "(95 % bound 0." in lines[0], gate
    assert _check(capsys, "--min-agreement", "0.8", "--setting", "T=0", "--confident")[0] == 0
    # 40 values bound no 95th percentile from above.
    code, lines = _check(capsys, "--max-latency-p95-s", "9", "--setting", "T=0", "--confident")
    assert code == 1
    assert "too few independent prompts for the upper end of a 95 % interval" in lines[0]
    # A sum has no sampling error.
    assert _check(capsys, "--max-cost-usd", "1", "--confident")[0] == 0


def test_clusters_widen_the_bound_of_a_score(capsys: Said) -> None:
    """Prompts of one cluster are alike, so that the confident bound heeds clusters."""
    rows = [{**row, "cluster": f"c{int(str(row['prompt_id'])[1:]) // 10}"} for row in ROWS]
    rows = [{**row, "score": 0.6 if row["cluster"] == "c0" else 1.0} for row in rows]
    write_run(rows)
    assert _check(capsys, "--min-score", "0.7", "--setting", "T=0")[0] == 0
    assert _check(capsys, "--min-score", "0.7", "--setting", "T=0", "--confident")[0] == 1


@pytest.mark.parametrize("gate", [gate for gate in GATES if gate.flag != "max_error_share"])
def test_what_is_unknown_fails_with_a_reason(capsys: Said, gate: object) -> None:
    """One repeat without score, answer, latency or price: no gate passes, each says why."""
    write_run([{"prompt_id": "p", "text": "a", "model": "nobody-sells-this"}])
    flag, reason = f"--{gate.flag.replace('_', '-')}", gate.unknown  # type: ignore[attr-defined]
    limit = "0" if flag.startswith("--min") else "1"
    code, lines = _check(capsys, flag, limit)
    assert code == 1
    assert "unknown" in lines[0]
    assert lines[0].endswith(reason)


def test_a_cost_known_in_part_is_unknown(capsys: Said) -> None:
    """The sum of some answers is a lower bound and must not pass for the cost of all."""
    rows: Rows = [{"prompt_id": "p", "text": "a", "cost_usd": c} for c in (0.1, None)]
    # The failed attempt that was billed must not stand in for the answer that was not.
    rows.append({"prompt_id": "p", "status": "error", "cost_usd": 0.1, "text": None})
    write_run(rows)
    code, lines = _check(capsys, "--max-cost-usd", "100")
    assert (code, "not every record has a known cost" in lines[0]) == (1, True)


def test_the_cost_of_a_run_that_failed_as_a_whole_is_unknown(capsys: Said) -> None:
    """An error may have been billed; that nothing is known is not that it cost nothing."""
    write_run([{"prompt_id": f"p{p}", "status": "error"} for p in range(3)])
    code, lines = _check(capsys, "--max-cost-usd", "1")
    assert code == 1
    assert lines[0].startswith("FAIL the run: cost in US dollars unknown, needed ≤ 1: cost unknown")


def test_the_larger_of_computed_and_billed_counts(capsys: Said) -> None:
    """A provider that bills more than the price table says is heard."""
    write_run([{"prompt_id": "p", "text": "a", "cost_usd": 0.1, "billed_usd": 0.3}])
    assert _check(capsys, "--max-cost-usd", "0.2")[0] == 1
    assert _check(capsys, "--max-cost-usd", "0.3")[0] == 0


def test_a_run_that_is_not_complete_fails(capsys: Said, work: Path) -> None:
    """Good figures of half a run are no pass; --partial takes them as they are."""
    write_run(ROWS)
    manifest = work / "results/r/run.json"
    manifest.write_text(manifest.read_text().replace('"imported"', '"interrupted"'))
    assert main(["check", "r", "--min-score", "0.5", "--junit", "j.xml"]) == 1
    out, err = capsys.readouterr()
    assert out.splitlines()[-1].startswith("FAIL the run: it is interrupted, with 80")
    assert err.endswith("2 of 3 checks hold\n")
    page = (work / "j.xml").read_text()
    assert 'tests="3" failures="1"' in page
    assert page.count("<failure") == 1
    assert _check(capsys, "--min-score", "0.5", "--partial")[0] == 0


def test_scoring_can_be_replaced_on_either_side_of_the_flags(capsys: Said) -> None:
    """A new scorer gates without new requests."""
    write_run([{"prompt_id": "p", "text": "a 4", "target": "4"}])
    assert _check(capsys, "scoring=exact", "--min-score", "1")[0] == 1
    assert _check(capsys, "--min-score", "1", "scoring=numeric")[0] == 0
    assert main(["check", "r", "--min-score", "1", "volume=3"]) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "check needs a gate"),
        (["--min-score", "90"], "--min-score 0.9"),
        (["--min-score", "nan"], "between 0 and 1"),
        (["--max-cost-usd", "-1"], "not below 0"),
        (["--max-latency-p95-s", "inf"], "must be a number"),
    ],
)
def test_limits_that_mean_nothing_are_refused(
    capsys: Said, arguments: list[str], message: str
) -> None:
    """A gate that could never fail, or never hold, is a mistake: exit 2."""
    write_run(ROWS)
    assert main(["check", "r", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_flags_of_the_command_line_are_the_gates() -> None:
    """A gate without a flag, or a flag without a gate, would never be checked."""
    limits = [name for name in CheckOptions._fields if name.startswith(("min_", "max_"))]
    others = [
        "max_regression",
        "max_increase",
        "min_prompt_pass",
        "max_new_failures",
        "max_new_errors",
    ]
    assert limits == [*(gate.flag for gate in GATES), *others]


def test_a_bound_of_a_share_lies_within_0_and_1() -> None:
    """A t interval of few prompts reaches beyond what a share can be; nobody is shown that."""
    from evalharness.cli.gates import GATES, check_gate

    gate = next(gate for gate in GATES if gate.flag == "min_agreement")
    verdict = check_gate(gate, "T=1", 0.5, 0.2, [-0.07632, 0.4], confident=True)
    assert "95 % bound 0)" in verdict.sentence
    assert not verdict.holds


@pytest.mark.parametrize("flag", ["--junit", "--markdown"])
def test_a_file_in_a_folder_that_is_not_there_is_refused(capsys: Said, flag: str) -> None:
    """Before anything is decided, with what makes the folder."""
    write_run(ROWS)
    assert main(["check", "r", "--min-score", "0.5", flag, "none/file"]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert "cannot write none/file: there is no folder none\n  → mkdir -p none" in err
