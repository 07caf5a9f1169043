"""docs/choose-a-prompt.md: what it says to type is a run of two named prompts."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from evalharness.cli import main

PAGE = Path(__file__).parents[2] / "docs" / "choose-a-prompt.md"


def test_the_pages_command_is_a_run_of_two_named_prompts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the files beside the page: 40 questions, two settings, two repeats."""
    if not PAGE.exists():
        pytest.skip("the pages are only in a checkout")
    monkeypatch.chdir(PAGE.with_suffix(""))
    (typed,) = re.findall(
        r"```sh\n(evalharness run dataset\.path.*?)```", PAGE.read_text(), re.DOTALL
    )
    words = shlex.split(typed.replace("\\\n", " "))[2:]
    assert main(["plan", "--json", *words, "provider=emulator"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["settings"] == ["system=plain", "system=examples"]
    assert facts["trials"] == 160


def test_the_script_makes_the_same_run() -> None:
    """The picture on the page is of the run that the page describes."""
    if not PAGE.exists():
        pytest.skip("the pages are only in a checkout")
    page = PAGE.read_text()
    script = PAGE.with_suffix("").joinpath("make.sh").read_text()
    for word in (
        "dataset.path=capitals.jsonl",
        "scoring=includes repeats=2",
        "params.temperature=0.3 params.max_tokens=64",
        '\'sweep.system={plain: "@prompts/plain.txt", examples: "@prompts/examples.txt"}\'',
    ):
        assert word in page  # fmt: skip
        assert word in script
    assert "(choose-a-prompt/report.png)" in page
