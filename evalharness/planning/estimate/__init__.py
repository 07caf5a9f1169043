"""Before spending: how many tokens, dollars and seconds what is left of a plan will take.

:func:`estimate` puts together prompt tokens (:mod:`.prompt_tokens`), output tokens
(:mod:`.output_tokens`), dollars (:mod:`.dollars`) and time (:mod:`.duration`); :mod:`.history`
reads the recorded runs they rest on; :mod:`.pilot` chooses a few trials to send first.
"""

from evalharness.planning.estimate.estimate import Estimate, estimate, left
from evalharness.planning.estimate.ranges import Range
from evalharness.planning.estimate.worst_case import worst_case

__all__ = ["Estimate", "Range", "estimate", "left", "worst_case"]
