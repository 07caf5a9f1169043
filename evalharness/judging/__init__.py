"""A language model as judge: outputs of a run become the prompts of another run.

A judging is a run folder of its own, ``results/<run>/judge/<name>/``, so that it is throttled,
journaled, resumed, priced and verified like any other. Its prompts are the unique outputs of the
judged run, identified by their content: when more outputs come later, only the new ones are judged.
"""

from evalharness.judging.config import JudgeConfig, judging_names, judging_root
from evalharness.judging.judge_results import Judging, attach_grades, open_judging

__all__ = [
    "JudgeConfig",
    "Judging",
    "attach_grades",
    "judging_names",
    "judging_root",
    "open_judging",
]
