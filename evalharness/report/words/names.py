"""Lists of names within a sentence."""

from __future__ import annotations

from collections.abc import Sequence

from evalharness.process.text import plural


def and_more(name: str, others: int, noun: str = "setting") -> str:
    """``a``, or ``a and 2 more settings``."""
    return f"{name} and {plural(others, f'more {noun}')}" if others else name


def join_names(names: Sequence[str], limit: int) -> str:
    """``a, b and c``; beyond ``limit`` names the rest are counted.

    Where a name contains a comma, all are separated by semicolons.
    """
    rest = len(names) - limit
    shown = list(names) if rest <= 1 else [*names[:limit], f"{rest} more"]
    if any("," in name for name in shown):
        return "; ".join(shown)
    return ", ".join(shown[:-1]) + (" and " if len(shown) > 1 else "") + "".join(shown[-1:])
