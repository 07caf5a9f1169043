"""Agreement broken down by what two repeats of a request had in common.

Each table splits the pairs of repeats of the same request into groups and gives the agreement
within each: the mean over prompts of the share of equal pairs. These are observations, not
experiments: a group may differ because its prompts do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from evalharness.analysis.agreement.within_prompt_contrasts import (
    COMPARED,
    Compared,
    chosen,
    contrasts,
)
from evalharness.analysis.data import json_values
from evalharness.analysis.data.encode import UNKNOWN, Floats, Ints, picked
from evalharness.analysis.data.frame import Frame
from evalharness.analysis.data.output_texts import text_lengths
from evalharness.analysis.data.pairs import (
    BLOCK,
    LIMIT,
    Pairs,
    counted,
    mean_agreement,
    pairs_of_repeats,
)

#: A table of groups: their names, and the group of each pair (-1: in none).
Groups = tuple[list[str], Ints]

LISTED = 10  # models and fingerprints that get a row of their own

_GAPS_S = (1.0, 10.0, 60.0, 600.0, 3600.0)
_GAP_NAMES = ["< 1 s", "1-10 s", "10-60 s", "1-10 min", "10-60 min", ">= 1 h"]
_IN_FLIGHT = (2.0, 5.0, 17.0, 65.0, 257.0)
_IN_FLIGHT_NAMES = ["1", "2-4", "5-16", "17-64", "65-256", "> 256"]
_LENGTHS = (21.0, 101.0, 501.0, 2001.0, 10001.0)
_LENGTH_NAMES = ["0-20", "21-100", "101-500", "501-2000", "2001-10000", "> 10000"]


def breakdowns(frame: Frame, limit: int = LIMIT) -> list[dict[str, Any]]:
    """Break the agreement of every setting down by what pairs of repeats share.

    Args:
        frame: the run.
        limit: about how many pairs are looked at in all (see :func:`.pairs_of_repeats`).

    Returns:
        One a setting, table by table a list of rows ``{"group", "agreement", "pairs",
        "prompts"}`` in a fixed order, groups without pairs left out:

        * ``system_fingerprint``, ``served_model``: equal, different, unknown (either is null),
          then the commonest values that both repeats share;
        * ``time_gap``: between the two being sent;
        * ``in_flight``: the larger number of requests in flight;
        * ``output_length``: the longer output's text, in characters;
        * ``cached_tokens``: in neither, one or both prompts.

        ``contrasts`` (see :func:`.within_prompt_contrasts.contrasts`) compares two groups of a
        table within the same prompts; ``all_pairs`` says whether every pair was looked at.

    """
    pairs = pairs_of_repeats(frame, limit)
    tables: dict[str, Callable[[Frame, Pairs], list[Groups]]] = {
        "system_fingerprint": lambda f, p: _shared_value(f, p, "system_fingerprint"),
        "served_model": lambda f, p: _shared_value(f, p, "served_model"),
        "time_gap": lambda f, p: [_time_gap(f, p)],
        "in_flight": lambda f, p: [_in_flight(f, p)],
        "output_length": lambda f, p: [_output_length(f, p)],
        "cached_tokens": lambda f, p: [_cached(f, p)],
    }
    out: list[dict[str, Any]] = [{"all_pairs": pairs.complete} for _ in frame.setting_ids]
    compared: dict[str, Compared] = {}
    for name, table in tables.items():
        for row in out:
            row[name] = []
        for place, (names, group) in enumerate(table(frame, pairs)):
            every, same = counted(pairs, group, len(names), frame.cells)
            _append(frame, names, every, same, [row[name] for row in out])
            if name in COMPARED and place == 0:
                ends = chosen(name, every)
                if ends is not None:
                    compared[name] = Compared(names, ends, every[list(ends)], same[list(ends)])
    for row, told in zip(out, contrasts(frame, compared), strict=True):
        row["contrasts"] = told
    return out


def _append(frame: Frame, names: list[str], every: Ints, same: Ints, rows: list[list[Any]]) -> None:
    for index, name in enumerate(names):
        share, n, with_pairs = mean_agreement(every[index], same[index], len(frame.prompt_ids))
        for s in np.flatnonzero(n).tolist():
            rows[s].append(
                {
                    "group": name,
                    "agreement": json_values.number(share[s]),
                    "pairs": int(n[s]),
                    "prompts": int(with_pairs[s]),
                }
            )


def _shared_value(frame: Frame, pairs: Pairs, column: str) -> list[Groups]:
    codes, names = frame.codes(column)
    left, right = codes[pairs.left], codes[pairs.right]
    known = (left != UNKNOWN) & (right != UNKNOWN)
    alike = np.where(known, left != right, np.int8(2))
    # A value's own row says more only when there are several values.
    if len(names) < 2:
        return [(["equal", "different", "unknown"], alike)]
    shared = left[alike == 0]
    counts = np.bincount(shared, minlength=len(names))
    top = sorted(np.flatnonzero(counts).tolist(), key=lambda i: (-counts[i], names[i]))[:LISTED]
    place = np.full(len(names) + 1, UNKNOWN, np.int8)  # the last is that of an unknown value
    place[top] = np.arange(len(top))
    own = np.where(alike == 0, place[left], np.int8(UNKNOWN))
    return [(["equal", "different", "unknown"], alike), ([f"both {names[i]}" for i in top], own)]


def _time_gap(frame: Frame, pairs: Pairs) -> Groups:
    sent = frame.values("sent_at")
    found = np.empty(len(pairs.left), np.int8)
    for start in range(0, len(found), BLOCK):  # numbers of 8 bytes a pair, some pairs at a time
        part = slice(start, start + BLOCK)
        gap = np.abs(sent[pairs.right[part]] - sent[pairs.left[part]])
        found[part] = _bins(gap, _GAPS_S)
    return [*_GAP_NAMES, "unknown"], found


def _in_flight(frame: Frame, pairs: Pairs) -> Groups:
    return _larger(frame.values("in_flight"), pairs, _IN_FLIGHT, _IN_FLIGHT_NAMES)


def _output_length(frame: Frame, pairs: Pairs) -> Groups:
    chars = picked(text_lengths(frame.records, "text", frame.held), frame.rows)
    return _larger(chars, pairs, _LENGTHS, _LENGTH_NAMES)


def _larger(values: Floats, pairs: Pairs, edges: tuple[float, ...], names: list[str]) -> Groups:
    """Group pairs by the larger figure of the two: the larger of the two groups."""
    group = _bins(values, edges)
    return [*names, "unknown"], np.maximum(group[pairs.left], group[pairs.right])


def _bins(values: Floats, edges: tuple[float, ...]) -> Ints:
    """How many of the edges each value has reached; one more than there are for NaN."""
    reached = np.zeros(len(values), np.int8)
    for edge in edges:
        reached += values >= edge
    reached[np.isnan(values)] = len(edges) + 1
    return reached


def _cached(frame: Frame, pairs: Pairs) -> Groups:
    tokens = frame.values("cached_tokens")
    hit = np.where(np.isnan(tokens), np.int8(3), (tokens > 0).astype(np.int8))
    group = np.minimum(hit[pairs.left] + hit[pairs.right], 3)
    return ["neither", "one", "both", "unknown"], group
