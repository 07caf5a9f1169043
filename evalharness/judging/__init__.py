"""A language model as judge: outputs of a run become the prompts of another run.

A judging is a run folder of its own, ``results/<run>/judge/<name>/``, so that it is throttled,
journaled, resumed, priced and verified like any other. Its prompts are the distinct outputs of the
judged run, named by their content: more outputs later cost only the new ones.
"""

from evalharness.judging.config import JudgeConfig, judging_root, judgings
from evalharness.judging.judge_results import Judging, bind, open_judging

__all__ = ["JudgeConfig", "Judging", "bind", "judging_root", "judgings", "open_judging"]
