"""Configurations and data that cannot be run: exit 2, the key or line named, nothing sent."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

import pytest

from evalharness.cli import main

KEY = "sk-proj-" + "a1B2" * 8


@pytest.mark.parametrize(
    ("overrides", "named"),
    [
        (["params.temprature=1"], "did you mean params.temperature?"),
        (
            ["temperature=0.5"],
            "params.temperature=0.5 fixes it, sweep.temperature=[0.5,…] sweeps it",
        ),
        (["parms.seed=3"], "did you mean params.seed?"),
        (["load.rate=3"], "load.rate needs a load that has it"),
        (["load.workload=rag"], "a workload is a dataset: dataset=rag"),
        (["dataset.workload.seed=3"], "it needs a workload: dataset=chat|code|rag|summarize"),
        (
            ["dataset=chat", "dataset.workload.prefixes.share=1"],
            "dataset.workload.prefixes={count:",
        ),
        (["dataset=chat", "dataset.workload.sale=1"], "did you mean dataset.workload.salt?"),
        (["provider=openai", "model=m"], "did you mean provider.model=m?"),
        (["pricing=qwen"], "shipped prices always apply; yours: pricing.files=[FILE]"),
        (["provider=emulater"], "did you mean provider=emulator?"),
        (["scoring=exactly"], "did you mean scoring=exact?"),
        (["experiment=quikstart"], "did you mean experiment=quickstart?"),
        (["sweep.temperature=0,1"], "→ sweep.temperature=[0,1]\n"),
        (["params.temperature=0,1"], "→ sweep.temperature=[0,1], or -m params.temperature=0,1"),
        (["--provider=emulator"], "write provider=emulator"),
        (["--yess"], "did you mean --yes?"),
        (["repeets"], "KEY=VALUE"),
        (["+repeets=1"], "did you mean repeats?"),
        (["repeats=three"], "must be a whole number, got 'three'"),
        (["limits.rpm=x"], "must be a number or null, got 'x'"),
        (["transport=direct"], "`transport`: must be auto or httpx or reqwest, got 'direct'"),
        (["order.repeats=no"], "`order.repeats`: must be blocked or interleaved, got "),
        (["name=a/b"], "must be letters, digits, "),
        (
            ["provider=openai_compatible"],
            "add provider.model=NAME provider.base_url=http://127.0.0.1:8000/v1",
        ),
        (["limits.rmp=1"], "did you mean limits.rpm?"),
        (["+surprise=1"], "unknown configuration key `surprise`"),
        (["+limits.speed=1"], "unknown configuration key `limits.speed`"),
        (["repeats=many"], "configuration key `repeats`"),
        (["repeats=0"], "configuration key `repeats`"),
        (["limits.concurrency=0"], "configuration key `limits.concurrency`"),
        (["limits.rpm=-1"], "configuration key `limits.rpm`"),
        (
            ["limits.max_cost_usd=-1"],
            "`limits.max_cost_usd` must be 0 or more (US dollars), got -1",
        ),
        (["limits.max_cost_usd=nan"], "`limits.max_cost_usd` must be 0 or more (US dollars)"),
        (["limits.confirm_above_usd=-1"], "`limits.confirm_above_usd` must be 0 or more"),
        (["params.temperature=2.5"], "`params.temperature`"),
        (["params.temperature=hot"], "`params.temperature`"),
        (["params.top_p=0"], "`params.top_p`"),
        (["params.seed=0"], "`params.seed`"),
        (["sweep.temperature=[0,2.5]"], "2.5"),
        (["sweep.temperature=[]"], "`sweep.temperature` has no values"),
        (["sweep.temperature=0.5"], "must be a list of values"),
        (["sweep.tempo=[1]"], "unknown sweep axis `sweep.tempo`"),
        (["params.temperature=1", "sweep.temperature=[0,1]"], "keep one of them"),
        (["name=../escape"], "configuration key `name`"),
        (["dataset.path=nowhere.jsonl"], "nowhere.jsonl"),
        (["provider=nobody"], "nobody"),
        (["provider=openai_compatible"], "provider"),
        (["scoring=[{name: exakt}]"], "scoring[0]"),
        ([f"params.extra.token={KEY}"], "looks like it holds a key"),
        ([f"provider.api_key_env={KEY}"], "looks like it holds a key"),
        (["provider.headers.Authorization=abc"], "looks like it holds a key"),
    ],
)
def test_a_wrong_configuration_stops_before_anything_is_sent(
    overrides: list[str],
    named: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Exit 2, the key at fault is named, a key's value is not, and no run folder appears."""
    monkeypatch.chdir(tmp_path)
    assert main(["run", *overrides]) == 2
    printed = "".join(capfd.readouterr())
    assert named in printed
    assert "Traceback" not in printed
    assert "HYDRA_FULL_ERROR" not in printed
    assert KEY not in printed
    assert not list(tmp_path.glob("results/*/run.json"))


def test_a_missing_key_variable_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A provider that needs a key says which variable it looks in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AIMLAPI_API_KEY", raising=False)
    assert main(["run", "provider=aimlapi"]) == 2
    assert "AIMLAPI_API_KEY" in capfd.readouterr().err
    assert not list(tmp_path.glob("results/*/run.json"))


@pytest.mark.parametrize(
    ("lines", "named"),
    [
        (['{"id": "a", "prompt": "x"}', '{"id": "a", "prompt": "y"}'], "d.jsonl:2"),
        (['{"id": "a", "prompt": "x"}', '{"id": "b"}'], "d.jsonl:2"),
        (['{"id": "a", "prompt": "x"}', "{broken"], "d.jsonl:2"),
        (['{"id": "a", "messages": [{"role": "robot", "content": "x"}]}'], "d.jsonl:1"),
        (['{"id": "a", "prompt": "x", "params": {"temperature": 9}}'], "d.jsonl:1"),
        ([], "d.jsonl"),
    ],
)
def test_wrong_data_is_named_with_its_line(
    lines: list[str],
    named: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Duplicate ids, rows without messages, broken JSON and bad parameters name file and line."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "d.jsonl").write_text("\n".join(lines) + "\n")
    assert main(["run", "dataset.path=d.jsonl"]) == 2
    assert named in capfd.readouterr().err
    assert not list(tmp_path.glob("results/*/run.json"))


def test_a_key_in_the_environment_cannot_slip_in_by_interpolation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """${oc.env:…} of a secret is refused: the resolved configuration is saved beside results."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MY_SERVICE_TOKEN", "very-private-value-123")
    assert main(["run", "params.extra.user=${oc.env:MY_SERVICE_TOKEN}"]) == 2
    printed = "".join(capfd.readouterr())
    assert "params.extra.user" in printed
    assert "very-private-value-123" not in printed


def test_hydra_flags_work_and_send_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """--cfg job prints the composed configuration, --help the groups."""
    monkeypatch.chdir(tmp_path)
    assert main(["run", "--cfg", "job", "repeats=7"]) == 0
    assert "repeats: 7" in capfd.readouterr().out
    assert main(["run", "--help"]) == 0
    text = capfd.readouterr().out
    assert "evalharness run -m" in text
    assert "provider" in text
    assert main(["run", "--info", "searchpath"]) == 0
    assert not list(tmp_path.iterdir())


def test_what_hydra_changes_in_the_process_is_undone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--info logs to the standard output of that moment: a later command may have another one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    root = logging.getLogger()
    before = [*root.handlers], root.level, [*sys.argv]
    assert main(["run", "--info", "searchpath"]) == 0
    assert ([*root.handlers], root.level, [*sys.argv]) == before
    assert os.environ["HYDRA_FULL_ERROR"] == "0"


def test_a_project_s_own_configs_come_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """./configs may add options and override shipped ones."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs" / "sweep").mkdir(parents=True)
    (tmp_path / "configs" / "sweep" / "mine.yaml").write_text("top_p: [0.5, 0.9]\n")
    assert main(["run", "--cfg", "job", "sweep=mine"]) == 0
    assert "top_p:\n  - 0.5" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("content", "named", "hint"),
    [
        ("repeats: 2\n a: [\n", "bad.yaml:2: malformed YAML", ""),
        ("name: a\nrepeets: 3\n", "bad.yaml:2: unknown configuration key `repeets`", "repeats?"),
        (
            "limits:\n  rmp: 3\n",
            "bad.yaml:2: unknown configuration key `limits.rmp`",
            "limits.rpm?",
        ),
        ('repeats: "x"\n', "bad.yaml:1: configuration key `repeats`: must be a whole number", ""),
        ("sweep:\n  temperature: [9]\n", "bad.yaml:2: `sweep.temperature`", ""),
    ],
)
def test_an_own_file_is_named_with_its_line(
    content: str,
    named: str,
    hint: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """What is wrong in ./configs is found there, unless the command line says it again."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "configs" / "experiment"
    folder.mkdir(parents=True)
    (folder / "bad.yaml").write_text("# @package _global_\n" + content)
    number = named.split(":")[1]
    named = named.replace(f":{number}:", f":{int(number) + 1}:")
    assert main(["plan", "provider=emulator", "experiment=bad"]) == 2
    printed = capfd.readouterr().err
    assert f"configs/experiment/{named}" in printed
    assert hint in printed
    assert len(printed[printed.index("evalharness: configs") :].splitlines()) <= 2
    if named.endswith("whole number"):
        assert main(["plan", "provider=emulator", "experiment=bad", "repeats=y"]) == 2
        assert "bad.yaml" not in capfd.readouterr().err


def test_flags_may_stand_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """-m between overrides is a multirun, --cfg job between them prints."""
    monkeypatch.chdir(tmp_path)
    assert main(["plan", "provider=emulator", "-m", "params.temperature=0,1", "sweep=none"]) == 0
    assert "12 prompts × 2 settings" in capfd.readouterr().out
    assert main(["run", "repeats=7", "--cfg", "job", "name=a"]) == 0
    assert "repeats: 7" in capfd.readouterr().out


def test_own_prompts_get_nothing_of_the_quickstart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """One setting, no max_tokens and no scorer unless typed; an experiment named is kept."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "d.csv").write_text("prompt\nhello\n")
    own = ["plan", "provider=emulator", "dataset.path=d.csv"]
    assert main(own) == 0
    assert "1 prompt × 1 setting × 3 repeats" in capfd.readouterr().out
    assert main([*own, "sweep.temperature=[0,1]"]) == 0
    assert "1 prompt × 2 settings" in capfd.readouterr().out
    assert main(["run", *own[1:], "--cfg", "job"]) == 0
    composed = capfd.readouterr().out
    assert "max_tokens: null" in composed
    assert "scoring: []" in composed
    assert main([*own, "experiment=quickstart"]) == 0
    assert "1 prompt × 6 settings" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("prompt,target\n,yes\n", "d.csv:2: the prompt cell is empty"),
        ('prompt\na\n"b\nc\n', "d.csv:3: malformed CSV: a quote in the row that begins here"),
        ("prompt;target\na;b\n", "d.csv:1: its columns stand between semicolons"),
    ],
)
def test_csv_files_are_wrong_where_they_are_wrong(
    content: str,
    named: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """The cell, the row the quote opens in, and the wrong delimiter, for datasets and imports."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "d.csv").write_text(content)
    assert main(["plan", "provider=emulator", "dataset.path=d.csv"]) == 2
    assert named in capfd.readouterr().err


def test_words_that_are_nearly_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Commands, files and modules: what was probably meant is named, exit 2."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "answers.csv").write_text("prompt_id,text,seconds\np,a,1\n")
    (tmp_path / "my_scorers.py").write_text("def short(sample):\n    return True\n")
    for words, named in [
        (["reprot"], "did you mean report?"),
        (["bogus"], "one of run, plan"),
        (["import", "answer.csv", "mine"], "did you mean answers.csv?"),
    ]:
        assert main(words) == 2
        assert named in capfd.readouterr().err
    assert main(["import", "answers.csv", "mine"]) == 0
    said = capfd.readouterr().err
    assert "--map seconds=latency_s" in said
    assert "1 record of 1 prompt under 1 setting imported" in said
    scoring = "scoring=[{name: python, path: my_scorer.short}]"
    assert main(["report", "mine", scoring]) == 2
    assert "here are my_scorers" in capfd.readouterr().err
