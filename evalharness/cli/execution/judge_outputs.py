"""A language model grades a run's outputs, or picks the better of two.

The runner of all runs sends the requests, into a run folder inside the judged run's folder. An
output that was judged once is not paid for again.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from evalharness.chat_api.params import check_params
from evalharness.chat_api.protocols import get_protocol
from evalharness.cli.execution.connections import cost_limit_check, open_budget, open_endpoints
from evalharness.cli.execution.cost_prompt import confirm, needs_confirmation, recorded_trials
from evalharness.cli.execution.event_loop import run_on_loop
from evalharness.cli.execution.prepare import PreparedRun
from evalharness.cli.execution.run_summary import with_higher_limit
from evalharness.cli.execution.signals import stop_on_signals
from evalharness.cli.judge_config import merge_config, print_inherited_limit, read_keys
from evalharness.config.models import RunConfig
from evalharness.config.package_version import __version__
from evalharness.errors import EXIT_BUDGET, EXIT_CONFIG, EXIT_OK, ConfigError
from evalharness.judging.config import (
    CONFIG_FILE,
    JudgeConfig,
    as_yaml,
    judging_root,
)
from evalharness.judging.judge_prompts import (
    grade_prompts,
    instructions,
    pair_prompts,
    response_format,
)
from evalharness.judging.outputs import JudgeableOutputs
from evalharness.planning.plan import Plan
from evalharness.planning.setting_labels import label_settings
from evalharness.planning.sweep import expand_sweep
from evalharness.providers import check_provider, provider_identity
from evalharness.providers.tls import unverified
from evalharness.records import Prompt
from evalharness.report.sections.judges.judge_text import judge_lines
from evalharness.report.sections.judges.judging_summary import summarise_judging
from evalharness.runner import Runner, RunSummary
from evalharness.runner.context import RunContext
from evalharness.runner.control.run_control import RunControl
from evalharness.runner.control.watch import ControlWatch
from evalharness.runner.progress import progress_for_terminal
from evalharness.scoring.config_parsing import convert
from evalharness.store.folder.durable_files import write_bytes_durably
from evalharness.store.folder.run import Run
from evalharness.store.folder.writer import RunStore

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_DEFAULT_NAME = {"grade": "grade", "pairwise": "better"}


def judge_outputs(
    run_name: str,
    overrides: Sequence[str],
    *,
    name: str | None,
    config_file: str | None,
    yes: bool = False,
) -> int:
    """Judge what is not judged yet; print the verdicts, their cost and their agreement.

    Args:
        run_name: the judged run, a name under ``results/`` or a path.
        overrides: ``key=value``, over the file, over what the judging was made with before.
        name: of the judging; None is ``grade``, or ``better`` with ``mode=pairwise``.
        config_file: YAML with the keys of :class:`~evalharness.judging.config.JudgeConfig`.
        yes: an expensive judging is sent without asking.

    Returns:
        The exit code, as of ``run``.

    Raises:
        ConfigError: a key, a setting or a provider that cannot be used; nothing was sent.
    """
    run = Run.open(run_name)
    given = read_keys(overrides, config_file)
    name = name or _DEFAULT_NAME.get(str(given.get("mode", "grade")), "grade")
    root = judging_root(run.root, name)
    config = merge_config(given, root)
    print_inherited_limit(given, config)
    prompts = _prompts(run, config)
    if not prompts:
        raise ConfigError(
            f"run `{run.name}` holds no outputs to judge", hint=f"evalharness report {run_name}"
        )
    prepared = _prepare(config, prompts, root)
    if needs_confirmation(prepared, yes=yes):
        confirm(prepared, recorded_trials(prepared)[0], what="This judging")
    summary = _run(prepared, config, root)
    judged = summarise_judging(run, name)
    assert judged is not None
    for line in judge_lines(judged):
        print(line)
    again = ["evalharness", "judge", run_name, "--name", name]
    if summary.exit_code == EXIT_BUDGET:
        again = with_higher_limit(again)
    for line in _closing_lines(summary, run_name, config, name, shlex.join(again)):
        print(line, file=sys.stderr)
    return summary.exit_code


# ── the plan ─────────────────────────────────────────────────────────────────────────────────────


def _prompts(run: Run, config: JudgeConfig) -> list[Prompt]:
    outputs = JudgeableOutputs(run)
    if config.mode == "grade":
        return grade_prompts(outputs.unique(), config)
    assert config.a is not None
    assert config.b is not None
    a, b = outputs.setting(config.a), outputs.setting(config.b)
    pairs = outputs.pairs(a, b)
    if pairs and all(pair.identical for pair in pairs):
        raise ConfigError(f"{config.a} and {config.b} gave the same outputs: nothing to judge")
    return pair_prompts(pairs, config)


def _prepare(config: JudgeConfig, prompts: list[Prompt], root: Path) -> PreparedRun:
    from evalharness.pricing.book import provider_prices

    provider = config.provider
    check_provider(provider)
    params = dict(config.params)
    form = response_format(config)
    if form is not None:
        params.setdefault("response_format", form)
    params = check_params(params, provider.profile, protocol=get_protocol(provider.protocol))
    # The dataset's path is only shown to people: the prompts are the outputs of the judged run.
    raw = {
        "name": root.name,
        "results_dir": str(root.parent),
        "provider": msgspec.to_builtins(provider),
        "dataset": {"path": str(root.parent.parent), "system": instructions(config)},
        "params": params,
        "repeats": config.repeats,
        "order": {"shuffle_seed": config.seed},
        "limits": msgspec.to_builtins(config.limits),
        "pricing": config.pricing,
        "transport": config.transport,
    }
    run_config = convert(raw, RunConfig, "judge")
    identities = {provider.name: provider_identity(provider)}
    settings = label_settings(expand_sweep(run_config, identities))
    plan = Plan(
        run_config,
        prompts,
        settings,
        {provider.name: provider.profile},
        {provider.name: provider.protocol},
    )
    book = provider_prices(provider, config.pricing)
    return PreparedRun(plan, {provider.name: provider}, book)


# ── sending ──────────────────────────────────────────────────────────────────────────────────────


def _run(prepared: PreparedRun, config: JudgeConfig, root: Path) -> RunSummary:
    plan = prepared.plan
    store = RunStore(root, code_version=__version__)
    try:
        write_bytes_durably(root / CONFIG_FILE, as_yaml(config))
        store.save_plan(
            config_yaml=msgspec.json.format(msgspec.json.encode(plan.config), indent=2).decode(),
            prompts=plan.prompts,
            digests=plan.digests,
            settings=plan.settings,
            planned=len(plan),
            unverified=unverified(prepared.providers.values()),
        )
        done = plan.done_map(store.done_keys())
    except BaseException:
        store.close()
        raise
    return run_on_loop(lambda: _send(prepared, store, done))


async def _send(prepared: PreparedRun, store: RunStore, done: NDArray[np.bool_]) -> RunSummary:
    plan = prepared.plan
    if done.all():
        store.start()
        await store.finish(status="complete", reason=None)
        return RunSummary(planned=len(plan), already_recorded=len(plan))
    progress = progress_for_terminal()
    async with AsyncExitStack() as stack:
        stack.callback(progress.close)
        try:
            endpoints = await open_endpoints(prepared, stack, progress)
            budget = open_budget(prepared, store)
            context = RunContext(plan, store, endpoints, budget, progress)
            runner = Runner(context)
            control = RunControl(context, runner, cost_limit_check(prepared, store))
            progress.start(
                total=len(plan), done=int(done.sum()), label=f"judge {store.folder.root.name}"
            )
            with stop_on_signals(runner, progress):
                async with ControlWatch(store.folder.root).serving(control):
                    summary = await runner.run(done)
        except BaseException:
            store.close()
            raise
    stop = summary.stop
    status = "interrupted" if summary.remaining else "complete"
    await store.finish(
        status=status if stop is None else stop.status, reason=None if stop is None else stop.reason
    )
    return summary


def _closing_lines(
    summary: RunSummary, run_name: str, config: JudgeConfig, name: str, again: str
) -> list[str]:
    """What was sent and, last, what to type next."""
    lines = [
        f"{summary.recorded} judgements recorded, {summary.sent} requests sent, "
        f"{summary.failed} failed; {summary.already_recorded} were recorded before"
    ]
    if summary.stop is not None:
        lines.append(f"stopped: {summary.stop.reason}")
        if summary.stop.hint:
            lines.append(f"  → {summary.stop.hint}")
    if summary.remaining and summary.exit_code != EXIT_CONFIG:
        lines.append(f"{summary.remaining} judgements left; to go on: {again}")
    elif config.mode == "grade":
        scoring = f"scoring=[{{name: judge, from: {name}}}]"
        lines.append("as scores: " + shlex.join(["evalharness", "report", run_name, scoring]))
    elif summary.exit_code == EXIT_OK:
        lines.append(f"in full: {shlex.join(['evalharness', 'report', run_name, '--json'])}")
    return lines
