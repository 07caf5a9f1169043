"""What all tests share."""

from __future__ import annotations

from hypothesis import settings

# A slow moment of the machine is no failure of the code.
settings.register_profile("evalharness", deadline=None)
settings.load_profile("evalharness")
