"""Prompts × settings × repeats: identities, order, what is left."""

from __future__ import annotations

import json
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pytest

from evalharness.config.models import OrderConfig
from evalharness.errors import ConfigError
from evalharness.planning.build import build_plan
from tests.planning.small_plan import config, plan


@pytest.mark.parametrize("repeats", ["interleaved", "blocked"])
def test_every_trial_comes_exactly_once(dataset: Path, repeats: Any) -> None:
    """5 prompts × 2 settings × 3 repeats, each once, in either order."""
    made = plan(dataset, order=OrderConfig(repeats=repeats))
    trials = list(made.trials())
    assert len(trials) == len(made) == 30
    cells = Counter((t.prompt.prompt_id, t.setting.setting_id) for t in trials)
    assert set(cells.values()) == {3}
    assert len({t.trial_id for t in trials}) == 30
    assert [t.position for t in trials] == list(range(30))


def test_interleaved_keeps_repeats_apart_and_blocked_keeps_them_together(dataset: Path) -> None:
    """interleaved: a whole round before any repeat comes again; blocked: repeats in a row."""
    interleaved = [t.repeat for t in plan(dataset).trials()]
    assert interleaved == [0] * 10 + [1] * 10 + [2] * 10
    blocked = list(plan(dataset, order=OrderConfig(repeats="blocked")).trials())
    assert [t.repeat for t in blocked] == [0, 1, 2] * 10
    assert len({t.prompt.prompt_id for t in blocked[:3]}) == 1


def test_identities_survive_a_wider_plan(dataset: Path) -> None:
    """A new value, prompt or repeat adds trials and renames none."""
    before = {t.trial_id for t in plan(dataset).trials()}
    wider = plan(dataset, sweep={"temperature": [1, 0, 0.5]}, repeats=4)
    assert before < {t.trial_id for t in wider.trials()}
    lines = dataset.read_text().splitlines()
    dataset.write_text("\n".join(['{"id": "new", "prompt": "hello"}', *reversed(lines)]) + "\n")
    assert before < {t.trial_id for t in plan(dataset).trials()}


def test_done_trials_are_left_out(dataset: Path) -> None:
    """done_map maps recorded keys, ignores strangers, and trials() skips what it marks."""
    made = plan(dataset)
    trials = list(made.trials())
    recorded = trials[:11]
    table = pa.table(
        {
            "prompt_id": [*(t.prompt.prompt_id for t in recorded), "stranger", "p0"],
            "setting_id": [
                *(t.setting.setting_id for t in recorded),
                "x",
                recorded[0].setting.setting_id,
            ],
            "repeat": pa.array([*(t.repeat for t in recorded), 0, 99], pa.int64()),
        }
    )
    done = made.done_map(table)
    assert done.sum() == 11
    assert [t.trial_id for t in made.trials(done)] == [t.trial_id for t in trials[11:]]


def test_the_body_is_what_the_setting_says(dataset: Path) -> None:
    """The request body carries model, messages and parameters, and nothing else."""
    made = plan(dataset)
    trial = next(t for t in made.trials() if t.prompt.prompt_id == "p2")
    assert json.loads(made.body(trial)) == {
        "model": "m",
        "messages": [{"role": "user", "content": "question 2"}],
        "max_tokens": 4,
        "temperature": trial.setting.params["temperature"],
    }


def test_jobs_of_a_multirun_make_one_plan(dataset: Path) -> None:
    """Settings of all jobs are pooled and labelled together; other differences are refused."""
    jobs = [config(dataset, sweep={}, params={"temperature": t}) for t in (0, 0.7)]
    made = build_plan(jobs, {"local": "local:1"}, root=dataset.parent)
    assert [s.label for s in made.settings] == ["T=0", "T=0.7"]
    assert [s.axes for s in made.settings] == [{"temperature": 0}, {"temperature": 0.7}]
    other = msgspec.structs.replace(jobs[1], repeats=9)
    with pytest.raises(ConfigError, match="differ in `repeats`"):
        build_plan([jobs[0], other], {"local": "local:1"}, root=dataset.parent)


def test_a_million_trials_start_at_once_and_hold_no_list(dataset: Path) -> None:
    """The first trials of 10^6 cost memory for a block, not for the plan."""
    made = plan(dataset, repeats=100_000)
    assert len(made) == 1_000_000
    tracemalloc.start()
    trials = made.trials()
    first = [next(trials).trial_id for _ in range(100)]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(set(first)) == 100
    assert peak < 2_000_000  # 10^6 trials as a list would be hundreds of megabytes


@pytest.mark.parametrize("repeats", ["interleaved", "blocked"])
@pytest.mark.parametrize("size", [1, 4, 7, 30])
def test_stretches_of_the_order_make_the_whole(dataset: Path, repeats: Any, size: int) -> None:
    """Positions cut anywhere: the same trials in the same order, done ones left out alike."""
    made = plan(dataset, order=OrderConfig(repeats=repeats))
    whole = list(made.trials())
    cuts = [(start, min(start + size, 30)) for start in range(0, 30, size)]
    stretches = [list(made.trials(start=start, stop=stop)) for start, stop in cuts]
    assert [trial for stretch in stretches for trial in stretch] == whole
    rows = [(t.prompt.prompt_id, t.setting.setting_id, t.repeat) for t in whole[::3]]
    names = ["prompt_id", "setting_id", "repeat"]
    recorded = pa.table({n: [row[i] for row in rows] for i, n in enumerate(names)})
    done = made.done_map(recorded)
    left = [t for start, stop in cuts for t in made.trials(done, start=start, stop=stop)]
    assert left == list(made.trials(done))
    flags = [flag for cut in cuts for flag in made.recorded_at(done, *cut).tolist()]
    assert flags == [position % 3 == 0 for position in range(30)]
