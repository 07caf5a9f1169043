"""Configurations and data that cannot be run: exit 2, the key or line named, nothing sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from evalharness.cli import main

KEY = "sk-proj-" + "a1B2" * 8


@pytest.mark.parametrize(
    ("overrides", "named"),
    [
        (["params.temprature=1"], "did you mean params.temperature?"),
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


def test_a_project_s_own_configs_come_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """./configs may add options and override shipped ones."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs" / "sweep").mkdir(parents=True)
    (tmp_path / "configs" / "sweep" / "mine.yaml").write_text("top_p: [0.5, 0.9]\n")
    assert main(["run", "--cfg", "job", "sweep=mine"]) == 0
    assert "top_p:\n  - 0.5" in capfd.readouterr().out
