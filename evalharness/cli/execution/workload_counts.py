"""How many tokens the words of a synthetic workload are on its server: a small run that asks it.

The prompts of a workload depend on it, so it comes before the plan. It is a run like any other,
``NAME-tokens``: recorded, priced, resumed for nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import structs

from evalharness.cli.compose import ComposedConfig
from evalharness.cli.execution.prepare import prepare
from evalharness.config.models import RunConfig
from evalharness.datasets.workload.generate import WORDS_NAME
from evalharness.datasets.workload.token_counts import LinearCounts, fit_counts
from evalharness.datasets.workload.tokenizer_files import open_counter
from evalharness.errors import ConfigError
from evalharness.store.folder.run import Run
from evalharness.store.folder.run_folder import MANIFEST
from evalharness.store.remote.locations import run_root

if TYPE_CHECKING:
    from evalharness.runner import RunSummary

_LIMITS = ("max_tokens", "max_completion_tokens")
_SUFFIX = "-tokens"
_SHORTEST = 16  # tokens; some servers take no smaller limit


def measures_counts(config: RunConfig) -> bool:
    """Whether the server is asked first: a workload that is to be calibrated."""
    workload = config.dataset.workload
    return config.dataset.path != WORDS_NAME and workload is not None and workload.calibrate


def measure_counts(
    jobs: list[ComposedConfig], send: Callable[[list[ComposedConfig], bool], RunSummary]
) -> LinearCounts | None:
    """Ask the first setting's server; None where there is nothing to ask.

    Args:
        jobs: of the run that is to be sent.
        send: sends a run, with true the errors of an earlier session, too; says what it did.

    Raises:
        ConfigError: it did not say how many tokens prompts have.
        EvalharnessError: what a run raises.
    """
    config = jobs[0].config
    if not measures_counts(config):
        return None
    prepare([job.config for job in jobs])  # whatever is wrong is said before anything is sent
    own = _words_run(config)
    began = (run_root(own) / MANIFEST).is_file()
    summary = send([ComposedConfig(own, jobs[0].yaml)], began)
    if summary.stop is not None:
        raise ConfigError(
            f"the run {own.name}, which measures how many tokens words are, stopped: "
            f"{summary.stop.reason}",
            hint=summary.stop.hint,
        )
    counts = known_counts(config)
    if counts is None:
        raise ConfigError(
            f"{own.name}: the server does not say how many tokens prompts have, so that prompts of "
            "asked lengths cannot be made",
            hint="dataset.workload.calibrate=false guesses; with dataset.workload.tokenizer=FILE "
            "it counts by a tokenizer.json, and guesses what the chat template adds",
        )
    return counts


def known_counts(config: RunConfig) -> LinearCounts | None:
    """What was measured before; None where nothing was, or it cannot be used."""
    if not measures_counts(config):
        return None
    own = _words_run(config)
    root = run_root(own)
    if not (root / MANIFEST).is_file():
        return None
    workload = config.dataset.workload
    assert workload is not None
    counter = open_counter(workload.tokenizer, Path.cwd())
    run = Run.open(root)
    # An earlier session under this name may have asked another model, or sent other tools.
    setting_ids = {setting.setting_id for setting in prepare([own]).plan.settings}
    records = run.table("records", ["prompt_id", "setting_id", "prompt_tokens"]).to_pylist()
    prompts = run.table("prompts", ["prompt_id", "messages_json"]).to_pylist()
    units = {p["prompt_id"]: counter.count(_text_of(p["messages_json"])) for p in prompts}
    known = [
        (units[r["prompt_id"]], int(r["prompt_tokens"]))
        for r in records
        if r["prompt_tokens"] is not None
        and r["setting_id"] in setting_ids
        and r["prompt_id"] in units
    ]
    try:
        return fit_counts([u for u, _ in known], [t for _, t in known]) if known else None
    except ValueError:
        return None


def _text_of(messages_json: str) -> str:
    """The text of a prompt, without what a system prompt or template adds."""
    messages: list[dict[str, str]] = msgspec.json.decode(messages_json)
    return messages[-1]["content"]


def _words_run(config: RunConfig) -> RunConfig:
    """The run that measures, from the run that is to be sent."""
    params = {name: value for name, value in config.params.items() if name not in _LIMITS}
    workload = config.dataset.workload
    assert workload is not None
    name = "max_completion_tokens" if "max_completion_tokens" in config.params else "max_tokens"
    if workload.output_tokens is not None:
        name = workload.output_parameter
    params[name] = _SHORTEST
    return structs.replace(
        config,
        name=f"{config.name}{_SUFFIX}",
        dataset=structs.replace(
            config.dataset, path=WORDS_NAME, limit=None, sample=None, where=None
        ),
        params=params,
        sweep={},
        load=None,
        repeats=1,
        scoring=[],
        answer=None,
    )
