"""Several runs opened to be compared: their prompts matched, and what differs between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from evalharness.analysis.comparison.matching import RUN, find_pairs
from evalharness.analysis.comparison.prompt_changes import PromptChange, prompt_changes
from evalharness.analysis.comparison.prompt_matching import (
    PromptMatch,
    match_prompts,
    with_matched_ids,
)
from evalharness.analysis.comparison.unpaired_runs import UnpairedRun, unpaired_runs
from evalharness.analysis.data.cell_means import cell_means
from evalharness.analysis.data.frame import RunFrame
from evalharness.analysis.data.join_runs import JoinedRuns
from evalharness.analysis.data.json_values import mean
from evalharness.analysis.data.metrics import ALL_METRICS, METRICS
from evalharness.errors import ConfigError, SchemaVersionError
from evalharness.process.text import plural
from evalharness.report.build.open_run import open_run
from evalharness.report.build.run_differences import (
    ConfigDifference,
    common_scorers,
    config_differences,
    obstacles,
)
from evalharness.report.build.scoring import ReportOverrides
from evalharness.store.folder.run import Run
from evalharness.store.folder.run_names import runs_by_name
from evalharness.store.folder.run_patterns import expand_runs

if TYPE_CHECKING:
    import pyarrow as pa

#: What tells which prompts of two runs are the same.
CONTENT_COLUMNS = ("prompt_id", "content_hash", "messages_json", "fields_json")


class OwnFigure(msgspec.Struct, frozen=True, kw_only=True):
    """A figure of one setting over the prompts of its own run.

    Attributes:
        run: the run.
        setting_id, label: the setting.
        metric: as of comparisons.
        mean: over prompts.
        prompts: how many have a value.
    """

    run: str
    setting_id: str
    label: str
    metric: str
    mean: float
    prompts: int


class ComparedRuns(msgspec.Struct, frozen=True, kw_only=True):
    """What several runs have in common, and what not.

    Attributes:
        runs: their names, as typed where two have one name.
        baseline: the run that the others are compared with.
        obstacles: sentences about what keeps them from being compared.
        prompts: how the prompts of each other run are matched with those of ``baseline``.
        differences: of the configurations.
        without_configuration: runs whose configuration is not stored (imports).
        unpaired: runs that share no setting with ``baseline``.
        own_figures: of each run that shares no prompt or no setting with ``baseline``, and then
            those of ``baseline``, too.
    """

    runs: list[str]
    baseline: str
    obstacles: list[str]
    prompts: list[PromptMatch]
    differences: list[ConfigDifference]
    without_configuration: list[str] = []
    unpaired: list[UnpairedRun] = []
    own_figures: list[OwnFigure] = []

    @property
    def not_compared(self) -> list[str]:
        """The runs that share no prompt or no setting with the baseline run."""
        unpaired = {run.run for run in self.unpaired}
        return [m.run for m in self.prompts if not m.common or m.run in unpaired]


class RunComparison:
    """Runs opened to be compared.

    Args:
        typed: the runs as typed.
        overrides: scoring and prices that replace their own.
        baseline: name of the baseline run, what was typed for it, or a pattern that matches one of
            the runs; None is the first.
        by_run: whether runs are compared with each other, setting by setting.

    Attributes:
        sources: the runs by name.
        frames: their records by name, each prompt under its id in the baseline run.
        facts: what they have in common.
        metrics: in which they can be compared.

    Raises:
        ConfigError: a run cannot be read.
    """

    def __init__(
        self,
        typed: Sequence[str],
        overrides: ReportOverrides,
        baseline: str | None = None,
        *,
        by_run: bool = True,
    ) -> None:
        runs, unreadable = _open(typed)
        self.sources = {name: open_run(run, overrides) for name, run in runs.items()}
        first = next(iter(runs))
        base = first if baseline is None else _baseline(runs, typed, baseline)
        frames = {name: source.frame for name, source in self.sources.items()}
        prompts = {name: source.prompts for name, source in self.sources.items()}
        matches, self.frames = match_runs(frames, prompts, base)
        self._joined = JoinedRuns.of(self.frames)
        unpaired = unpaired_runs(self._joined.columns, base)
        hindering = obstacles(
            self.sources,
            matches,
            unpaired if by_run else [],
            own_scoring=overrides.scoring is None,
        )
        facts = ComparedRuns(
            runs=[*runs],
            baseline=base,
            obstacles=[*unreadable, *hindering],
            prompts=matches,
            differences=config_differences([*self.sources.values()]),
            without_configuration=[n for n, run in runs.items() if run.config_yaml is None],
            unpaired=unpaired,
        )
        alone = {m.run for m in matches if not m.common} if not by_run else {*facts.not_compared}
        shown = {n: f for n, f in self.frames.items() if n in alone or (alone and n == base)}
        self.facts = msgspec.structs.replace(facts, own_figures=_own_figures(shown))
        self.metrics = self._metrics()

    def _metrics(self) -> list[str]:
        common = common_scorers(self.frames)
        if common is None:
            return [*ALL_METRICS]
        scores = [f"score.{name}" for name in common]
        return scores + [metric for metric in ALL_METRICS if metric != "score"]

    @property
    def have_common_settings(self) -> bool:
        """Whether any run shares a setting with the baseline run."""
        return len(self.facts.unpaired) < len(self.facts.prompts)

    def changes(self) -> list[PromptChange]:
        """The prompts that changed, in each run that can be compared with the baseline run."""
        if len(self.facts.not_compared) == len(self.facts.prompts):
            return []
        pairs = find_pairs(self._joined.columns, RUN, self.facts.baseline)
        return prompt_changes(self._joined, pairs, scored="score" in self.metrics)


def _open(typed: Sequence[str]) -> tuple[dict[str, Run], list[str]]:
    """The runs by name, and a sentence about each that another version wrote.

    Raises:
        ConfigError: fewer than two can be read, or one is named twice.
    """
    opened: list[tuple[str, Run]] = []
    refused: list[SchemaVersionError] = []
    for word in typed:
        try:
            opened.append((word, Run.open(word)))
        except SchemaVersionError as error:
            refused.append(error)
    if refused and len(opened) < 2:
        raise refused[0]
    return runs_by_name(opened), [f"Left out: {error.message}." for error in refused]


def _baseline(runs: Mapping[str, Run], typed: Sequence[str], baseline: str) -> str:
    """The name of the run that was given as baseline.

    Raises:
        ConfigError: it is none of the runs, or a pattern that matches several.
        RunNotFoundError: it is a pattern that matches no run at all.
    """
    if baseline in runs:
        return baseline
    roots = {run.root.resolve(): name for name, run in runs.items()}
    # Of a pattern, those of the runs that it matches: others beside them are not meant.
    words = expand_runs([baseline])
    named = [_name(word, runs, typed, roots) for word in words]
    matched = [*dict.fromkeys(name for name in named if name is not None)]
    if len(matched) == 1:
        return matched[0]
    if matched:
        raise ConfigError(
            f"--baseline {baseline} matches {plural(len(matched), 'run')}, and one is needed",
            hint=f"one of: {', '.join(matched)}",
        )
    raise ConfigError(
        f"--baseline {baseline} is none of the runs", hint=f"one of: {', '.join(runs)}"
    )


def _name(
    word: str, runs: Mapping[str, Run], typed: Sequence[str], roots: Mapping[Path, str]
) -> str | None:
    if word in runs:
        return word
    if word in typed:
        return roots.get(Run.open(word).root.resolve())
    return roots.get(Path(word).resolve())


def match_runs(
    frames: Mapping[str, RunFrame], prompts: Mapping[str, pa.Table], baseline: str
) -> tuple[list[PromptMatch], dict[str, RunFrame]]:
    """Match the prompts of runs with those of ``baseline``: how, and the records under its ids.

    Args:
        frames: the records of each run.
        prompts: its prompts, with the columns :data:`CONTENT_COLUMNS` at least.
        baseline: the name of one of the runs.
    """
    contents = {name: _contents(prompts[name], frame) for name, frame in frames.items()}
    matches = match_prompts(contents, baseline)
    renamed = {match.run: match.renamed for match in matches}
    return matches, {n: with_matched_ids(f, renamed.get(n, {})) for n, f in frames.items()}


def _contents(prompts: pa.Table, frame: RunFrame) -> dict[str, str | None]:
    """The prompts of a run with the hashes of their contents; None where it is not stored."""
    rows = zip(*(_values(prompts, column) for column in CONTENT_COLUMNS), strict=True)
    stored = {name: content for name, content, messages, fields in rows if messages or fields}
    return {name: stored.get(name) for name in frame.prompt_ids}


def _values(table: pa.Table, column: str) -> list[Any]:
    """A column as a list; of JSON, only whether there is one, which takes less memory."""
    values: Any = table[column]
    return (values.is_valid() if column.endswith("_json") else values).to_pylist()


def _own_figures(frames: Mapping[str, RunFrame]) -> list[OwnFigure]:
    figures: list[OwnFigure] = []
    for run, frame in frames.items():
        for metric in METRICS:
            values = cell_means(frame, metric)
            for index, setting_id in enumerate(frame.setting_ids):
                average = mean(values[:, index])
                if average is not None:
                    figures.append(
                        OwnFigure(
                            run=run,
                            setting_id=setting_id,
                            label=frame.label(index),
                            metric=metric,
                            mean=average,
                            prompts=int(np.isfinite(values[:, index]).sum()),
                        )
                    )
    return figures
