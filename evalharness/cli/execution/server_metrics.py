"""The metrics of servers beside a run: which addresses, the check before, the readings."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from evalharness.chat_api.client import ChatClient
from evalharness.config.models import RunConfig
from evalharness.config.server_metrics import ServerMetricsConfig
from evalharness.errors import ConfigError
from evalharness.http.files import FileTransport
from evalharness.runner import EndpointRuntime
from evalharness.runner.scraper import MetricsScraper
from evalharness.store.parts.scrape_file import ScrapeWriter
from evalharness.store.parts.scrape_table import parse_metrics, seal_scrapes

if TYPE_CHECKING:
    from evalharness.runner.progress import Progress
    from evalharness.store.folder.writer import RunStore

AUTO = "auto"
_ACCEPT = {"accept": "text/plain;version=0.0.4"}


@asynccontextmanager
async def reading_metrics(
    config: RunConfig,
    store: RunStore,
    endpoints: Mapping[str, EndpointRuntime],
    progress: Progress,
) -> AsyncGenerator[None]:
    """Read what ``server_metrics`` names for the length of the block; nothing without it.

    No key is sent: the addresses may be of others than the provider.

    Raises:
        ConfigError: an address answers with something else than Prometheus metrics.
        StorageError: the disk refused.
    """
    wanted = config.server_metrics
    if wanted is None:
        yield
        return
    urls = metrics_urls(wanted, endpoints)
    async with FileTransport(config.limits) as transport:

        async def fetch(url: str) -> tuple[bytes | None, str | None]:
            exchange = await transport.send("GET", url, dict(_ACCEPT))
            if exchange.failure is not None:
                return None, exchange.message or str(exchange.failure)
            if exchange.status != 200:
                return None, f"HTTP {exchange.status}"
            return b"".join(exchange.chunks), None

        for name, url in urls.items():
            await _check(name, url, *await fetch(url), progress)
        root = store.folder.root
        seal_scrapes(root)  # what a killed session left
        scraper = MetricsScraper(wanted, urls, fetch, ScrapeWriter(root), progress.print_line)
        scraper.start()
        try:
            yield
        finally:
            await scraper.stop()
            seal_scrapes(root)


async def _check(
    name: str, url: str, text: bytes | None, problem: str | None, progress: Progress
) -> None:
    if text is None:
        progress.print_line(
            f"server metrics of {name}: {url} does not answer ({problem}); it is asked again while "
            "the run goes on"
        )
        return
    try:
        parse_metrics(text)
    except ValueError as error:
        raise ConfigError(
            f"server_metrics.urls.{name}: {url} answers with {error}",
            hint="the address of Prometheus metrics, such as http://host:8000/metrics; "
            f"~server_metrics.urls.{name} leaves it out",
        ) from None


def metrics_urls(
    config: ServerMetricsConfig, endpoints: Mapping[str, EndpointRuntime]
) -> dict[str, str]:
    """The addresses to read; ``auto`` is ``/metrics`` of the first provider's host.

    Several addresses behind one name are read each, as ``NAME-1``, ``NAME-2`` and so on.

    Raises:
        ConfigError: there is no such host.
    """
    urls: dict[str, str] = {}
    for name, url in config.urls.items():
        if url != AUTO:
            urls[name] = url
            continue
        own = _own_addresses(endpoints, name)
        names = [name] if len(own) == 1 else [f"{name}-{n}" for n in range(1, len(own) + 1)]
        urls |= zip(names, own, strict=True)
    return urls


def _own_addresses(endpoints: Mapping[str, EndpointRuntime], name: str) -> list[str]:
    endpoint = next(iter(endpoints.values()), None)
    client = None if endpoint is None else endpoint.client
    if endpoint is None or not isinstance(client, ChatClient):
        raise ConfigError(
            f"server_metrics.urls.{name}=auto, and the provider has no address",
            hint=f"server_metrics.urls.{name}=http://host:8000/metrics",
        )
    if endpoint.replicas is not None:
        return [_metrics_address(address) for address in endpoint.replicas.addresses]
    return [_metrics_address(client.address("/metrics"))]


def _metrics_address(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc, "/metrics", "", ""))
