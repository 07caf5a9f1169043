"""Verdicts that look at every prompt by itself: how often it passes, and whether it fails anew."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from evalharness.analysis.data.encode import Bools, Floats, Ints
from evalharness.analysis.data.frame import RunFrame
from evalharness.analysis.data.statuses import ERROR
from evalharness.cli.check.baseline import PairedRuns
from evalharness.cli.check.changes import NO_COUNTERPART
from evalharness.cli.check.verdicts import CheckVerdict, unknown_verdict
from evalharness.errors import ConfigError
from evalharness.process.text import plural

#: Without --min-prompt-pass a prompt passes where at least this share of its repeats does.
PASS_SHARE = 0.5

_ROUNDING = 1e-9
Settings = Sequence[tuple[str, str]]


def check_prompt_pass(frame: RunFrame, settings: Settings, least: float) -> Iterator[CheckVerdict]:
    """Whether each prompt passes at least a share of its repeats; a repeat passes with score 1.

    Errors are no repeats here. A prompt that other settings score, or that has a target, and of
    which nothing is scored fails; one that nothing scores anywhere is left out.
    """
    needed = "all" if least == 1 else f"at least {100 * least:g} %"
    what = f"prompts that pass {needed} of their repeats"
    right, scored = _right_and_scored(frame)
    gradable = frame.has_target | (scored > 0).any(axis=1)
    for setting_id, label in settings:
        index = frame.index(setting_id)
        tried = frame.counts()[:, index] > 0
        prompts = np.flatnonzero(gradable & tried)
        if not scored.any() or not prompts.size:
            yield unknown_verdict(label, what, "no record has a score")
            continue
        passes, n = right[prompts, index], scored[prompts, index]
        share = passes / np.maximum(n, 1)
        failing = np.flatnonzero((n == 0) | (share < least - _ROUNDING))
        order = failing[np.argsort(share[failing], kind="stable")]
        named = tuple(
            f"{frame.prompt_ids[prompts[i]]} ({_passed(int(passes[i]), int(n[i]))})" for i in order
        )
        held = f"{prompts.size - failing.size} of {prompts.size}, needed all"
        yield CheckVerdict(label, what, not named, held, named, "failing")


def _passed(passes: int, scored: int) -> str:
    return f"{passes} of {scored}" if scored else "no scored repeat"


def _right_and_scored(frame: RunFrame) -> tuple[Ints, Ints]:
    """Repeats with score 1, and scored ones, prompts × settings."""
    score: Floats | None = next(iter(frame.scores.values()), None)
    if score is None:
        return np.zeros(frame.shape, np.int64), np.zeros(frame.shape, np.int64)
    known: Bools = ~np.isnan(score)
    counts: list[Any] = [
        frame.matrix(np.bincount(frame.cell[rows], minlength=frame.cells))
        for rows in (known & (score >= 1.0), known)
    ]
    return counts[0], counts[1]


def check_new_failures(
    paired: PairedRuns, settings: Settings, most: int, least: float, other_scorers: str | None
) -> Iterator[CheckVerdict]:
    """How many prompts passed in the baseline (as :func:`check_prompt_pass` counts) and no more.

    ``other_scorers`` says why the two runs' scores cannot be compared; None where they can.
    """
    what = "prompts that passed in the baseline and fail now"
    joined = paired.joined
    counts = [_right_and_scored(frame) for frame in joined.frames]
    right, scored = (joined.stack([each[kind] for each in counts], 0) for kind in (0, 1))
    for setting_id, label in settings:
        pair = paired.pairs.get(setting_id)
        if pair is None or other_scorers is not None:
            yield unknown_verdict(label, what, other_scorers or NO_COUNTERPART)
            continue
        now, before = pair.compared[0].index, pair.baseline[0].index
        passes, n = right[:, now], scored[:, now]
        passes_before, n_before = right[:, before], scored[:, before]
        both = (n > 0) & (n_before > 0)
        if not both.any():
            yield unknown_verdict(label, what, "no prompt is scored in both runs")
            continue
        good = passes_before >= least * n_before - _ROUNDING
        bad = passes < least * n - _ROUNDING
        named = tuple(
            f"{joined.prompt_ids[i]} ({passes_before[i]} of {n_before[i]} → {passes[i]} of {n[i]})"
            for i in np.flatnonzero(both & good & bad)
        )
        figures = f"{len(named)} of {plural(int(both.sum()), 'prompt')}, needed ≤ {most}"
        yield CheckVerdict(label, what, len(named) <= most, figures, named, "failing anew")


def check_new_errors(paired: PairedRuns, settings: Settings, most: int) -> Iterator[CheckVerdict]:
    """How many prompts have a failed trial in the run and none in the baseline.

    A prompt that the baseline does not have counts, too: its error was not there before.
    """
    what = "prompts with an error and none in the baseline"
    joined = paired.joined
    for setting_id, label in settings:
        pair = paired.pairs.get(setting_id)
        if pair is None:
            yield unknown_verdict(label, what, NO_COUNTERPART)
            continue
        now, before = pair.compared[0].index, pair.baseline[0].index
        new = np.flatnonzero((joined.errors[:, now] > 0) & (joined.errors[:, before] == 0))
        kinds = _error_kinds(joined.frames[0], setting_id)
        named = tuple(
            f"{joined.prompt_ids[i]} ({_error_text(kinds, joined.prompt_ids[i])}"
            f"{'' if joined.trials[i, before] else '; not in the baseline'})"
            for i in new
        )
        figures = f"{len(named)}, needed ≤ {most}"
        yield CheckVerdict(label, what, len(named) <= most, figures, named, "with a new error")


def _error_kinds(frame: RunFrame, setting_id: str) -> dict[str, Counter[str]]:
    """The failed trials of each prompt by kind of error."""
    rows = frame.rows_of(setting_id)
    codes, names = frame.codes("error_kind")
    kinds: dict[str, Counter[str]] = {}
    for row in np.flatnonzero(frame.status[rows] == ERROR).tolist():
        code = int(codes[rows][row])
        prompt = frame.prompt_ids[int(frame.prompt[rows][row])]
        kinds.setdefault(prompt, Counter())[names[code] if code >= 0 else "error"] += 1
    return kinds


def _error_text(kinds: dict[str, Counter[str]], prompt_id: str) -> str:
    return ", ".join(
        kind if n == 1 else f"{kind} × {n}" for kind, n in kinds[prompt_id].most_common()
    )


def require_share(least: float) -> None:
    """Refuse a share of repeats that every prompt, or none, could have.

    Raises:
        ConfigError: it is not above 0 and at most 1.
    """
    if not 0 < least <= 1:
        hint = f"--min-prompt-pass {least / 100:g}" if 1 < least <= 100 else None
        raise ConfigError(
            f"--min-prompt-pass {least:g}: a share of repeats lies above 0 and up to 1", hint=hint
        )
