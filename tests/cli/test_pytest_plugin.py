"""The pytest plugin in a pytest of its own: gates that hold, and one that does not."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import evalharness

_TESTS = """
from evalharness.errors import ConfigError
import pytest

async def answer(prompt, params):
    return "4" if "2 + 2" in prompt or params["temperature"] == 0 else "5"

def run_it(sweep):
    rows = [{"prompt": f"What is 2 + 2? {n}", "target": "4"} for n in range(8)]
    rows += [{"prompt": f"What is 1 + 3? {n}", "target": "4"} for n in range(8)]
    return sweep(call=answer, dataset=rows, sweep={"temperature": [0, 1]}, scoring="exact", repeats=2)

def test_good(sweep):
    run = run_it(sweep)
    run.check(min_agreement=0.9, max_error_share=0)
    run.check(min_score=0.9, setting=["T=0"])
    run.check(min_prompt_pass=1, max_regression={"score": "2pp"}, setting=["T=0"],
              baseline=str(run_it(sweep).root))
    assert len(run.records()) == 64

def test_bad(sweep):
    run_it(sweep).check(min_score=0.9, confident=True)

def test_typo(sweep):
    with pytest.raises(ConfigError, match="did you mean min_score"):
        run_it(sweep).check(min_scor=0.9)
"""


def test_gates_fail_with_the_sentences_of_check(tmp_path: Path) -> None:
    """Two tests pass; the third fails with a verdict on each setting and no traceback of ours."""
    (tmp_path / "test_sweep.py").write_text(_TESTS)
    root = str(Path(evalharness.__file__).parents[1])
    # An installation registers the plugin by itself; a checkout on the path does not.
    is_installed = any(point.name == "evalharness" for point in entry_points(group="pytest11"))
    plugin = [] if is_installed else ["-p", "evalharness.cli.pytest_plugin"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *plugin, "-p", "no:cacheprovider", "test_sweep.py"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": root},
    )  # fmt: skip
    assert "1 failed, 2 passed" in done.stdout, done.stdout
    assert "FAIL T=1: mean score 0.5 (95 % bound" in done.stdout
    assert "needed ≥ 0.9" in done.stdout
    assert "ok   T=0: mean score 1" not in done.stdout  # its lower bound is below 0.9
    assert "pytest_plugin.py" not in done.stdout
