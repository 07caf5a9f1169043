"""One reading of a run a second, for everybody who watches it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

from evalharness.errors import EvalharnessError
from evalharness.view.live.reader import LiveFigures, LiveReader

LOOK_EVERY_S = 1.0


class _Feed:
    """The newest figures of a run, while somebody watches."""

    def __init__(self, root: Path) -> None:
        self.watchers = 0
        self.number = 0
        self.figures: LiveFigures | None = None
        self.failure: EvalharnessError | None = None
        self._changed = asyncio.Event()
        self._reader = LiveReader(root)
        self._task = asyncio.create_task(self._look())

    async def wait(self, number: int) -> None:
        """Wait until there is something newer than ``number``."""
        while self.number == number:
            await self._changed.wait()

    def close(self) -> None:
        """Nobody watches any more."""
        self._task.cancel()

    async def _look(self) -> None:
        while True:
            try:
                self.figures = await asyncio.to_thread(self._reader.look)
                self.failure = None
            except EvalharnessError as error:
                self.failure = error
            self.number += 1
            changed, self._changed = self._changed, asyncio.Event()
            changed.set()
            if self.figures is not None and self.figures.is_over:
                return
            await asyncio.sleep(LOOK_EVERY_S)


class LiveFeeds:
    """The feeds of all runs that are watched."""

    def __init__(self) -> None:
        self._feeds: dict[Path, _Feed] = {}

    async def watch(self, root: Path) -> AsyncGenerator[LiveFigures | EvalharnessError]:
        """The figures of a run about once a second, until it is over."""
        feed = self._feeds.get(root)
        if feed is None:
            feed = self._feeds[root] = _Feed(root)
        feed.watchers += 1
        try:
            number = 0
            while True:
                await feed.wait(number)
                number = feed.number
                if feed.failure is not None:
                    yield feed.failure
                elif feed.figures is not None:
                    yield feed.figures
                    if feed.figures.is_over:
                        return
        finally:
            feed.watchers -= 1
            if not feed.watchers or (feed.figures is not None and feed.figures.is_over):
                self._feeds.pop(root, None)
                feed.close()
