"""A pytest plugin: the fixture ``sweep`` runs a small sweep and holds it to gates.

::

    def test_prompt_is_good_enough(sweep):
        run = sweep(dataset="datasets/qa.jsonl", provider="openai", model="gpt-4.1-mini",
                    scoring="includes", repeats=3)
        run.check(min_score=0.8, max_error_share=0.01, confident=True)

Nothing of evalharness is imported before a test asks for the fixture.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from evalharness.api import RunFrames


class SweepRun:
    """A run of a test: its frames, and gates that fail the test.

    Attributes:
        frames: what :func:`evalharness.load` gives.
    """

    def __init__(self, frames: RunFrames) -> None:
        self.frames = frames

    def __getattr__(self, name: str) -> Any:
        """Give what the frames have: ``records()``, ``scores()``, ``agreement()``, …."""
        return getattr(self.frames, name)

    def check(
        self,
        *,
        confident: bool = False,
        setting: Sequence[str] = (),
        tag: Sequence[str] = (),
        baseline: str | None = None,
        **limits: Any,
    ) -> None:
        """Fail the test unless every setting holds every gate.

        Args:
            confident: the worse bound of the 95 % interval must hold.
            setting: only these, by label or id; empty: all.
            tag: only prompts with these tags, each by itself; empty: all.
            baseline: an earlier run that ``max_regression`` and the like compare with.
            limits: the gates of ``evalharness check``, as a file of gates has them: ``min_score``,
                ``max_cost_usd``, ``min_prompt_pass``, ``max_regression={"score": "2pp"}``, ….

        Raises:
            ConfigError: no gate, one that does not exist, or an unknown setting.
        """
        __tracebackhide__ = True
        from evalharness.cli.check.baseline import open_baseline
        from evalharness.cli.check.hold import hold_run
        from evalharness.cli.check.rules import read_rules
        from evalharness.report.build.open_run import DEFAULTS, open_run

        rules = read_rules(
            {**limits, "confident": confident, "setting": [*setting], "tag": [*tag]}, baseline
        )
        source = open_run(self.frames)
        earlier = None
        if baseline is not None:
            earlier = open_baseline(baseline, source, DEFAULTS, allow_incomplete=False)
        verdicts = [*hold_run(source, [rules], earlier)]
        if all(verdict.holds for verdict in verdicts):
            return
        lines = [verdict.sentence for verdict in verdicts]
        pytest.fail("\n".join([*lines, "", f"the run: {self.frames.root}"]), pytrace=False)


@pytest.fixture
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., SweepRun]:
    """Run a sweep in a folder of the test's own; see :func:`evalharness.run` for its arguments.

    ``results_dir="results"`` keeps the run, and a second test session asks only what is missing.
    """
    import evalharness

    def run(*overrides: str, **configuration: Any) -> SweepRun:
        configuration.setdefault("results_dir", str(tmp_path_factory.mktemp("results")))
        configuration.setdefault("name", "sweep")
        return SweepRun(evalharness.run(*overrides, progress=False, **configuration))

    return run
