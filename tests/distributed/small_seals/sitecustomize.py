"""Found by every Python that a test's Ray starts: a part is due after few trials. Not a test."""

from __future__ import annotations

from evalharness.store.parts import seal

seal.SEAL_TRIALS = 16
