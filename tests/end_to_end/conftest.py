"""The real command against real emulators."""

from __future__ import annotations

from tests.cli.conftest import evalharness, in_process
from tests.durability.conftest import emulate, fork_server

__all__ = ["emulate", "evalharness", "fork_server", "in_process"]
