"""Reading the metrics of servers beside a run, without disturbing it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from evalharness.config.server_metrics import ServerMetricsConfig
from evalharness.errors import StorageError
from evalharness.process import session_clock
from evalharness.store.parts.scrape_file import Scrape, ScrapeWriter

#: Reads an address; the text, or why there is none.
Fetch = Callable[[str], Awaitable[tuple[bytes | None, str | None]]]


class MetricsScraper:
    """Reads every endpoint at once, then at each interval, and once more at the end.

    A reading only waits for the network and appends what came to a file; nothing is taken apart.

    Args:
        config: interval and time limit.
        urls: by endpoint, as they are asked.
        fetch: reads an address.
        writer: keeps what came.
        say: prints a line.
    """

    def __init__(
        self,
        config: ServerMetricsConfig,
        urls: Mapping[str, str],
        fetch: Fetch,
        writer: ScrapeWriter,
        say: Callable[[str], None],
    ) -> None:
        self._config, self._urls, self._fetch = config, urls, fetch
        self._writer, self._say = writer, say
        self._silent: set[str] = set()  # endpoints of which that was said
        self._stopping = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to read."""
        self._tasks = [
            asyncio.create_task(self._read_on(name, url)) for name, url in self._urls.items()
        ]

    async def stop(self) -> None:
        """Read once more, and end; what was read is durable then.

        Raises:
            StorageError: the disk refused, now or while readings went on; those after that are
                missing.
        """
        self._stopping.set()
        results = await asyncio.gather(*self._tasks, return_exceptions=True)
        self._writer.close()
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def _read_on(self, name: str, url: str) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            await self._read(name, url)
            if self._stopping.is_set():
                return
            # Readings stay on their beats; one that took longer than a beat skips some.
            due += self._config.interval_s
            missed = max(0.0, loop.time() - due)
            due += missed - missed % self._config.interval_s
            try:
                await asyncio.wait_for(self._stopping.wait(), max(0.0, due - loop.time()))
            except TimeoutError:
                continue

    async def _read(self, name: str, url: str) -> None:
        at_ns = session_clock.now_ns()
        try:
            async with asyncio.timeout(self._config.timeout_s):
                text, problem = await self._fetch(url)
        except TimeoutError:
            text, problem = None, f"no answer within {self._config.timeout_s:g} s"
        if problem is not None and name not in self._silent:
            self._silent.add(name)
            self._say(f"server metrics of {name}: {problem}; the run goes on without them")
        elif problem is None and name in self._silent:
            self._silent.discard(name)
            self._say(f"server metrics of {name}: there again")
        try:
            self._writer.add(Scrape(at_ns, session_clock.now_ns(), name, text, problem))
        except StorageError as error:
            self._say(f"server metrics of {name}: {error}; the run goes on without them")
            raise
