"""Building a plan: read the dataset, expand the sweep, and check every request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path, PurePath
from typing import NamedTuple

from msgspec import structs

from evalharness.chat_api.messages import check_messages
from evalharness.chat_api.params import check_params
from evalharness.chat_api.protocol import ApiProtocol
from evalharness.chat_api.protocols import get_protocol
from evalharness.config.models import DatasetConfig, Profile, ProtocolName, RunConfig
from evalharness.config.workload import RUN_ROWS
from evalharness.datasets import prompt_digest, read_prompts
from evalharness.datasets.workload.token_counts import LinearCounts
from evalharness.errors import ConfigError, DatasetError
from evalharness.planning.conversation_rows import check_conversations
from evalharness.planning.load_points import check_background_rows
from evalharness.planning.optional_rows import split_optional_rows
from evalharness.planning.plan import Plan
from evalharness.planning.replay_times import check_replay_times
from evalharness.planning.replayed_run import (
    read_replayed_run,
    replay_schedule,
    with_its_texts,
)
from evalharness.planning.replayed_trace import replayed_trace
from evalharness.planning.setting_labels import label_settings
from evalharness.planning.sweep import expand_sweep
from evalharness.planning.sweep_steps import check_swept_rows
from evalharness.planning.value_files import OBJECT_KEYS, TEXT_KEYS, read_value
from evalharness.planning.workload_fields import exact_output_fields, with_context
from evalharness.records import Setting, Variant, with_answers
from evalharness.scoring.row_checks.parsing import expand_row_checks


def build_plan(
    configs: Sequence[RunConfig],
    identities: Mapping[str, str],
    *,
    root: Path,
    counts: LinearCounts | None = None,
) -> Plan:
    """Read the dataset, expand the sweep and check every request before any is sent.

    Several configurations (the jobs of a multirun) give one plan with the settings of all;
    ``identities`` maps provider names to who answers; relative dataset paths start at ``root``;
    ``counts`` says how many tokens words are, for a synthetic workload.

    Raises:
        ConfigError: a parameter, an axis or a dataset row cannot be sent as written.
    """
    replayed = read_replayed_run(configs[0])
    configs = [with_its_texts(config, replayed) for config in configs]
    config = _common_config(configs)
    profiles: dict[str, Profile] = {}
    protocols: dict[str, ProtocolName] = {}
    for job in configs:
        providers = (job.provider, *job.providers.values())
        profiles |= {p.name: p.profile for p in providers}
        protocols |= {p.name: p.protocol for p in providers}
    jobs = [_with_files(job, root) for job in configs]
    lacks = frozenset(chain.from_iterable(get_protocol(p).lacks for p in protocols.values()))
    for job, _ in jobs:
        check_params(job.params, job.provider.profile, lacks=lacks)
    expanded = [
        setting for job, files in jobs for setting in expand_sweep(job, identities, root, files)
    ]
    settings = label_settings(expanded)
    checked = [
        _check_setting(s, profiles[s.provider], get_protocol(protocols[s.provider]))
        for s in settings
    ]
    templates = list(dict.fromkeys(s.template for s in settings if s.template is not None))
    exact_output = exact_output_fields(config.dataset, settings, profiles, protocols)
    dataset = with_context(config.dataset, configs)
    if replayed is not None and dataset.path == RUN_ROWS:
        prompts = replayed.prompts
    else:
        read = read_prompts(
            dataset, root=root, templates=templates, counts=counts, exact_output=exact_output
        )
        prompts = expand_row_checks(read, answers_known=config.answer is not None)
    prompts, left_out = split_optional_rows(prompts, checked, profiles, protocols)
    check_conversations(config, checked, prompts)
    schedule, source = None, replayed_trace(dataset, root, counts)
    if replayed is not None:
        digests = [prompt_digest(prompt) for prompt in prompts]
        schedule = replay_schedule(replayed, prompts, digests, dataset.path)
        source = replayed.source
    plan = Plan(config, prompts, checked, profiles, protocols, left_out, schedule, source)
    check_replay_times(checked, prompts)
    check_background_rows(config, checked, prompts)
    check_swept_rows(checked, prompts)
    _check_prompts(plan, profiles)
    return plan


def _common_config(configs: Sequence[RunConfig]) -> RunConfig:
    """The first configuration; all must agree on everything that is not part of a setting.

    Raises:
        ConfigError: the jobs differ in something that one run folder holds only once.
    """
    first = configs[0]
    for config in configs[1:]:
        if (first.load is None) != (config.load is None):
            raise ConfigError("some jobs of this multirun have a `load` and others have none")
        for field in (
            "name",
            "repeats",
            "order",
            "limits",
            "scoring",
            "transport",
            "results_dir",
            "staging_dir",
            "execution",
        ):
            if getattr(first, field) != getattr(config, field):
                raise ConfigError(
                    f"the jobs of this multirun differ in `{field}`, of which a run has one",
                    hint="hydra/launcher=basic gives every job a run folder of its own",
                )
        if _row_selection(first.dataset) != _row_selection(config.dataset):
            raise ConfigError(
                "the jobs of this multirun differ in `dataset`, of which a run has one",
                hint="hydra/launcher=basic gives every job a run folder of its own",
            )
    return first


class _JobWithFiles(NamedTuple):
    """A configuration with the contents of its ``@file`` values, and what those are called."""

    config: RunConfig
    files: dict[str, Variant]


def _with_files(config: RunConfig, root: Path) -> _JobWithFiles:
    """Replace ``@file`` by the file's content, which is what identifies a setting."""
    dataset, params = config.dataset, config.params
    given = {key: (f"dataset.{key}", getattr(dataset, key)) for key in TEXT_KEYS}
    given |= {key: (f"params.{key}", params[key]) for key in OBJECT_KEYS if key in params}
    contents = {key: read_value(key, shown, value, root) for key, (shown, value) in given.items()}
    files = {
        key: Variant(name=PurePath(content.file).stem, file=content.file, sha256=content.sha256)
        for key, content in contents.items()
        if content.file is not None
    }
    texts = {key: contents[key].value for key in TEXT_KEYS}
    objects = {key: contents[key].value for key in OBJECT_KEYS if key in contents}
    changed = structs.replace(
        config, dataset=structs.replace(dataset, **texts), params=params | objects
    )
    return _JobWithFiles(changed, files)


def _row_selection(dataset: DatasetConfig) -> DatasetConfig:
    """The part of a dataset configuration that decides which prompts there are."""
    return structs.replace(dataset, system=None, template=None)


def _check_setting(setting: Setting, profile: Profile, protocol: ApiProtocol) -> Setting:
    params = check_params(
        setting.params, profile, protocol=protocol, model=setting.model, swept=setting.axes
    )
    return structs.replace(setting, params=params)


def _check_prompts(plan: Plan, profiles: Mapping[str, Profile]) -> None:
    """Render and check every prompt once per distinct template and system prompt."""
    by_form = {(s.system, s.template, plan.protocol(s.provider)): s for s in plan.settings}
    for (_, _, protocol), setting in by_form.items():
        renderer = plan.renderer(setting)
        renderer.prepare(plan.prompts)
        for prompt in plan.prompts:
            where = prompt.source or f"prompt {prompt.prompt_id}"
            messages = renderer.messages(prompt)
            if prompt.turn is not None:
                messages = with_answers(messages, ["…"] * (prompt.turn - 1))
            check_messages(messages, where=where, protocol=protocol)
    models = {(s.provider, s.model) for s in plan.settings}
    for prompt in plan.prompts:
        if not prompt.params:
            continue
        where = prompt.source or f"prompt {prompt.prompt_id}"
        for provider, model in sorted(models):
            try:
                check_params(
                    prompt.params,
                    profiles[provider],
                    protocol=plan.protocol(provider),
                    model=model,
                    partial=True,
                )
            except ConfigError as error:
                raise DatasetError(f"{where}: {error.message}", hint=error.hint) from None
