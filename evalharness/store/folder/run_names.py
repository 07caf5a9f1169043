"""The names that tell several opened runs apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from evalharness.errors import ConfigError
from evalharness.store.folder.run import Run

R = TypeVar("R", bound=Run)


def runs_by_name(opened: Sequence[tuple[str, R]]) -> dict[str, R]:
    """Runs by their names, or by what was typed for them where two have one name.

    Args:
        opened: each with what was typed for it.

    Raises:
        ConfigError: one is named twice.
    """
    roots = [run.root.resolve() for _, run in opened]
    twice = [word for (word, _), root in zip(opened, roots, strict=True) if roots.count(root) > 1]
    if twice:
        raise ConfigError(f"the same run is named twice: {', '.join(twice)}")
    names = [run.name for _, run in opened]
    return {word if names.count(run.name) > 1 else run.name: run for word, run in opened}
