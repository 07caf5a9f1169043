"""Before spending: how many tokens, dollars and seconds what is left of a plan will take.

:func:`estimate` puts together prompt tokens (:mod:`.prompts`), output tokens (:mod:`.outputs`),
dollars (:mod:`.dollars`) and time (:mod:`.duration`); :mod:`.observed` reads the recorded runs they
rest on; :mod:`.pilot` chooses a few trials to send first.
"""

from evalharness.estimate.parts import Range
from evalharness.estimate.whole import Estimate, estimate, left
from evalharness.estimate.worst import worst_case

__all__ = ["Estimate", "Range", "estimate", "left", "worst_case"]
