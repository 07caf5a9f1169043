"""What is reported while an endpoint is opened."""

from __future__ import annotations

from tests.process.conftest import log

__all__ = ["log"]
