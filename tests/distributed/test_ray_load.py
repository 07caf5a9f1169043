"""A load on real Ray: one schedule, one clock, however the workers' own clocks stand."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import evalharness as package
from evalharness import errors
from evalharness.store.folder.load_points_file import MeasurementState, read_measurements
from evalharness.store.parts.verify import verify_folder
from tests.distributed.conftest import started
from tests.distributed.test_ray_runs import begin, run, wait_for_workers
from tests.durability.processes import Emulator, ForkServer


@pytest.fixture(scope="module")
def skewed() -> Iterator[str]:
    """The address of a Ray whose workers have clocks of their own."""
    folders = (Path(__file__).with_name("skewed_clocks"), Path(package.__file__).parents[1])
    with started("ray_head.py", PYTHONPATH=os.pathsep.join(map(str, folders))) as (address, _):
        yield address


def load_on_ray(address: str, emulator: Emulator, *more: str) -> tuple[str, ...]:
    return (
        "run", "name=r", *emulator.provider, "dataset.limit=6", "scoring=none", "repeats=2",
        "params.max_tokens=8", "execution=ray", "execution.workers=3",
        f"execution.address={address}", *more,
    )  # fmt: skip


def test_workers_with_other_clocks_hold_one_schedule(
    fork_server: ForkServer, emulator: Emulator, skewed: str, tmp_path: Path
) -> None:
    """What the server saw is the schedule; instants are on the command's clock; the skew is said."""
    before = len(emulator.ledger())
    done = run(
        fork_server, tmp_path,
        *load_on_ray(skewed, emulator, "load=constant", "load.rate=20", "load.requests=60",
                     "load.warmup_requests=6", "load.max_delay_s=2"),
    )  # fmt: skip
    assert done.code == 0, done.err
    root = tmp_path / "results" / "r"
    (measurement,) = read_measurements(root)
    assert measurement.state is MeasurementState.COMPLETE
    assert measurement.scheduled == 60
    assert len(measurement.clocks) == 3
    for clock in measurement.clocks:  # whole seconds ahead, by the process id
        assert clock.offset_s > 1.9
        assert abs(clock.offset_s - round(clock.offset_s)) <= clock.error_s + abs(
            clock.drift_s or 0.0
        )
    records = package.load(root).records().sort_values("scheduled_at")
    anchor_ns = measurement.anchor_ns or 0
    due_ns = records["scheduled_at"].astype("datetime64[us, UTC]").astype("int64") * 1000
    due_s = (due_ns.to_numpy() - anchor_ns) / 1e9
    # A worker reads its two clocks one after the other.
    assert np.allclose(due_s, np.arange(66) / 20, atol=0.01)
    assert records["trial_id"].is_unique
    # As the server saw it, on the clock of the machine: never before it was due, within the error.
    received = sorted(row["received_at_ns"] for row in emulator.ledger()[before:])
    error_s = max(clock.error_s + abs(clock.drift_s or 0.0) for clock in measurement.clocks)
    assert len(received) == 66
    late_s = (np.array(received) - anchor_ns) / 1e9 - np.arange(66) / 20
    assert late_s.min() > -error_s - 0.01
    assert late_s.max() < 2
    report = run(fork_server, tmp_path, "report", "r", "--json")
    (point,) = json.loads(report.out)["load"]["points"]
    assert point["clocks"]["workers"] == 3
    assert point["clocks"]["offset_s"] > 1.9
    assert "measured by 3 workers" in run(fork_server, tmp_path, "report", "r").out.replace(
        "\n", " "
    )


@pytest.mark.long
def test_a_lost_worker_ends_the_measurement_and_the_same_command_makes_it_anew(
    fork_server: ForkServer, emulator: Emulator, skewed: str, tmp_path: Path
) -> None:
    arguments = load_on_ray(
        skewed, emulator, "load=closed", "load.concurrency=6", "load.duration_s=6",
        "load.min_rate_share=0.01", "load.max_delay_s=5",
    )  # fmt: skip
    command = begin(fork_server, tmp_path, *arguments)
    emulator.wait_until_received(len(emulator.ledger()) + 60)
    root = tmp_path / "results" / "r"
    os.kill(wait_for_workers(root, 3)[0], signal.SIGKILL)
    done = command.wait()
    assert done.code == errors.EXIT_STORAGE, done.err
    assert "measured anew" in done.err
    assert verify_folder(root).is_sound
    again = run(fork_server, tmp_path, *arguments)
    assert again.code == 0, again.err
    states = [measurement.state for measurement in read_measurements(root)]
    assert states == [MeasurementState.INTERRUPTED, MeasurementState.COMPLETE]
    assert verify_folder(root).is_sound


@pytest.mark.long
def test_an_interrupt_ends_a_load_everywhere(
    fork_server: ForkServer, emulator: Emulator, skewed: str, tmp_path: Path
) -> None:
    arguments = load_on_ray(skewed, emulator, "load=constant", "load.rate=30", "load.duration_s=60")
    command = begin(fork_server, tmp_path, *arguments)
    emulator.wait_until_received(len(emulator.ledger()) + 30)
    command.signal(signal.SIGINT)
    done = command.wait()
    assert done.code == errors.EXIT_INTERRUPTED, done.err
    assert "to go on: evalharness run name=r" in done.last_line
    (measurement,) = read_measurements(tmp_path / "results" / "r")
    assert measurement.state is MeasurementState.INTERRUPTED
