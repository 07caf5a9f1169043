"""What all tests share."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

# The parent of a worker process has these from readline; what commands print here is for no
# terminal.
for name in ("COLUMNS", "LINES"):
    os.environ.pop(name, None)

# A shell ignores SIGINT for what it starts in the background, and so would every command here.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A slow moment of the machine is no failure of the code.
settings.register_profile("evalharness", deadline=None)
settings.load_profile("evalharness")


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """A worker more than cores for the whole suite, whose tests also wait for servers.

    A part is done before a second worker has started.
    """
    return (
        (os.cpu_count() or 1) + 1 if config.args_source is pytest.Config.ArgsSource.TESTPATHS else 0
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave long tests out unless they are asked for."""
    if os.environ.get("EVALHARNESS_LONG"):
        return
    for item in items:
        if item.get_closest_marker("long") is not None:
            item.add_marker(pytest.mark.skip(reason="long: EVALHARNESS_LONG=1 runs it"))


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    """A dataset of 24 prompts of different lengths."""
    path = tmp_path / "prompts.jsonl"
    rows = [
        {"id": f"p{i}", "prompt": f"Tell me about number {i}. " + "Please be exact. " * (i % 7)}
        for i in range(24)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path
