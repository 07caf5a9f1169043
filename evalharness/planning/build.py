"""Building a plan: read the dataset, expand the sweep, and check every request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import structs

from evalharness.chat_api.messages import check_messages
from evalharness.chat_api.params import check_params
from evalharness.config.models import DatasetConfig, Profile, RunConfig
from evalharness.datasets import read_prompts, resolve_template
from evalharness.errors import ConfigError, DatasetError
from evalharness.planning.load_points import check_replay_times
from evalharness.planning.plan import Plan
from evalharness.planning.setting_labels import label_settings
from evalharness.planning.sweep import expand_sweep
from evalharness.records import Setting


def build_plan(configs: Sequence[RunConfig], identities: Mapping[str, str], *, root: Path) -> Plan:
    """Read the dataset, expand the sweep and check every request before any is sent.

    Several configurations (the jobs of a multirun) give one plan with the settings of all;
    ``identities`` maps provider names to who answers; relative dataset paths start at ``root``.

    Raises:
        ConfigError: a parameter, an axis or a dataset row cannot be sent as written.
    """
    config = _common_config(configs)
    profiles: dict[str, Profile] = {}
    for job in configs:
        profiles |= {p.name: p.profile for p in (job.provider, *job.providers.values())}
        check_params(job.params, job.provider.profile)
    expanded = [s for job in configs for s in expand_sweep(_with_template(job, root), identities)]
    settings = label_settings(expanded)
    checked = [_check_setting(s, profiles[s.provider]) for s in settings]
    templates = list(dict.fromkeys(s.template for s in settings if s.template is not None))
    prompts = read_prompts(config.dataset, root=root, templates=templates)
    plan = Plan(config, prompts, checked, profiles)
    check_replay_times(config, checked, prompts)
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


def _with_template(config: RunConfig, root: Path) -> RunConfig:
    """Replace ``@file.j2`` by the file's text, which is what identifies a setting."""
    dataset, sweep = config.dataset, dict(config.sweep)
    text = resolve_template(dataset.template, root)
    for key in ("template", "dataset.template"):
        if isinstance(sweep.get(key), list):
            sweep[key] = [resolve_template(value, root) for value in sweep[key]]
    changed = structs.replace(dataset, template=text)
    return structs.replace(config, dataset=changed, sweep=sweep)


def _row_selection(dataset: DatasetConfig) -> DatasetConfig:
    """The part of a dataset configuration that decides which prompts there are."""
    return structs.replace(dataset, system=None, template=None)


def _check_setting(setting: Setting, profile: Profile) -> Setting:
    params = check_params(setting.params, profile, model=setting.model, swept=setting.axes)
    return structs.replace(setting, params=params)


def _check_prompts(plan: Plan, profiles: Mapping[str, Profile]) -> None:
    """Render and check every prompt once per distinct template and system prompt."""
    by_template = {(s.system, s.template): s for s in plan.settings}
    for setting in by_template.values():
        renderer = plan.renderer(setting)
        renderer.prepare(plan.prompts)
        for prompt in plan.prompts:
            where = prompt.source or f"prompt {prompt.prompt_id}"
            check_messages(renderer.messages(prompt), where=where)
    models = {(s.provider, s.model) for s in plan.settings}
    for prompt in plan.prompts:
        if not prompt.params:
            continue
        where = prompt.source or f"prompt {prompt.prompt_id}"
        for provider, model in sorted(models):
            try:
                check_params(prompt.params, profiles[provider], model=model, partial=True)
            except ConfigError as error:
                raise DatasetError(f"{where}: {error.message}", hint=error.hint) from None
