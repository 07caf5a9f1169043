"""The run that ``check --baseline`` compares with, and its settings beside those of the run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from evalharness.analysis.comparison.matching import RUN, SettingPair, find_pairs
from evalharness.analysis.comparison.prompt_matching import (
    PromptMatch,
)
from evalharness.analysis.data.frame import RunFrame
from evalharness.analysis.data.join_runs import JoinedRuns
from evalharness.errors import ConfigError
from evalharness.process.text import plural
from evalharness.report.build.compared_runs import match_runs
from evalharness.report.build.open_run import RunData, open_run
from evalharness.report.build.run_differences import listed
from evalharness.report.build.scoring import ReportOverrides
from evalharness.store.folder.run import Run


class PairedRuns(NamedTuple):
    """A run joined with its baseline.

    ``pairs`` are by setting id of the run; settings that the baseline lacks are absent.
    """

    joined: JoinedRuns
    pairs: Mapping[str, SettingPair]


class Baseline(NamedTuple):
    """The earlier run.

    ``frame`` has its records, each prompt under its id in the later run, ``match`` how the prompts
    are matched, by id or else by content; ``other_scorers`` says why its scores are no measure for
    the later one's (None: they are).
    """

    source: RunData
    key: str
    other_scorers: str | None
    frame: RunFrame
    match: PromptMatch

    @property
    def name(self) -> str:
        """Name of its run folder."""
        return self.source.run.name

    def pair(self, frame: RunFrame, run: str) -> PairedRuns:
        """Join a run, or some of its records, with the baseline.

        Raises:
            ConfigError: no setting of the run is in the baseline.
        """
        joined = JoinedRuns.of({run: frame, self.key: self.frame})
        try:
            pairs = find_pairs(joined.columns, RUN, self.key)
        except ConfigError as error:
            message = f"no setting of run `{run}` is in the baseline `{self.name}`"
            raise ConfigError(message, hint=error.hint) from None
        single = [pair for pair in pairs if not pair.pooled]
        return PairedRuns(joined, {pair.compared[0].setting_id: pair for pair in single})


def open_baseline(
    name: str, source: RunData, overrides: ReportOverrides, *, allow_incomplete: bool
) -> Baseline:
    """Open the baseline of a run.

    Raises:
        ConfigError: there is no such run, it is the run itself or not complete, or the two have no
            prompt in common.
    """
    run = Run.open(name)
    if run.root.resolve() == source.run.root.resolve():
        raise ConfigError(f"--baseline {name}: it is the run itself", hint="name an earlier run")
    data = open_run(run, overrides)
    reason = incomplete_reason(data)
    if reason is not None and not allow_incomplete:
        raise ConfigError(
            f"--baseline {name}: {reason}",
            hint="--allow-incomplete compares with what is recorded",
        )
    key = _key(data, source)
    runs = {source.run.name: source, key: data}
    frames = {run: each.frame for run, each in runs.items()}
    prompts = {run: each.prompts for run, each in runs.items()}
    (match,), frames = match_runs(frames, prompts, source.run.name)
    baseline = Baseline(data, key, _other_scorers(data, source, overrides), frames[key], match)
    if not match.common:
        raise ConfigError(
            f"run `{source.run.name}` and the baseline `{name}` have no prompt in common, by id or "
            "by content",
            hint="limits such as --min-score need no baseline",
        )
    return baseline


def _key(data: RunData, source: RunData) -> str:
    same = data.run.name == source.run.name
    return f"{data.run.name} (baseline)" if same else data.run.name


def baseline_line(baseline: Baseline, source: RunData) -> str:
    """What is compared with what, in a sentence."""
    match = baseline.match
    how = f" ({match.by_id} by id, {match.by_content} by content)" if match.by_content else ""
    parts = [f"{plural(match.common, 'prompt')} in common with {baseline.name}{how}"]
    if match.other_content:
        ids = listed(match.other_content)
        count = len(match.other_content)
        parts.append(f"{count} of them asked something else there under the same id: {ids}")
    # Left out of every comparison; the match is of the baseline with the run.
    if match.gone_prompts:
        parts.append(f"{len(match.gone_prompts)} only in {source.run.name}")
    if match.new_prompts:
        parts.append(f"{len(match.new_prompts)} only in {baseline.name} (the baseline)")
    state = _unfinished_state(baseline.source)
    if state is not None:
        parts.append(f"the baseline is {state}")
    if baseline.other_scorers is not None:
        parts.append(baseline.other_scorers)
    return "; ".join(parts)


def _other_scorers(data: RunData, source: RunData, overrides: ReportOverrides) -> str | None:
    """Why scores cannot be compared; None where both runs are scored alike."""
    names = [next(iter(d.frame.scores), None) for d in (source, data)]
    configs = [next(d.run.configs()).scoring for d in (source, data)]
    alike = overrides.scoring is not None or configs[0] == configs[1]
    if names[0] == names[1] and alike:
        return None
    if None in names:  # the gate says that there are no scores
        return None
    return (
        f"the scorers differ: {names[0]} in {source.run.name}, {names[1]} in {data.run.name}"
        + ("" if names[0] != names[1] else ", configured otherwise")
        + "; scoring=… scores both alike"
    )


def incomplete_reason(source: RunData) -> str | None:
    """Why a run is not complete; None where it is."""
    state = _unfinished_state(source)
    return None if state is None else f"it is {state}"


def _unfinished_state(source: RunData) -> str | None:
    """The status of a run that is not complete, and how much it holds."""
    manifest = source.run.manifest
    if manifest.status in ("complete", "imported"):
        return None
    planned = "" if manifest.planned is None else f" of {manifest.planned} planned trials"
    return f"{manifest.status}, with {len(source.records)}{planned} recorded"
