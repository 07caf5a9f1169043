"""How alike two settings are on each prompt, beside how alike the repeats of each are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from evalharness.analysis.across.output_counts import Kind, OutputCounts, count_outputs
from evalharness.analysis.data import json_values
from evalharness.analysis.data.encode import Floats, Ints
from evalharness.analysis.data.join_runs import JoinedRuns, SettingColumn

MAX_PROMPTS = 5  # least alike, named in each pair

SettingPairs = Sequence[tuple[SettingColumn, SettingColumn]]


class PromptAcross(msgspec.Struct, frozen=True, kw_only=True):
    """A prompt on which two settings are less alike than their own repeats.

    Attributes:
        prompt_id: the prompt.
        across: chance that a repeat of one equals a repeat of the other.
        own_a, own_b: pairwise agreement of each setting; null below two repeats.
    """

    prompt_id: str
    across: float
    own_a: float | None
    own_b: float | None


class PromptShares(NamedTuple):
    """The agreement of two settings, one entry a joined prompt; NaN where undefined."""

    across: Floats
    own_a: Floats
    own_b: Floats

    @property
    def own_minus_across(self) -> Floats:
        """How much further apart the settings are than the repeats of each."""
        return (self.own_a + self.own_b) / 2.0 - self.across


def prompt_pair_rows(
    joined: JoinedRuns, pairs: SettingPairs
) -> Iterator[tuple[SettingColumn, SettingColumn, Kind, Iterator[PromptAcross]]]:
    """The prompts of each pair of settings that have an output in both, by text and by answer."""
    counted: dict[Kind, list[OutputCounts] | None] = {
        "text": count_outputs(joined, "text"),
        "answer": count_outputs(joined, "answer"),
    }
    for a, b in pairs:
        for kind, outputs in counted.items():
            if outputs is not None:
                shares = prompt_shares(outputs[a.index], outputs[b.index])
                rows = np.flatnonzero(np.isfinite(shares.across)).tolist()
                yield a, b, kind, _prompts(joined, shares, rows)


def prompt_shares(a: OutputCounts, b: OutputCounts) -> PromptShares:
    """The agreement across two settings, and of each, by joined prompt."""
    prompt, in_a, in_b = merge_outputs(a, b)
    equal = np.bincount(prompt, in_a * in_b, minlength=len(a.n))
    pairs = (a.n * b.n).astype(np.float64)
    across = np.where(pairs > 0, equal / np.maximum(pairs, 1.0), np.nan)
    return PromptShares(across, a.own, b.own)


def merge_outputs(a: OutputCounts, b: OutputCounts) -> tuple[Ints, Ints, Ints]:
    """The outputs of both, by prompt: its prompt, and how often each setting gave it."""
    key = np.sort(np.concatenate([a.key, b.key]), kind="stable")  # merges two sorted parts
    key = key[np.r_[True, key[1:] != key[:-1]][: key.size]]
    counts = [np.zeros(key.size, np.int64) for _ in (a, b)]
    for count, side in zip(counts, (a, b), strict=True):
        count[np.searchsorted(key, side.key)] = side.repeats
    return key // a.width, counts[0], counts[1]


def least_alike(joined: JoinedRuns, shares: PromptShares) -> list[PromptAcross]:
    """Up to :data:`MAX_PROMPTS` prompts less alike across than within, the least alike first."""
    apart = np.where(np.isfinite(shares.own_minus_across), shares.own_minus_across, -np.inf)
    if apart.size > 10 * MAX_PROMPTS:
        some = np.argpartition(-apart, MAX_PROMPTS)[:MAX_PROMPTS]
    else:
        some = np.arange(apart.size)
    some = np.sort(some)
    ordered = some[np.argsort(-apart[some], kind="stable")][:MAX_PROMPTS]
    return list(_prompts(joined, shares, [int(row) for row in ordered if apart[row] > 1e-12]))


def _prompts(
    joined: JoinedRuns, shares: PromptShares, rows: Sequence[int]
) -> Iterator[PromptAcross]:
    for row in rows:
        yield PromptAcross(
            prompt_id=joined.prompt_ids[row],
            across=float(shares.across[row]),
            own_a=json_values.number(shares.own_a[row]),
            own_b=json_values.number(shares.own_b[row]),
        )
