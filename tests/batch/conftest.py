"""A run in batches, as a command in a process of its own."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evalharness.store.folder.run import Run
from tests.batch.forked_commands import Ended, ForkedCommands
from tests.batch.server import Provider, serving

PRICE = (
    'pricing.prices=[{provider: openai_compatible, model: "*", '
    "price_usd_per_mtok: {prompt: 1, completion: 2}, batch_discount: 0.5}]"
)


@pytest.fixture(scope="session")
def commands() -> Iterator[ForkedCommands]:
    """Starts commands."""
    with ForkedCommands() as started:
        yield started


class BatchRun:
    """A run of 6 prompts twice in a folder of its own, and the provider that it asks."""

    def __init__(self, folder: Path, commands: ForkedCommands, provider: Provider, url: str):
        self.folder, self.provider, self.url = folder, provider, url
        self._commands = commands
        self.pid = 0
        self.environment: dict[str, str] = {}
        rows = [{"id": f"p{i}", "prompt": f"question {i}"} for i in range(6)]
        (folder / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def __call__(self, *arguments: str, form: str = "openai") -> Ended:
        """Run it."""
        return self.command(*self.arguments(*arguments, form=form))

    def arguments(self, *more: str, form: str = "openai") -> list[str]:
        """The command of the run."""
        protocol = "messages" if form == "anthropic" else "chat"
        return [
            "run", "provider=openai_compatible", f"provider.base_url={self.url}",
            "provider.model=m", f"provider.protocol={protocol}",
            f"+provider.profile.batch.form={form}", "execution=batch", "execution.poll_s=0.02",
            "execution.lookup_s=0", "dataset.path=prompts.jsonl", "name=r", "repeats=2",
            "params.max_tokens=20", PRICE, *more,
        ]  # fmt: skip

    def command(self, *arguments: str) -> Ended:
        """Any command in its folder."""

        def started(pid: int) -> None:
            self.pid = pid

        return self._commands.run(
            [*arguments], self.folder, started=started, environment=self.environment
        )

    def kill(self) -> None:
        """Kill the command that runs."""
        os.kill(self.pid, signal.SIGKILL)

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        os.kill(self.pid, signal.SIGINT)

    @property
    def root(self) -> Path:
        """The run folder."""
        return self.folder / "results/r"

    def rows(self, table: str) -> list[dict[str, Any]]:
        """The rows of a table of the run."""
        return Run.open(self.root).table(table).to_pylist()

    def assert_bought_once(self) -> None:
        """Every trial is recorded, and was bought exactly once."""
        records = self.rows("records")
        assert len(records) == 12
        assert {r["status"] for r in records} == {"ok"}
        assert sorted(Counter(self.requests).values()) == [1] * 12, self.provider.calls

    @property
    def requests(self) -> list[str]:
        """The trials whose requests were bought, each as often as it was."""
        return [name.replace("-", ".").split(".")[1] for name in self.provider.bought]


@pytest.fixture
def run(tmp_path: Path, commands: ForkedCommands) -> Iterator[BatchRun]:
    """The run, with its provider."""
    with serving(provider := Provider()) as url:
        yield BatchRun(tmp_path, commands, provider, url)
