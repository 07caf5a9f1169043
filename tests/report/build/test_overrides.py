"""What a report command may replace."""

from __future__ import annotations

import math

import pytest

from evalharness.errors import ConfigError
from evalharness.report.build.overrides import parse_overrides


@pytest.mark.parametrize("volume", [math.nan, math.inf, -5.0, 0.0, 1e300])
def test_a_volume_is_a_number_of_requests(volume: float) -> None:
    """Costs are projected to at least one request, and to no more than can be."""
    with pytest.raises(ConfigError, match="--volume must be a number of requests"):
        parse_overrides([], volume=volume)
    assert parse_overrides([], volume=1000.0).volume == 1000
