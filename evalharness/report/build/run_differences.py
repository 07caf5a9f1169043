"""What differs between the configurations of several runs, and what keeps them from comparison."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from evalharness.analysis.comparison.prompt_matching import PromptMatch
from evalharness.analysis.comparison.unpaired_runs import UnpairedRun
from evalharness.config.stored_config import flat_values
from evalharness.config.strict_yaml import YamlError, parse_yaml, split_documents
from evalharness.process.text import plural
from evalharness.report.words.sanitize import common_prefix

if TYPE_CHECKING:
    from evalharness.analysis.data.frame import RunFrame
    from evalharness.records import Setting
    from evalharness.report.build.open_run import RunData

_UNSET = object()
_NO_DIFFERENCE = ("name", "results_dir", "staging_dir", "claim_lost_copy")  # of what was asked
_MAX_CHARS = 60  # of a value
_MAX_NAMED = 5


class ConfigDifference(msgspec.Struct, frozen=True, kw_only=True):
    """A fact in which runs differ.

    Attributes:
        key: of the configuration, or ``evalharness``, ``python``, ``package NAME``, ``prompts``,
            ``code of MODULE:FUNCTION`` (hashes), ``repeats``, and of a run without a
            configuration ``settings.KEY``.
        values: of each run as JSON, in the order of the runs, cut to 60 characters where they
            differ; null where the key is not set or not known.
    """

    key: str
    values: list[str | None]


def config_differences(sources: Sequence[RunData]) -> list[ConfigDifference]:
    """What differs between runs: configuration, versions, and how much was asked."""
    facts = [dict(_facts(source)) for source in sources]
    if all(source.run.config_yaml is not None for source in sources):
        facts = [{**dict(_config(s)), **f} for s, f in zip(sources, facts, strict=True)]
    else:
        facts = [{**dict(_setting_values(s)), **f} for s, f in zip(sources, facts, strict=True)]
    differences: list[ConfigDifference] = []
    keys = dict.fromkeys(key for each in facts for key in each)
    parents = {key[:end] for key in keys for end, sign in enumerate(key) if sign == "."}
    for key in keys:
        if key in parents and all(each.get(key) is None for each in facts):
            continue  # null in one run, and in another the keys below it say what differs
        values = [each.get(key, _UNSET) for each in facts]
        if any(value != values[0] for value in values[1:]):
            differences.append(ConfigDifference(key=key, values=_shown(values)))
    return differences


def _facts(source: RunData) -> Iterator[tuple[str, Any]]:
    manifest = source.run.manifest
    yield "status", manifest.status
    yield "evalharness", manifest.code_version
    if manifest.environment:
        yield "python", manifest.environment.get("python")
        packages: dict[str, str] = manifest.environment.get("packages") or {}
        yield from ((f"package {name}", version) for name, version in packages.items())
    settings = source.run.setting_list
    yield from ((f"code of {name}", code) for name, code in function_codes(settings).items())
    yield "prompts", len(source.frame.prompt_ids)
    yield "settings", len(source.frame.setting_ids)


def function_codes(settings: Iterable[Setting]) -> dict[str, str]:
    """Which code answered, by Python function: the hash that ends the endpoint of its settings."""
    codes: dict[str, list[str]] = {}
    for setting in settings:
        if setting.endpoint.startswith("python:"):
            function, _, code = setting.endpoint.removeprefix("python:").rpartition(":")
            codes.setdefault(function, []).append(code)
    return {function: ", ".join(dict.fromkeys(each)) for function, each in codes.items()}


def _config(source: RunData) -> Iterator[tuple[str, Any]]:
    """The keys of the stored configuration; those of several jobs are numbered."""
    try:
        documents = [*split_documents(source.run.config_yaml or "")]
        jobs: list[Any] = [parse_yaml(document) or {} for document in documents]
    except YamlError:
        return
    for number, job in enumerate(jobs, 1):
        where = "" if len(jobs) == 1 else f"job {number}: "
        for key, value in flat_values(job):
            if key not in _NO_DIFFERENCE:
                yield f"{where}{key}", value


def _setting_values(source: RunData) -> Iterator[tuple[str, Any]]:
    """The values of each parameter over the settings, for a run without a configuration."""
    frame = source.frame
    each = [frame.params(index) for index in range(len(frame.setting_ids))]
    for key in sorted({key for values in each for key in values}):
        values = [values.get(key) for values in each]
        distinct = [value for i, value in enumerate(values) if value not in values[:i]]
        yield f"settings.{key}", distinct[0] if len(distinct) == 1 else distinct
    yield "repeats", int(frame.repeat.max(initial=-1)) + 1


def _shown(values: Sequence[Any]) -> list[str | None]:
    texts = [
        None if v is _UNSET else json.dumps(v, ensure_ascii=False, default=str) for v in values
    ]
    known = [text for text in texts if text is not None]
    shared = min((common_prefix(known[0], other) for other in known[1:]), default=0)
    return [None if text is None else _cut(text, shared) for text in texts]


def _cut(text: str, shared: int) -> str:
    """A text cut to 60 characters around the place from which texts differ."""
    if len(text) <= _MAX_CHARS:
        return text
    start = 0 if shared < _MAX_CHARS // 2 else shared - 20
    part = text[start : start + _MAX_CHARS]
    return f"{'…' if start else ''}{part}{'…' if start + _MAX_CHARS < len(text) else ''}"


# ── what keeps runs from being compared ──────────────────────────────────────────────────────────


def common_scorers(frames: Mapping[str, RunFrame]) -> list[str] | None:
    """The scorers of all runs where their scores are by different ones; None where by the same.

    The score of a run is that by its first scorer; further ones may differ.
    """
    names = [[*frame.scores] for frame in frames.values()]
    if all(each[:1] == names[0][:1] for each in names):
        return None
    return [name for name in names[0] if all(name in each for each in names[1:])]


def obstacles(
    sources: Mapping[str, RunData],
    matches: Sequence[PromptMatch],
    unpaired: Sequence[UnpairedRun],
    *,
    own_scoring: bool,
) -> list[str]:
    """A sentence for everything that keeps runs from being compared, wholly or in part.

    Args:
        sources: the runs by name.
        matches: their prompts.
        unpaired: runs that share no setting with the baseline run.
        own_scoring: whether each was scored by its own configuration.
    """
    sentences = [
        f"{match.run} and {match.baseline} have no prompt in common, by id or by content: no "
        "difference between them can be computed, and each run's own figures are shown."
        for match in matches
        if not match.common
    ]
    baselines = {match.run: match.baseline for match in matches if match.common}
    sentences += [_no_setting(run, baselines[run.run]) for run in unpaired if run.run in baselines]
    common = common_scorers({name: source.frame for name, source in sources.items()})
    if common is not None:
        names = "; ".join(f"{name} by {_scorers(source)}" for name, source in sources.items())
        left = f"scores by {', '.join(common)}" if common else "everything but scores"
        hint = "; scoring=NAME behind the runs scores them alike" if own_scoring else ""
        sentences.append(f"The runs are not scored alike ({names}): {left} can be compared{hint}.")
    elif own_scoring and not _same_options(sources.values()):
        sentences.append(
            "The scorers of the runs have the same names and other options: a difference of scores "
            "may come from these; scoring=NAME behind the runs scores them alike."
        )
    sentences += [
        f"{plural(len(match.other_content), 'prompt')} of {match.run} asked something else under "
        f"the same id in {match.baseline}: {listed(match.other_content)}."
        for match in matches
        if match.other_content
    ]
    return sentences


def _no_setting(unpaired: UnpairedRun, baseline: str) -> str:
    axes = listed(unpaired.differs_in)
    differ = f" (the settings differ in {axes})" if axes else ""
    by = f"; --by {unpaired.comparable_by[0]} compares them" if unpaired.comparable_by else ""
    return (
        f"{unpaired.run} shares no setting with {baseline}{differ}: no difference between the two "
        f"runs can be computed, and each run's own figures are shown{by}."
    )


def _scorers(source: RunData) -> str:
    return ", ".join(source.frame.scores) or "nothing"


def _same_options(sources: Any) -> bool:
    options: list[Any] = []
    for source in sources:
        config = next(source.run.configs())
        options.append((config.scoring, config.answer))
    return all(each == options[0] for each in options[1:])


def listed(names: Sequence[str], most: int = _MAX_NAMED) -> str:
    """Names in a sentence, the first few of many."""
    left = len(names) - most
    return ", ".join(names[:most]) + (f" and {left} more" if left > 0 else "")
