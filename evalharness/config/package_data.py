"""The data files of the package: a checkout's folders, or the wheel's copies."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

_PACKAGE = Path(__file__).resolve().parents[1]


def package_data_dir(kind: Literal["configs", "datasets"]) -> Path:
    """The folder of shipped configurations or datasets.

    In a checkout (and an editable install) it is the top-level folder beside the package, so that
    an edited file takes effect at once; an installed wheel carries a copy inside the package.
    Beside an installed package any folder may happen to be called ``datasets``, which is why the
    wheel's copy is looked for first.
    """
    inside = _PACKAGE / "_shipped" / kind
    return inside if inside.is_dir() else _PACKAGE.parent / kind
