"""Text for messages to people: a number with its noun, and the name that was probably meant."""

from __future__ import annotations

from collections.abc import Iterable


def plural(number: int, noun: str, several: str | None = None) -> str:
    """``1 prompt``, ``12 prompts``; ``several`` is a plural that is not formed with an s."""
    return f"{number:,} {noun if number == 1 else several or f'{noun}s'}"


def first_names(names: Iterable[str], limit: int = 50) -> str:
    """The first names of many, for a message, and how many more there are; ``none`` of none."""
    names = list(names)
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return (", ".join(names[:limit]) or "none") + more


def closest(name: str, options: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """The option that is spelled most like ``name``; None where none is similar enough."""
    return next(iter(closest_few(name, options, 1, cutoff=cutoff)), None)


def closest_few(name: str, options: Iterable[str], count: int, *, cutoff: float = 0.6) -> list[str]:
    """Up to ``count`` options that are spelled like ``name``, the most similar first.

    ``cutoff`` is the smallest similarity that counts: 1 is equal, 0 has no character in common.
    """
    import difflib  # only a wrong name needs it

    return difflib.get_close_matches(name, list(options), n=count, cutoff=cutoff)


def did_you_mean(*names: str) -> str:
    """The hint that proposes what was probably meant."""
    return f"did you mean {', '.join(names)}?"
