"""What every command that sends shares: its endpoints with their limits, and its budget."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from msgspec import structs

from evalharness.chat_api.client import ChatClient
from evalharness.chat_api.protocols import get_protocol
from evalharness.config.models import MAX_CONCURRENCY, LimitsConfig, ProviderConfig
from evalharness.config.package_version import __version__
from evalharness.http import Transports
from evalharness.process import session_clock
from evalharness.providers import Endpoint, open_endpoint
from evalharness.runner import EndpointRuntime
from evalharness.runner.budget import EarlierSpend, RunBudget, check_bounded, earlier_spend
from evalharness.runner.clients import Client
from evalharness.runner.replica_health import ReplicaHealth
from evalharness.runner.replicas import Replicas
from evalharness.store.folder.run import Run
from evalharness.throttle.clock import SystemClock
from evalharness.throttle.limiter import EndpointLimiter
from evalharness.throttle.output_token_estimate import TokenEstimator

if TYPE_CHECKING:
    from evalharness.cli.compose import ComposedConfig
    from evalharness.cli.execution.prepare import PreparedRun
    from evalharness.runner.progress import Progress
    from evalharness.store.folder.writer import RunStore


def config_yaml(jobs: list[ComposedConfig]) -> str:
    """The configuration as it is stored in the run folder; one YAML document a job."""
    head = f"# Resolved configuration, evalharness {__version__}.\n"
    if len(jobs) == 1:
        return head + jobs[0].yaml
    return head + "".join(f"--- # job {n}\n{job.yaml}" for n, job in enumerate(jobs))


async def open_endpoints(
    prepared: PreparedRun,
    stack: AsyncExitStack,
    progress: Progress,
    *,
    exact_limits: LimitsConfig | None = None,
) -> dict[str, EndpointRuntime]:
    """Open every provider of a plan until ``stack`` closes.

    ``exact_limits`` replace the run's limits, and what an endpoint can serve at once is ignored: a
    benchmark measures how long requests wait inside an endpoint.
    """
    config = prepared.plan.config
    run_limits = config.limits if exact_limits is None else exact_limits
    # What is in flight, the limiter limits; a running run may be given a higher concurrency.
    connections = structs.replace(run_limits, concurrency=MAX_CONCURRENCY)
    transports = Transports(config.transport, connections, stack)
    runtimes: dict[str, EndpointRuntime] = {}
    for name, provider in prepared.providers.items():
        endpoint = await stack.enter_async_context(open_endpoint(provider, say=progress.print_line))
        client = await _client(endpoint, transports, run_limits)
        clients = await _replica_clients(endpoint, transports, run_limits)
        replicas = _replicas(provider, clients, progress.print_line)
        # More requests than an endpoint serves at once would wait inside it and add to latency.
        hint = endpoint.concurrency_hint if exact_limits is None else None
        limits = structs.replace(run_limits, concurrency=min(run_limits.concurrency, hint or 10**9))
        seed = config.order.shuffle_seed
        address = ", ".join(endpoint.base_urls or (endpoint.base_url,))
        limiter = EndpointLimiter(
            name, limits, endpoint.profile, SystemClock(), seed, address=address
        )
        runtimes[name] = EndpointRuntime(client, limiter, TokenEstimator(), hint, replicas)
    return runtimes


async def _replica_clients(
    endpoint: Endpoint, transports: Transports, limits: LimitsConfig
) -> dict[str, Client]:
    """A client for each of several addresses; none where there is one."""
    urls = endpoint.base_urls if len(endpoint.base_urls) > 1 else ()
    return {
        url: await _client(structs.replace(endpoint, base_url=url), transports, limits)
        for url in urls
    }


def _replicas(
    provider: ProviderConfig, clients: dict[str, Client], say: Callable[[str], None]
) -> Replicas | None:
    """The servers behind one name; None where there is one."""
    if not clients:
        return None
    health = ReplicaHealth(provider.name, clients, SystemClock(), say)
    return Replicas(clients, provider.routing, provider.affinity, health)


async def _client(endpoint: Endpoint, transports: Transports, limits: LimitsConfig) -> Client:
    if endpoint.function is not None:
        from evalharness.providers.python.client import FunctionClient

        return FunctionClient(endpoint.function, timeout_s=limits.timeout_total_s)
    return ChatClient(
        await transports.get(endpoint.tls),
        endpoint.base_url,
        key=endpoint.key,
        auth=endpoint.auth,
        headers=endpoint.headers,
        secret_headers=endpoint.secret_headers,
        query=endpoint.query,
        allow_plain_http=endpoint.allow_plain_http,
        profile=endpoint.profile,
        protocol=get_protocol(endpoint.protocol),
    )


def open_budget(prepared: PreparedRun, store: RunStore) -> RunBudget:
    """The budget of a run: today's prices, and what earlier sessions spent.

    ``store`` is open, so that attempts without a result already count as in doubt.

    Raises:
        ConfigError: there is a limit that could not hold: no price, or no ``max_tokens``.
    """
    limit = prepared.plan.config.limits.max_cost_usd
    settings, execution = prepared.plan.settings, prepared.plan.config.execution
    prices = {s.setting_id: prepared.live_price(s) for s in settings}
    in_batch = {s.setting_id: prepared.batch_price(s) for s in settings if prepared.in_batches}
    part_tokens = {name: p.profile.part_tokens for name, p in prepared.providers.items()}
    if limit is None:
        return RunBudget(None, prices, batch_prices=in_batch, part_tokens=part_tokens)
    # What a batch does not answer may be sent alone, at the price of that.
    sends_alone = not prepared.in_batches or execution.on_expired == "live"
    for is_batch, used in ((False, sends_alone), (True, prepared.in_batches)):
        if used:
            check_bounded(
                settings,
                in_batch if is_batch else prices,
                prepared.book,
                prompts=prepared.plan.prompts,
                part_tokens=part_tokens,
                in_batch=is_batch,
            )
    before = earlier_spend(Run.open(store.folder.root), prepared.book)
    if before.unknown:
        print(
            f"{before.unknown} earlier attempts have no known cost and count nothing towards "
            f"limits.max_cost_usd={limit}",
            file=sys.stderr,
        )
    return RunBudget(
        limit,
        prices,
        batch_prices=in_batch,
        part_tokens=part_tokens,
        spent=before.spent,
        in_doubt=before.in_doubt,
    )


def cost_limit_check(prepared: PreparedRun, store: RunStore) -> Callable[[], EarlierSpend]:
    """What is to be done before a run that began without a cost limit gets one.

    What is returned checks that a limit can hold, and sums up what earlier sessions spent: attempts
    that were admitted before this call. The budget has counted this session.
    """
    began_ns = session_clock.now_ns()

    def check() -> EarlierSpend:
        settings = prepared.plan.settings
        check_bounded(
            settings,
            {s.setting_id: prepared.price(s) for s in settings},
            prepared.book,
            prompts=prepared.plan.prompts,
            part_tokens={name: p.profile.part_tokens for name, p in prepared.providers.items()},
        )
        return earlier_spend(Run.open(store.folder.root), prepared.book, before_ns=began_ns)

    return check
