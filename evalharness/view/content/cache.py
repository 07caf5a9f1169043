"""The contents that were made last, and those being made."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections import OrderedDict

import msgspec

from evalharness.process.environment import environment_without_secrets
from evalharness.view.content.jobs import Answer, Failure, Job

_CONTENTS = 16
_PROCESSES = 2


class ContentCache:
    """Makes each content once, however many pages ask for it.

    The state of the runs is part of what names a content: one that changed is made anew.
    """

    def __init__(self) -> None:
        self._tasks: OrderedDict[tuple[Job, object], asyncio.Task[Answer]] = OrderedDict()
        self._slots = asyncio.Semaphore(_PROCESSES)

    def find(self, job: Job, state: object) -> Answer | None:
        """What was made already; None where it has to be made."""
        task = self._tasks.get((job, state))
        if task is None or not task.done() or task.cancelled() or task.exception() is not None:
            return None
        return task.result()

    async def make(self, job: Job, state: object) -> Answer:
        """The content of a page, or why there is none.

        Args:
            job: what is wanted.
            state: of the runs; equal as long as they have not changed.
        """
        key = (job, state)
        task = self._tasks.get(key)
        if task is None:
            task = self._tasks[key] = asyncio.create_task(self._run(job))
            while len(self._tasks) > _CONTENTS:
                self._tasks.popitem(last=False)
        self._tasks.move_to_end(key)
        # Who leaves the page must not take the content from others.
        try:
            answer = await asyncio.shield(task)
        finally:
            # What is not possible now may be later.
            if task.done() and isinstance(self.find(job, state), Failure | None):
                self._tasks.pop(key, None)
        return answer

    async def close(self) -> None:
        """End the processes; called before the event loop ends."""
        tasks = [task for task in self._tasks.values() if not task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, job: Job) -> Answer:
        async with self._slots:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-P", "-m", "evalharness.view.content.build",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env=environment_without_secrets(),
                start_new_session=True,  # Ctrl-C is for the command, which ends this one
            )  # fmt: skip
            try:
                output, _ = await process.communicate(msgspec.json.encode(job))
            finally:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if process.returncode:
            return Failure(
                f"the process that computes figures ended with {process.returncode}",
                "the terminal of evalharness view says more",
            )
        return msgspec.json.decode(output, type=Answer)
