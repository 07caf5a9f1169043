"""Readings of servers' metrics that cannot be kept."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from evalharness.config.server_metrics import ServerMetricsConfig
from evalharness.errors import StorageError
from evalharness.runner.scraper import MetricsScraper
from evalharness.store.parts.scrape_file import ScrapeWriter, read_scrapes

READING = b"vllm:num_requests_running 3\n" * 100


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """The system refuses to write further than that into any file of this process."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_readings_that_the_disk_refuses_are_said_and_end_in_an_error(tmp_path: Path) -> None:
    """Said when it happens, since a run may take hours; what was written before it is kept."""
    asked: list[str] = []
    said: list[str] = []
    writer = ScrapeWriter(tmp_path)

    async def fetch(url: str) -> tuple[bytes | None, str | None]:
        asked.append(url)
        return READING, None

    async def read() -> None:
        config = ServerMetricsConfig(urls={"server": "http://server/metrics"}, interval_s=0.01)
        scraper = MetricsScraper(config, config.urls, fetch, writer, said.append)
        scraper.start()
        while len(asked) < 3:
            await asyncio.sleep(0)
        await scraper.stop()

    with files_up_to(2 * len(READING) + 100), pytest.raises(StorageError, match="File too large"):
        asyncio.run(read())
    assert said == [
        f"server metrics of server: cannot write {writer.path}: File too large; the run goes on "
        "without them"
    ]
    kept = list(read_scrapes(writer.path))
    assert len(kept) == 2
    assert {scrape.text for scrape in kept} == {READING}
