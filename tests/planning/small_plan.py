"""A small dataset and the plan of a run over it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from evalharness.config.models import DatasetConfig, ProviderConfig, RunConfig
from evalharness.planning.build import build_plan
from evalharness.planning.plan import Plan

ROWS = [{"id": f"p{n}", "prompt": f"question {n}", "target": str(n)} for n in range(5)]


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    path = tmp_path / "d.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


def config(path: Path, **changes: Any) -> RunConfig:
    base = RunConfig(
        name="x",
        provider=ProviderConfig(kind="local", name="local", model="m"),
        dataset=DatasetConfig(path=str(path)),
        params={"max_tokens": 4},
        sweep={"temperature": [0, 1]},
        repeats=3,
    )
    return msgspec.structs.replace(base, **changes)


def plan(path: Path, **changes: Any) -> Plan:
    return build_plan([config(path, **changes)], {"local": "local:1"}, root=path.parent)
