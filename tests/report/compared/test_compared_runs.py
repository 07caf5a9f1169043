"""`compare A B`: prompts matched, configurations, changed prompts, and what cannot be compared."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

import evalharness
from evalharness.cli import main
from evalharness.cli.commands.import_ import import_file

Said = pytest.CaptureFixture[str]
Row = dict[str, Any]
REGRESSED = ("p07", "p20", "p33")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "110")
    return tmp_path


def write(name: str, rows: list[Row], *options: str) -> None:
    Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    import_file("rows.jsonl", name, list(options))


def scored(
    *, regressed: tuple[str, ...] = (), seed: int = 0, repeats: int = 5, **fields: Any
) -> list[Row]:
    """Sixty prompts, each tenth of which passes by a coin; the others always pass."""
    draw = random.Random(seed)
    rows: list[Row] = []
    for p in range(60):
        name = f"p{p:02}"
        for _ in range(repeats):
            passed = name not in regressed and (p % 10 != 9 or draw.random() < 0.5)
            text = f"right {p}" if passed else f"wrong {p}"
            rows.append({"prompt_id": name, "text": text, "score": float(passed), **fields})
    return rows


def lines(said: Said, *arguments: str) -> list[str]:
    said.readouterr()
    assert main(["compare", *arguments]) == 0
    return said.readouterr().out.splitlines()


def as_json(said: Said, *arguments: str) -> dict[str, Any]:
    return json.loads("\n".join(lines(said, *arguments, "--json")))


def test_a_planted_regression_is_named_on_console_page_and_json(capsys: Said, folder: Path) -> None:
    """Three of sixty prompts, with their outputs before and after, apart from what only varies."""
    write("before", scored())
    write("after", scored(regressed=REGRESSED, seed=1))
    said = lines(capsys, "before", "after", "--prompts", "--html", "page.html")
    named = next(line for line in said if "scored lower in every repeat" in line)
    assert named.strip().endswith(f"3 prompts scored lower in every repeat: {', '.join(REGRESSED)}")
    assert "p07: regressed" in said
    assert "  before (before): right 7" in said
    assert "  after (after): wrong 7" in said
    found = as_json(capsys, "before", "after", "--prompts")["prompt_changes"]
    planted = [c["prompt_id"] for c in found if "regressed" in c["kinds"] and c["every_repeat"]]
    assert tuple(planted) == REGRESSED
    assert (found[0]["before"]["score"], found[0]["after"]["score"]) == (1.0, 0.0)
    page = (folder / "page.html").read_text("utf-8")
    assert all(f"<code><bdi>{name}</bdi></code> regressed" in page for name in REGRESSED)
    assert "<del>right</del><ins>wrong</ins>" in page


def test_a_regression_of_many_repeats_is_beyond_chance(capsys: Said) -> None:
    """Twelve repeats tell a prompt that fell from those that toss a coin."""
    write("before", scored(repeats=12))
    write("after", scored(regressed=REGRESSED, seed=1, repeats=12))
    found = as_json(capsys, "before", "after", "--prompts")["prompt_changes"]
    assert {c["prompt_id"] for c in found if c["beyond_chance"]} == set(REGRESSED)


def test_every_kind_of_change_is_told(capsys: Said) -> None:
    """Improved, unstable and new errors, each under its own name; an equal prompt under none."""
    texts = {"up": "ab", "shaky": "aa", "fails": "aa", "same": "aa"}

    def rows(changed: dict[str, Any], up: float) -> list[Row]:
        return [
            {"prompt_id": name, "text": text, "score": up if name == "up" else 1.0,
             "status": "error" if text is None else "ok"}
            for name, said in (texts | changed).items() for text in said
        ]  # fmt: skip

    write("a", rows({}, 0.5))
    write("b", rows({"shaky": "ac", "fails": ["a", None]}, 1.0))
    found = as_json(capsys, "a", "b", "--prompts")["prompt_changes"]
    assert {c["prompt_id"]: c["kinds"] for c in found} == {
        "up": ["improved"], "shaky": ["unstable"], "fails": ["new_error"],
    }  # fmt: skip
    failed = next(c for c in found if c["prompt_id"] == "fails")
    assert (failed["before"]["errors"], failed["after"]["errors"]) == (0, 1)


def test_prompts_are_matched_by_id_then_by_content(capsys: Said) -> None:
    """A renamed prompt is found by what it asks; new and gone ones are listed."""

    def asked(names: dict[str, str], score: float) -> list[Row]:
        return [{"prompt_id": i, "prompt": q, "text": "x", "score": score, "repeat": r}
                for i, q in names.items() for r in range(2)]  # fmt: skip

    write("a", asked({"one": "1?", "two": "2?", "left": "9?", "kept": "5?"}, 1.0))
    write("b", asked({"one": "1?", "zwei": "2?", "fresh": "7?", "kept": "6?"}, 0.0))
    data = as_json(capsys, "a", "b", "--prompts")
    (match,) = data["runs"]["prompts"]
    assert (match["by_id"], match["by_content"]) == (2, 1)
    assert match["renamed"] == {"zwei": "two"}
    assert (match["new_prompts"], match["gone_prompts"], match["other_content"]) == (
        ["fresh"],
        ["left"],
        ["kept"],
    )
    score = next(row for row in data["comparisons"] if row["metric"] == "score")
    assert (score["n"], score["difference"]) == (3, -1.0)
    assert {c["prompt_id"] for c in data["prompt_changes"]} == {"one", "two", "kept"}
    said = lines(capsys, "a", "b", "--prompts")
    assert said[0].startswith("1 prompt of b asked something else under the same id in a: kept.")
    assert (
        "Prompts of b matched with a: 2 by id, 1 by content; 1 new (fresh), 1 gone (left)." in said
    )
    assert {"  new in b: fresh", "  gone in b: left"} <= set(said)


def test_runs_without_a_common_prompt_are_told_first(capsys: Said) -> None:
    """One sentence, then what there is: the figures of each run."""
    write("a", [{"prompt_id": "x", "text": "1", "score": 1.0}])
    write("b", [{"prompt_id": "y", "text": "1", "score": 0.25}])
    said = lines(capsys, "a", "b", "--prompts")
    assert said[0].startswith("b and a have no prompt in common, by id or by content")
    assert any(line.startswith("b, ") and "25.0" in line for line in said)
    figures = as_json(capsys, "a", "b")["runs"]["own_figures"]
    means = {f["run"]: f["mean"] for f in figures if f["metric"] == "score"}
    assert means == {"a": 1.0, "b": 0.25}


def test_runs_with_other_scorers_are_not_compared_by_score(capsys: Said) -> None:
    """One sentence, and everything but the scores; scored alike, the scores are compared, too."""
    rows = [{"prompt_id": f"p{i}", "text": "7", "target": "7", "latency_s": 1.0} for i in range(8)]
    write("a", [row | {"score": 1.0} for row in rows])
    write("b", rows)
    said = lines(capsys, "a", "b")
    assert said[0].startswith("The runs are not scored alike (a by ")
    assert "everything but scores can be compared" in " ".join(said[:3])
    metrics = {row["metric"] for row in as_json(capsys, "a", "b")["comparisons"]}
    assert "latency_s" in metrics
    assert not any(name.startswith("score") for name in metrics)
    alike = as_json(capsys, "a", "b", "scoring=exact")
    assert "score" in {row["metric"] for row in alike["comparisons"]}
    assert alike["runs"]["obstacles"] == []


def test_a_run_of_another_schema_is_left_out_and_said(capsys: Said, folder: Path) -> None:
    """Two that can be read are compared; with fewer there is nothing to do."""
    for name in "abc":
        write(name, scored())
    manifest = folder / "results" / "c" / "run.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_bytes()) | {"schema_version": 99}))
    said = lines(capsys, "a", "b", "c")
    assert said[0].startswith("Left out: ")
    assert "storage schema 99" in said[0]
    capsys.readouterr()
    assert main(["compare", "a", "c"]) == 2
    assert "storage schema 99" in capsys.readouterr().err


def test_what_differs_between_the_runs_is_one_block(capsys: Said) -> None:
    """Settings of imports, key by key; three runs are three columns."""
    for name, temperature in (("a", 0.0), ("b", 0.7), ("c", 0.0)):
        write(name, scored(temperature=temperature, model="m"))
    data = as_json(capsys, "a", "b", "c")
    assert {d["key"]: d["values"] for d in data["runs"]["differences"]} == {
        "settings.temperature": ["0", "0.7", "0"]
    }
    assert {row["a_run"] for row in data["comparisons"]} == {"b", "c"}
    against_b = as_json(capsys, "a", "b", "c", "--baseline", "results/b")
    assert {row["b_run"] for row in against_b["comparisons"]} == {"b"}
    assert any("What differs between the runs?" in line for line in lines(capsys, "a", "b", "c"))


def test_runs_of_one_name_are_told_apart_by_their_paths(capsys: Said, folder: Path) -> None:
    """Yesterday's results folder against today's; one folder twice is refused."""
    write("nightly", scored())
    (folder / "results").rename(folder / "old")
    write("nightly", scored(regressed=REGRESSED))
    data = as_json(capsys, "old/nightly", "nightly")
    assert data["runs"]["runs"] == ["old/nightly", "nightly"]
    capsys.readouterr()
    assert main(["compare", "nightly", "results/nightly"]) == 2
    assert "the same run is named twice" in capsys.readouterr().err


def test_python_gives_the_same_changes_as_a_table(capsys: Said) -> None:
    """`evalharness.load([…])` matches by content, too, and names the prompts that fell."""
    write("before", scored())
    write("after", scored(regressed=REGRESSED, seed=1))
    table = evalharness.load(["before", "after"]).prompt_changes()
    fell = table[table["every_repeat"] & (table["difference"] < 0)]
    assert tuple(fell["prompt_id"]) == REGRESSED
    assert set(fell["run"]) == {"after"}
    assert set(fell["text_before"]) == {"right 7", "right 20", "right 33"}


def test_a_page_never_says_that_nothing_differs_about_other_texts(capsys: Said) -> None:
    """Equal scores and other texts: console and page say how far the outputs are apart."""
    for name, word in (("before", "right"), ("after", "correct")):
        write(name, [{"prompt_id": f"p{p}", "text": word, "score": 1.0} for p in range(12)] * 3)
    said = " ".join(" ".join(lines(capsys, "before", "after", "--html", "page.html")).split())
    page = " ".join(Path("page.html").read_text("utf-8").split())
    for text in (said, page):
        assert "No difference was detected" not in text
        assert "the outputs differ, by more than the repeats of a setting do" in text
        assert "the same text in 0 %" in text.replace("\u00a0", " ")
