"""Prompts × settings × repeats → trials: who is asked what, in which order, and what is left.

A plan never holds its trials. Their order is a seeded shuffle computed block by block, so that
10^6 trials start at once and drift of a server over time cannot pass for an effect of a setting.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import structs

from evalharness.chat_api.request import (
    Frame,
    build_body,
    check_messages,
    check_params,
    frame_of,
    known_params,
)
from evalharness.columnar.arrow_ops import positions
from evalharness.config.models import DatasetConfig, Profile, RunConfig
from evalharness.datasets import Renderer, load_prompts, prompt_digest, resolve_template
from evalharness.errors import ConfigError, DatasetError
from evalharness.planning.load_points import check_loads, visits
from evalharness.planning.setting_labels import label
from evalharness.planning.shuffle import Shuffle
from evalharness.planning.sweep import expand
from evalharness.records import Prompt, Setting, Trial, digest

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

_BLOCK = 4_096


class Plan:
    """What a run is going to ask.

    Attributes:
        prompts: the statistical units, in dataset order.
        digests: for each prompt, a hash of everything that shapes its requests.
        settings: the columns of the comparison.
        repeats: K, how often each prompt is asked under each setting; in a benchmark, how often
            at most, as far as that is known before.
    """

    def __init__(
        self,
        config: RunConfig,
        prompts: list[Prompt],
        settings: list[Setting],
        profiles: Mapping[str, Profile],
    ) -> None:
        self.config = config
        self.prompts = prompts
        self.digests = [prompt_digest(p) for p in prompts]
        self.settings = settings
        self.repeats = visits(config, settings, len(prompts))
        self._profiles = profiles
        self._renderers = _renderers(settings)
        self._frames: dict[str, Frame] = {}

    def __len__(self) -> int:
        return len(self.prompts) * len(self.settings) * self.repeats

    def renderer(self, setting: Setting) -> Renderer:
        """What turns a prompt into messages under a setting."""
        return self._renderers[setting.setting_id]

    def profile(self, provider: str) -> Profile:
        """What is particular about a provider, by name."""
        return self._profiles[provider]

    def body(self, trial: Trial) -> bytes:
        """The request body of a trial, as canonical JSON."""
        setting, prompt = trial.setting, trial.prompt
        messages = self._renderers[setting.setting_id].messages(prompt)
        if prompt.params:
            return build_body(setting, prompt, messages, self._profiles[setting.provider])
        frame = self._frames.get(setting.setting_id)
        if frame is None:
            frame = frame_of(setting, self._profiles[setting.provider])
            self._frames[setting.setting_id] = frame
        return frame.body(messages)

    def trials(
        self,
        done: NDArray[np.bool_] | None = None,
        *,
        provider: str | None = None,
        start: int = 0,
        stop: int | None = None,
    ) -> Iterator[Trial]:
        """Every trial that is not ``done``, in the seeded order.

        ``done`` is indexed as :meth:`done_map` returns it; with ``provider`` only its trials come,
        and only those at positions ``start`` ≤ p < ``stop`` of the order (None: to its end).
        """
        prompts, settings = self.prompts, self.settings
        wanted = [provider in (None, setting.provider) for setting in settings]
        width = len(settings)
        for position, cells, repeats in self._blocks(start, len(self) if stop is None else stop):
            keep = None if done is None else ~done[repeats * (len(prompts) * width) + cells]
            rows: Iterator[tuple[int, int]] = zip(cells.tolist(), repeats.tolist(), strict=True)
            for offset, (cell, repeat) in enumerate(rows):
                if keep is not None and not keep[offset]:
                    continue
                row, column = divmod(cell, width)
                if not wanted[column]:
                    continue
                yield self._trial(row, settings[column], repeat, position + offset)

    def visit(self, settings: Sequence[Setting], repeat: int) -> Iterator[Trial]:
        """Every prompt under each of these settings once, shuffled anew for every ``repeat``.

        A benchmark goes on visiting for as long as it needs requests: ``repeat`` has no upper end
        there. Positions count from ``repeat`` × the size of a visit.
        """
        width = len(settings)
        cells = len(self.prompts) * width
        seed = self.config.order.shuffle_seed * 1_000_003 + repeat
        order: list[int] = Shuffle(cells, seed).take(0, cells).tolist()
        for offset, cell in enumerate(order):
            row, column = divmod(cell, width)
            yield self._trial(row, settings[column], repeat, repeat * cells + offset)

    def rows(self, setting: Setting, repeat: int) -> Iterator[Trial]:
        """Every prompt under one setting once, in the order of the dataset."""
        for row in range(len(self.prompts)):
            yield self._trial(row, setting, repeat, repeat * len(self.prompts) + row)

    def _trial(self, row: int, setting: Setting, repeat: int, position: int) -> Trial:
        prompt = self.prompts[row]
        trial_id = digest(
            setting.setting_id.encode(),
            self.digests[row].encode(),
            prompt.prompt_id.encode(),
            repeat.to_bytes(4, "little"),
        )
        return Trial(trial_id, prompt, setting, repeat, position)

    def recorded_at(self, done: NDArray[np.bool_], start: int, stop: int) -> NDArray[np.bool_]:
        """Of each position ``start`` ≤ p < ``stop`` of the order, whether its trial is ``done``."""
        import numpy as np

        width = len(self.prompts) * len(self.settings)
        blocks = [done[repeats * width + cells] for _, cells, repeats in self._blocks(start, stop)]
        return np.concatenate(blocks) if blocks else np.zeros(0, dtype=np.bool_)

    def _blocks(
        self, first: int, stop: int
    ) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.int64]]]:
        """Blocks of (first position, cell numbers, repeats) in sending order, of some positions."""
        import numpy as np

        cells = len(self.prompts) * len(self.settings)
        order = self.config.order
        if order.spread == "burst":
            each = self.repeats
            shuffle = Shuffle(cells, order.shuffle_seed)
            step = max(1, _BLOCK // each)
            for start in range(first // each, -(-stop // each), step):
                block = shuffle.take(start, start + step)
                repeats = np.tile(np.arange(each, dtype=np.int64), len(block))
                cut = slice(max(0, first - start * each), max(0, stop - start * each))
                yield start * each + cut.start, np.repeat(block, each)[cut], repeats[cut]
            return
        for repeat in range(self.repeats):
            begin, end = max(0, first - repeat * cells), min(cells, stop - repeat * cells)
            if begin >= end:
                continue
            # A fresh order every round: no cell always follows the same neighbour.
            shuffle = Shuffle(cells, order.shuffle_seed * 1_000_003 + repeat)
            for start in range(begin, end, _BLOCK):
                block = shuffle.take(start, min(start + _BLOCK, end))
                yield repeat * cells + start, block, np.full(len(block), repeat, dtype=np.int64)

    def done_map(self, recorded: pa.Table) -> NDArray[np.bool_]:
        """Which trials have a record: flags indexed ``(repeat × prompts + prompt) × settings + s``.

        ``recorded`` has the columns prompt_id, setting_id and repeat; rows outside the plan are
        ignored.
        """
        import numpy as np

        done = np.zeros(len(self), dtype=np.bool_)
        if not len(recorded):
            return done
        rows = positions(recorded["prompt_id"], [p.prompt_id for p in self.prompts])
        columns = positions(recorded["setting_id"], [s.setting_id for s in self.settings])
        repeats: NDArray[np.int64] = np.asarray(recorded["repeat"].to_numpy(), dtype=np.int64)
        mine = (rows >= 0) & (columns >= 0) & (repeats < self.repeats)
        cells = rows[mine] * len(self.settings) + columns[mine]
        done[repeats[mine] * (len(self.prompts) * len(self.settings)) + cells] = True
        return done


def build_plan(configs: Sequence[RunConfig], identities: Mapping[str, str], *, root: Path) -> Plan:
    """Read the dataset, expand the sweep and check every request before any is sent.

    Several configurations (the jobs of a multirun) give one plan with the settings of all;
    ``identities`` maps provider names to who answers; relative dataset paths start at ``root``.

    Raises:
        ConfigError: a parameter, an axis or a dataset row cannot be sent as written.
    """
    config, known = _common(configs), known_params()
    profiles: dict[str, Profile] = {}
    for job in configs:
        profiles |= {p.name: p.profile for p in (job.provider, *job.providers.values())}
        check_params(job.params, job.provider.profile)
    expanded = [s for job in configs for s in expand(_with_template(job, root), identities, known)]
    settings = label(expanded)
    checked = [_check_setting(s, profiles[s.provider]) for s in settings]
    templates = list(dict.fromkeys(s.template for s in settings if s.template is not None))
    prompts = load_prompts(config.dataset, root=root, templates=templates)
    plan = Plan(config, prompts, checked, profiles)
    check_loads(config, checked, prompts)
    _check_prompts(plan, profiles)
    return plan


def _common(configs: Sequence[RunConfig]) -> RunConfig:
    """The first configuration, once all agree on everything that is not part of a setting.

    Raises:
        ConfigError: the jobs differ in something that one run folder holds only once.
    """
    first = configs[0]
    for other in configs[1:]:
        if (first.load is None) != (other.load is None):
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
            if getattr(first, field) != getattr(other, field):
                raise ConfigError(
                    f"the jobs of this multirun differ in `{field}`, of which a run has one",
                    hint="hydra/launcher=basic gives every job a run folder of its own",
                )
        if _rows(first.dataset) != _rows(other.dataset):
            raise ConfigError(
                "the jobs of this multirun differ in `dataset`, of which a run has one",
                hint="hydra/launcher=basic gives every job a run folder of its own",
            )
    return first


def _with_template(config: RunConfig, root: Path) -> RunConfig:
    """Replace ``@file.j2`` by the file's text: a setting is named by what it says."""
    dataset, sweep = config.dataset, dict(config.sweep)
    text = resolve_template(dataset.template, root)
    for key in ("template", "dataset.template"):
        if isinstance(sweep.get(key), list):
            sweep[key] = [resolve_template(value, root) for value in sweep[key]]
    changed = structs.replace(dataset, template=text)
    return structs.replace(config, dataset=changed, sweep=sweep)


def _rows(dataset: DatasetConfig) -> DatasetConfig:
    """The part of a dataset configuration that decides which prompts there are."""
    return structs.replace(dataset, system=None, template=None)


def _check_setting(setting: Setting, profile: Profile) -> Setting:
    swept = {key for key in setting.axes if key in setting.params}
    where = "sweep" if swept else "params"
    params = check_params(setting.params, profile, where=where)
    return structs.replace(setting, params=params)


def _check_prompts(plan: Plan, profiles: Mapping[str, Profile]) -> None:
    """Render and check every prompt once per distinct template and system prompt."""
    by_shape = {(s.system, s.template): s for s in plan.settings}
    for setting in by_shape.values():
        renderer = plan.renderer(setting)
        renderer.prepare(plan.prompts)
        for prompt in plan.prompts:
            where = prompt.source or f"prompt {prompt.prompt_id}"
            check_messages(renderer.messages(prompt), where=where)
    by_provider = {s.provider: s for s in plan.settings}
    for prompt in plan.prompts:
        if not prompt.params:
            continue
        where = prompt.source or f"prompt {prompt.prompt_id}"
        for provider in by_provider:
            try:
                check_params(prompt.params, profiles[provider], partial=True)
            except ConfigError as error:
                raise DatasetError(f"{where}: {error.message}", hint=error.hint) from None


def _renderers(settings: list[Setting]) -> dict[str, Renderer]:
    shared: dict[tuple[str | None, str | None], Renderer] = {}
    for setting in settings:
        key = (setting.template, setting.system)
        if key not in shared:
            shared[key] = Renderer(*key)
    return {s.setting_id: shared[s.template, s.system] for s in settings}
