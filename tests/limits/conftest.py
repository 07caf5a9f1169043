"""The real command against real emulators, as the durability tests have them."""

from __future__ import annotations

from tests.durability.conftest import emulate, zygote

__all__ = ["emulate", "zygote"]
