"""From a composed configuration to a plan that may be sent, with everything checked before."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from evalharness.batch.checks import check_batch_requests, check_batch_run
from evalharness.config.models import ExecutionConfig, ProviderConfig, RunConfig, UsageRule
from evalharness.config.secret_scan import refuse_secrets_in_prompts
from evalharness.errors import ConfigError
from evalharness.planning.build import build_plan
from evalharness.planning.optional_rows import left_out_lines
from evalharness.planning.plan import Plan
from evalharness.providers import check_provider, provider_identity
from evalharness.records import Setting
from evalharness.scoring import Scorer, parse_answer_spec, parse_scoring

if TYPE_CHECKING:
    from evalharness.datasets.workload.token_counts import LinearCounts
    from evalharness.pricing import Price, PriceBook


class PreparedRun:
    """A plan that may be sent, with everything checked that can be checked before.

    Attributes:
        in_batches: whether its requests are sent in batches, and cost what a batch does.
    """

    def __init__(
        self,
        plan: Plan,
        providers: dict[str, ProviderConfig],
        book: PriceBook,
        *,
        in_batches: bool = False,
    ) -> None:
        self.plan = plan
        self.providers = providers
        self.book = book
        self.in_batches = in_batches

    def sent_alone(self) -> PreparedRun:
        """The same with single requests, whatever ``execution`` says."""
        return PreparedRun(self.plan, self.providers, self.book)

    def price(self, setting: Setting) -> Price | None:
        """The price of a setting's requests today as they are sent, None when unknown."""
        return self._find(setting, in_batch=self.in_batches)

    def live_price(self, setting: Setting) -> Price | None:
        """The price of a setting's requests today if they are sent alone, None when unknown."""
        return self._find(setting, in_batch=False)

    def batch_price(self, setting: Setting) -> Price | None:
        """The price of a setting's requests today if they are in batches, None when unknown."""
        return self._find(setting, in_batch=True)

    def missing_price_hint(self, provider: str, model: str) -> str:
        """The line of a price file that would give a model the price that is needed."""
        return self.book.missing_hint(provider, model, in_batch=self.in_batches)

    def _find(self, setting: Setting, *, in_batch: bool) -> Price | None:
        from datetime import UTC, datetime

        today = datetime.now(UTC).date()
        return self.book.find(setting.provider, setting.model, at=today, in_batch=in_batch)


def prepare(
    configs: Sequence[RunConfig], *, sends: bool = True, counts: LinearCounts | None = None
) -> PreparedRun:
    """Check providers, dataset, parameters and prices; nothing is sent.

    Args:
        configs: one, or the jobs of a multirun.
        sends: something is to be sent afterwards, which needs a key.
        counts: how many tokens words are, for a synthetic workload; None guesses.

    Raises:
        ConfigError, ProviderError: what is wrong, and what to type.
    """
    from evalharness.pricing.book import PriceBook, batch_discounts

    config = configs[0]
    providers: dict[str, ProviderConfig] = {}
    for job in configs:
        for provider in _providers_of(job):
            if providers.setdefault(provider.name, provider) != provider:
                raise ConfigError(
                    f"two configurations are both called provider.name={provider.name}",
                    hint="give one of them another provider.name",
                )
    for provider in providers.values():
        check_provider(provider, sends=sends)
    check_execution(config, providers)
    identities = {name: provider_identity(p) for name, p in providers.items()}
    scorers = parse_scoring(config.scoring)
    parse_answer_spec(config.answer)
    plan = build_plan(configs, identities, root=Path.cwd(), counts=counts)
    if config.execution.engine == "batch":
        check_batch_requests(plan, providers)
    _warn_of_scorers(scorers, plan)
    for line in left_out_lines(plan.left_out):
        print(line, file=sys.stderr)
    refuse_secrets_in_prompts(plan.prompts, plan.settings)
    aliases = {n: p.profile.price_source for n, p in providers.items() if p.profile.price_source}
    rules: dict[str, UsageRule] = {
        n: p.profile.usage_rule for n, p in providers.items() if p.profile.usage_rule
    }
    book = PriceBook.read(
        overrides=config.pricing,
        aliases=aliases,
        usage_rules=rules,
        batch_discounts=batch_discounts(providers.values()),
    )
    return PreparedRun(plan, providers, book, in_batches=config.execution.engine == "batch")


def _warn_of_scorers(scorers: Sequence[Scorer], plan: Plan) -> None:
    """Say which scorers have arguments that are likely a mistake, before anything is paid for."""
    warnings = {s.label: warning for s in scorers if (warning := s.warning()) is not None}
    if warnings and any(prompt.target is not None for prompt in plan.prompts):
        for label, warning in warnings.items():
            print(f"warning: scorer {label}: {warning}", file=sys.stderr)


def _providers_of(config: RunConfig) -> list[ProviderConfig]:
    axis = config.sweep.get("provider")
    if axis is None:
        return [config.provider]
    named = {config.provider.name: config.provider, **config.providers}
    return [named[name] for name in axis if name in named]


def _refuse_ray_keys(execution: ExecutionConfig) -> None:
    """Refuse keys that have a meaning only for Ray workers."""
    for key in ("address", "journal_dir", "shard_trials"):
        if (value := getattr(execution, key)) is not None:
            raise ConfigError(
                f"execution.{key}={value} has no meaning in one process",
                hint=f"execution=ray execution.{key}={value}, or execution.{key}=null",
            )


def _refuse_for_ray(providers: dict[str, ProviderConfig]) -> None:
    """Refuse providers that workers cannot send to.

    Raises:
        ConfigError: what to type instead.
    """
    several = [name for name, provider in providers.items() if provider.base_urls]
    if several:
        raise ConfigError(
            f"execution=ray, and provider {several[0]!r} has several addresses",
            hint="execution=local; or a proxy before them, and provider.base_url of it",
        )
    functions = [name for name, provider in providers.items() if provider.kind == "python"]
    if functions:
        raise ConfigError(
            f"execution=ray, and provider {functions[0]!r} is a function of this process",
            hint="execution=local; a function of many calls at once needs limits.concurrency",
        )


def check_execution(config: RunConfig, providers: dict[str, ProviderConfig]) -> None:
    """Check before anything is started whether the run can be executed as configured.

    Raises:
        ConfigError: Ray is not installed, or ``execution`` does not fit the rest.
    """
    execution = config.execution
    if execution.engine == "local":
        _refuse_ray_keys(execution)
        return
    if execution.engine == "batch":
        _refuse_ray_keys(execution)
        check_batch_run(config, providers)
        return
    if importlib.util.find_spec("ray") is None:
        raise ConfigError(
            "execution.engine=ray, and Ray is not installed", hint="pip install 'evalharness[ray]'"
        )
    _refuse_for_ray(providers)
    if config.load is not None and execution.journal_dir is not None:
        raise ConfigError(
            "a benchmark keeps its journals in the run folder: the trials of a share are not known "
            "before they are sent",
            hint="execution.journal_dir=null",
        )
    maximum = config.limits.concurrency
    if config.load is None and execution.workers > maximum:
        raise ConfigError(
            f"execution.workers={execution.workers}, and limits.concurrency={maximum} requests at "
            "once are not enough for one each",
            hint=f"execution.workers={maximum}, or a larger limits.concurrency (the total of all)",
        )
    folder = execution.journal_dir
    if folder is not None and not PurePath(folder).is_absolute():
        raise ConfigError(
            f"execution.journal_dir={folder} is another folder in each process that reads it",
            hint=f"execution.journal_dir={Path(folder).expanduser().absolute()}, or another "
            "absolute path",
        )
    if execution.address is None:
        return
    if execution.address.startswith("ray://") and importlib.util.find_spec("grpc") is None:
        raise ConfigError(
            f"execution.address={execution.address}: Ray Client needs grpcio, which is not "
            "installed",
            hint="pip install 'ray[client]', here and on the cluster, or run the command on a "
            "machine of the cluster, with execution.address=auto",
        )
    for provider in providers.values():
        if provider.kind != "remote":
            raise ConfigError(
                f"execution.address is set, and provider {provider.name!r} (kind {provider.kind}) "
                "answers on this machine alone",
                hint="execution.address=null, or a provider with a base_url",
            )
