"""Estimates before spending: the tokens, dollars and seconds that the rest of a plan will take.

:func:`estimate_plan` combines prompt tokens (:mod:`.prompt_tokens`), output tokens
(:mod:`.output_tokens`), dollars (:mod:`.cost_range`) and time (:mod:`.duration`); :mod:`.history`
reads the recorded runs they are based on; :mod:`.pilot` chooses a few trials to send first.
"""

from evalharness.planning.estimate.estimate import Estimate, estimate_plan, remaining_trials
from evalharness.planning.estimate.ranges import EstimateRange
from evalharness.planning.estimate.worst_case import worst_case

__all__ = ["Estimate", "EstimateRange", "estimate_plan", "remaining_trials", "worst_case"]
