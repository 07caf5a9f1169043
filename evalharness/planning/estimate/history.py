"""Statistics of models from recorded runs: tokens per character, cache hits, latency."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from evalharness.errors import EvalharnessError
from evalharness.planning.estimate.request_text import read_request_text
from evalharness.store.folder.run import Run
from evalharness.store.folder.run_folder import MANIFEST

Floats = NDArray[np.float64]
ModelKey = tuple[str, str]  # provider and model

_MAX_RUNS = 20  # newest first
_MAX_ROWS = 2_000  # of each run
_COLUMNS = [
    "setting_id", "status", "request_json", "prompt_tokens", "cached_tokens", "latency_s",
]  # fmt: skip


class ModelHistory(msgspec.Struct, frozen=True, kw_only=True):
    """Statistics of one model from recorded runs.

    Attributes:
        runs: names of the runs.
        prompt_tokens: as the provider counted them, by the ``key`` of
            :class:`.request_text.RequestText`.
        chars: characters of the distinct texts, at least 1; ``tokens`` belong to them.
        tokens: their prompt tokens.
        cached_share: of prompt tokens; None where no record has it.
        latency_s: mean of delivered answers; None where no record has it.
    """

    runs: list[str]
    prompt_tokens: dict[str, int]
    chars: Floats
    tokens: Floats
    cached_share: float | None
    latency_s: float | None

    def tokens_per_char(self) -> float | None:
        """The mean over all recorded texts; None without any."""
        return float(self.tokens.sum() / self.chars.sum()) if self.chars.size else None


class ModelHistoryBuilder:
    """Collects the records of one model while runs are read."""

    def __init__(self) -> None:
        self.runs: list[str] = []
        self.texts: dict[str, tuple[int, int]] = {}  # key → characters, tokens
        self.with_media: dict[str, tuple[int, int]] = {}
        self.cached = self.read = 0
        self.latencies: list[float] = []

    def add(self, row: dict[str, Any]) -> None:
        """Add one row of a records table, as ``to_pylist`` gives it."""
        tokens, cached = row["prompt_tokens"], row["cached_tokens"]
        if tokens is not None and row["request_json"] is not None:
            try:
                text = read_request_text(row["request_json"].encode())
            except msgspec.MsgspecError:
                return
            # The tokens of an image do not depend on how much text stands beside it.
            kind = self.with_media if text.media else self.texts
            kind[text.key] = (max(1, text.chars), tokens)
        if tokens is not None and cached is not None:
            self.read += tokens
            self.cached += cached
        if row["latency_s"] is not None and row["status"] != "error":
            self.latencies.append(row["latency_s"])

    def build(self) -> ModelHistory:
        """The statistics of the rows added so far."""
        chars_and_tokens = np.array(list(self.texts.values()), np.float64).reshape(-1, 2)
        return ModelHistory(
            runs=self.runs,
            prompt_tokens={
                key: tokens for key, (_, tokens) in {**self.texts, **self.with_media}.items()
            },
            chars=chars_and_tokens[:, 0],
            tokens=chars_and_tokens[:, 1],
            cached_share=self.cached / self.read if self.read else None,
            latency_s=float(np.mean(self.latencies)) if self.latencies else None,
        )


def read_model_histories(
    results: Path, keys: Iterable[ModelKey], *, first: Sequence[str] = ()
) -> tuple[dict[ModelKey, ModelHistory], list[str]]:
    """Read the statistics of some models from the runs under ``results``.

    Up to 2,000 records of each of the 20 newest runs are read.

    Args:
        results: the folder of run folders.
        keys: (provider, model) pairs.
        first: names of runs to read whatever their age.

    Returns:
        Histories by model, only of models that some run has; and names of runs that cannot be
        read.
    """
    models = set(keys)
    manifests = list(results.glob(f"*/{MANIFEST}"))
    manifests.sort(key=lambda path: (path.parent.name in first, path.stat().st_mtime), reverse=True)
    builders: dict[ModelKey, ModelHistoryBuilder] = {}
    unreadable: list[str] = []
    for path in manifests[:_MAX_RUNS]:
        try:
            _read(Run.open(path.parent), models, builders)
        except (EvalharnessError, OSError):
            unreadable.append(path.parent.name)
    return {model: builder.build() for model, builder in builders.items()}, unreadable


def _read(run: Run, models: set[ModelKey], builders: dict[ModelKey, ModelHistoryBuilder]) -> None:
    model_of_setting = {s.setting_id: (s.provider, s.model) for s in run.setting_list}
    present = models & set(model_of_setting.values())
    if not present:
        return
    rows = run.sample("records", _COLUMNS, _MAX_ROWS).to_pylist()
    for row in rows:
        model = model_of_setting.get(row["setting_id"])
        if model in present:
            builder = builders.setdefault(model, ModelHistoryBuilder())
            if run.name not in builder.runs:
                builder.runs.append(run.name)
            builder.add(row)
