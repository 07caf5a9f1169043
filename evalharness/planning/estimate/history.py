"""What recorded runs tell about a model: tokens a character, cache hits, seconds an answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from evalharness.errors import EvalharnessError
from evalharness.planning.estimate.request_text import weigh
from evalharness.store.folder.run import Run
from evalharness.store.folder.run_folder import MANIFEST

Floats = NDArray[np.float64]
Model = tuple[str, str]  # provider and model

_MOST_RUNS = 20  # newest first
_MOST_ROWS = 2_000  # of each run
_COLUMNS = [
    "setting_id", "status", "request_json", "prompt_tokens", "cached_tokens", "latency_s",
]  # fmt: skip


class ModelFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Facts of one model from recorded runs.

    Attributes:
        runs: names of the runs.
        prompt_tokens: by the text's key, as the provider counted them.
        chars: characters of the distinct texts, at least 1; ``tokens`` belong to them.
        tokens: their prompt tokens.
        cached_share: of prompt tokens; None where no record says.
        latency_s: mean of delivered answers; None where no record says.
    """

    runs: list[str]
    prompt_tokens: dict[str, int]
    chars: Floats
    tokens: Floats
    cached_share: float | None
    latency_s: float | None

    def tokens_per_char(self) -> float | None:
        """Of all recorded texts together; None without any."""
        return float(self.tokens.sum() / self.chars.sum()) if self.chars.size else None


class _Gathered:
    """Facts of a model while runs are read."""

    def __init__(self) -> None:
        self.runs: list[str] = []
        self.texts: dict[str, tuple[int, int]] = {}  # key → characters, tokens
        self.cached = self.read = 0
        self.latencies: list[float] = []

    def add(self, row: dict[str, Any]) -> None:
        tokens, cached = row["prompt_tokens"], row["cached_tokens"]
        if tokens is not None and row["request_json"] is not None:
            try:
                text = weigh(row["request_json"].encode())
            except msgspec.MsgspecError:
                return
            self.texts[text.key] = (max(1, text.chars), tokens)
        if tokens is not None and cached is not None:
            self.read += tokens
            self.cached += cached
        if row["latency_s"] is not None and row["status"] != "error":
            self.latencies.append(row["latency_s"])

    def facts(self) -> ModelFacts:
        pairs = np.array(list(self.texts.values()), np.float64).reshape(-1, 2)
        return ModelFacts(
            runs=self.runs,
            prompt_tokens={key: tokens for key, (_, tokens) in self.texts.items()},
            chars=pairs[:, 0],
            tokens=pairs[:, 1],
            cached_share=self.cached / self.read if self.read else None,
            latency_s=float(np.mean(self.latencies)) if self.latencies else None,
        )


def facts_of(rows: Iterable[dict[str, Any]]) -> ModelFacts:
    """The facts of one model from rows of a records table (as ``to_pylist`` gives them)."""
    gathered = _Gathered()
    for row in rows:
        gathered.add(row)
    return gathered.facts()


def read_models(
    results: Path, wanted: Iterable[Model], *, first: Sequence[str] = ()
) -> tuple[dict[Model, ModelFacts], list[str]]:
    """Read what the runs under ``results`` tell about some models.

    Up to 2,000 records of each of the 20 newest runs are read.

    Args:
        results: the folder of run folders.
        wanted: (provider, model) pairs.
        first: names of runs to read whatever their age.

    Returns:
        Facts by model, only of models that some run has; and names of runs that cannot be read.
    """
    models = set(wanted)
    manifests = list(results.glob(f"*/{MANIFEST}"))
    manifests.sort(key=lambda path: (path.parent.name in first, path.stat().st_mtime), reverse=True)
    found: dict[Model, _Gathered] = {}
    unreadable: list[str] = []
    for path in manifests[:_MOST_RUNS]:
        try:
            _read(Run.open(path.parent), models, found)
        except (EvalharnessError, OSError):
            unreadable.append(path.parent.name)
    return {model: gathered.facts() for model, gathered in found.items()}, unreadable


def _read(run: Run, models: set[Model], found: dict[Model, _Gathered]) -> None:
    named = {s.setting_id: (s.provider, s.model) for s in run.setting_list}
    here = models & set(named.values())
    if not here:
        return
    rows = run.sample("records", _COLUMNS, _MOST_ROWS).to_pylist()
    for row in rows:
        model = named.get(row["setting_id"])
        if model in here:
            gathered = found.setdefault(model, _Gathered())
            if run.name not in gathered.runs:
                gathered.runs.append(run.name)
            gathered.add(row)
