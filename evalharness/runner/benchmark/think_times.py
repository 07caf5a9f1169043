"""Think times: how long a user takes from an answer to the next turn, by seed and turn alone.

The same turn has the same think time on every machine and under every setting, in whatever order
the answers come.
"""

from __future__ import annotations

import math
from statistics import NormalDist

from evalharness.config.models import LoadConfig, ThinkConfig
from evalharness.records import Trial, digest

_NORMAL = NormalDist()


def think_time_s(load: LoadConfig, turn: Trial) -> float:
    """Seconds from the answer before a turn to the turn itself; 0 without ``load.think_s``.

    ``exponential``: -m ln u. ``lognormal``: exp(μ + σ Φ⁻¹(u)) with σ² = ln(1 + cv²) and
    μ = ln m - σ²/2, whose mean is m. u is uniform in (0, 1), by ``load.seed``, prompt and repeat.
    """
    think = load.think_s
    if not isinstance(think, ThinkConfig):
        return think or 0.0
    seconds = think.mean_s
    if think.distribution != "fixed" and seconds:
        u = _uniform(load.seed, turn)
        if think.distribution == "exponential":
            seconds = -think.mean_s * math.log(u)
        else:
            variance = math.log1p((think.cv or 1.0) ** 2)
            normal = math.sqrt(variance) * _NORMAL.inv_cdf(u)
            seconds = math.exp(math.log(think.mean_s) - variance / 2 + normal)
    return seconds if think.max_s is None else min(seconds, think.max_s)


def _uniform(seed: int, turn: Trial) -> float:
    """A number in (0, 1), neither end included."""
    name = f"{seed}.{turn.repeat}.{turn.prompt.prompt_id}"
    bits = int(digest(name.encode())[:13], 16)  # 52, all of which a float keeps
    return (bits + 0.5) / (1 << 52)
