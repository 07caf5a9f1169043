"""Agreement broken down by what two repeats of a request had in common.

Each table splits the pairs of repeats of the same request into groups and gives the agreement in
each group: the mean over prompts of the share of equal pairs. These are observations, not
experiments: a group may differ because its prompts do.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np

from evalharness.analysis.agreement.within_prompt_contrasts import (
    CONTRASTED,
    GroupComparison,
    WithinPromptContrast,
    contrasts,
    groups_to_compare,
)
from evalharness.analysis.data import json_values
from evalharness.analysis.data.batches import in_batch
from evalharness.analysis.data.encode import UNKNOWN, Floats, Ints, take
from evalharness.analysis.data.frame import RunFrame
from evalharness.analysis.data.output_texts import text_lengths
from evalharness.analysis.data.repeat_pairs import (
    BLOCK_PAIRS,
    MAX_PAIRS,
    RepeatPairs,
    count_pairs,
    mean_agreement,
    pairs_of_repeats,
)

#: A table of groups: their names, and the group of each pair (-1: in none).
Groups = tuple[list[str], Ints]

MAX_LISTED = 10  # models and fingerprints that get a row of their own

_GAPS_S = (1.0, 10.0, 60.0, 600.0, 3600.0)
_GAP_NAMES = ["< 1 s", "1-10 s", "10-60 s", "1-10 min", "10-60 min", ">= 1 h"]
_IN_FLIGHT = (2.0, 5.0, 17.0, 65.0, 257.0)
_IN_FLIGHT_NAMES = ["1", "2-4", "5-16", "17-64", "65-256", "> 256"]
_LENGTHS = (21.0, 101.0, 501.0, 2001.0, 10001.0)
_LENGTH_NAMES = ["0-20", "21-100", "101-500", "501-2000", "2001-10000", "> 10000"]


class PairGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Pairs of repeats that have something in common.

    Attributes:
        group: what they have in common.
        agreement: mean over prompts of the share of equal pairs; null where undefined.
        pairs: how many pairs are in the group.
        prompts: how many prompts have such pairs.
    """

    group: str
    agreement: float | None
    pairs: int
    prompts: int


class Breakdown(msgspec.Struct, frozen=True, kw_only=True):
    """The agreement of a setting by what pairs of repeats have in common.

    Groups are in a fixed order; those without pairs are left out.

    Attributes:
        all_pairs: whether every pair was compared.
        system_fingerprint, response_model: equal, different, unknown (either is null); then the
            commonest values that both repeats have.
        time_gap: by the time between the two being sent.
        in_flight: by the larger number of requests in flight.
        output_length: by the longer output's text, in characters.
        cached_tokens: in neither, one or both prompts.
        contrasts: two groups of a table compared within the same prompts.
    """

    all_pairs: bool
    system_fingerprint: list[PairGroup]
    response_model: list[PairGroup]
    time_gap: list[PairGroup]
    in_flight: list[PairGroup]
    output_length: list[PairGroup]
    cached_tokens: list[PairGroup]
    contrasts: list[WithinPromptContrast]


def breakdowns(frame: RunFrame, limit: int = MAX_PAIRS) -> list[Breakdown]:
    """Break down the agreement of each setting by what pairs of repeats have in common.

    Args:
        frame: the run.
        limit: about how many pairs are compared in all (see :func:`.pairs_of_repeats`).

    Returns:
        One a setting, in the frame's order.

    """
    pairs = pairs_of_repeats(frame, limit)
    tables: dict[str, Callable[[RunFrame, RepeatPairs], list[Groups]]] = {
        "system_fingerprint": lambda f, p: _shared_value(f, p, "system_fingerprint"),
        "response_model": lambda f, p: _shared_value(f, p, "response_model"),
        "time_gap": lambda f, p: [_time_gap(f, p)],
        "in_flight": lambda f, p: [_in_flight(f, p)],
        "output_length": lambda f, p: [_output_length(f, p)],
        "cached_tokens": lambda f, p: [_cached_tokens(f, p)],
    }
    groups_of: list[dict[str, list[PairGroup]]] = [
        {name: [] for name in tables} for _ in frame.setting_ids
    ]
    compared: dict[str, GroupComparison] = {}
    for name, table in tables.items():
        for index, (names, group) in enumerate(table(frame, pairs)):
            counts, equal = count_pairs(pairs, group, len(names), frame.cells)
            _append_groups(frame, names, counts, equal, [row[name] for row in groups_of])
            if name in CONTRASTED and index == 0:
                groups = groups_to_compare(name, counts)
                if groups is not None:
                    indices = list(groups)
                    compared[name] = GroupComparison(names, groups, counts[indices], equal[indices])
    return [
        Breakdown(all_pairs=pairs.complete, contrasts=setting_contrasts, **setting_groups)
        for setting_groups, setting_contrasts in zip(
            groups_of, contrasts(frame, compared), strict=True
        )
    ]


def _append_groups(
    frame: RunFrame, names: list[str], counts: Ints, equal: Ints, groups: list[list[PairGroup]]
) -> None:
    for index, name in enumerate(names):
        share, n, with_pairs = mean_agreement(counts[index], equal[index], len(frame.prompt_ids))
        for s in np.flatnonzero(n).tolist():
            groups[s].append(
                PairGroup(
                    group=name,
                    agreement=json_values.number(share[s]),
                    pairs=int(n[s]),
                    prompts=int(with_pairs[s]),
                )
            )


def _shared_value(frame: RunFrame, pairs: RepeatPairs, column: str) -> list[Groups]:
    codes, names = frame.codes(column)
    left, right = codes[pairs.left], codes[pairs.right]
    known = (left != UNKNOWN) & (right != UNKNOWN)
    group = np.where(known, left != right, np.int8(2))
    # A row for each value says more only when there are several values.
    if len(names) < 2:
        return [(["equal", "different", "unknown"], group)]
    shared = left[group == 0]
    counts = np.bincount(shared, minlength=len(names))
    top = sorted(np.flatnonzero(counts).tolist(), key=lambda i: (-counts[i], names[i]))[:MAX_LISTED]
    row_of = np.full(len(names) + 1, UNKNOWN, np.int8)  # the last is that of an unknown value
    row_of[top] = np.arange(len(top))
    by_value = np.where(group == 0, row_of[left], np.int8(UNKNOWN))
    values = [f"both {names[i]}" for i in top]
    return [(["equal", "different", "unknown"], group), (values, by_value)]


def _time_gap(frame: RunFrame, pairs: RepeatPairs) -> Groups:
    # When a request in a batch was served, nobody knows.
    sent = np.where(in_batch(frame), np.nan, frame.values("sent_at"))
    group = np.empty(len(pairs.left), np.int8)
    for start in range(
        0, len(group), BLOCK_PAIRS
    ):  # numbers of 8 bytes a pair, some pairs at a time
        part = slice(start, start + BLOCK_PAIRS)
        gap = np.abs(sent[pairs.right[part]] - sent[pairs.left[part]])
        group[part] = _bins(gap, _GAPS_S)
    return [*_GAP_NAMES, "unknown"], group


def _in_flight(frame: RunFrame, pairs: RepeatPairs) -> Groups:
    return _larger(frame.values("in_flight"), pairs, _IN_FLIGHT, _IN_FLIGHT_NAMES)


def _output_length(frame: RunFrame, pairs: RepeatPairs) -> Groups:
    chars = take(text_lengths(frame.records, "text"), frame.rows)
    return _larger(chars, pairs, _LENGTHS, _LENGTH_NAMES)


def _larger(
    values: Floats, pairs: RepeatPairs, edges: tuple[float, ...], names: list[str]
) -> Groups:
    """Group pairs by the larger value of the two records."""
    group = _bins(values, edges)
    return [*names, "unknown"], np.maximum(group[pairs.left], group[pairs.right])


def _bins(values: Floats, edges: tuple[float, ...]) -> Ints:
    """How many edges each value has reached; one more than the number of edges for NaN."""
    reached = np.zeros(len(values), np.int8)
    for edge in edges:
        reached += values >= edge
    reached[np.isnan(values)] = len(edges) + 1
    return reached


def _cached_tokens(frame: RunFrame, pairs: RepeatPairs) -> Groups:
    tokens = frame.values("cached_tokens")
    hit = np.where(np.isnan(tokens), np.int8(3), (tokens > 0).astype(np.int8))
    group = np.minimum(hit[pairs.left] + hit[pairs.right], 3)
    return ["neither", "one", "both", "unknown"], group
