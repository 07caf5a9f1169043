"""``ray://``: the command runs on a machine that is none of the cluster's."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from evalharness import errors
from evalharness.store.parts.verify import verify_folder
from tests.distributed.conftest import started
from tests.distributed.test_ray_runs import on_ray, run
from tests.durability.processes import Emulator, ForkServer


def test_without_grpc_the_hint_says_what_to_install(
    fork_server: ForkServer, emulator: Emulator, tmp_path: Path
) -> None:
    pytest.importorskip("ray", reason="the extra `ray` is not installed")
    if importlib.util.find_spec("grpc") is not None:
        pytest.skip("grpcio is installed")
    done = run(fork_server, tmp_path, *on_ray("ray://127.0.0.1:1", emulator))
    assert done.code == errors.EXIT_CONFIG
    assert "pip install 'ray[client]'" in done.err


@pytest.mark.long
def test_a_batch_and_a_load_through_ray_client(
    fork_server: ForkServer, emulator: Emulator, tmp_path: Path
) -> None:
    pytest.importorskip("ray", reason="the extra `ray` is not installed")
    pytest.importorskip("grpc", reason="Ray Client needs grpcio (ray[client])")
    with started("ray_client_head.py") as (address, _):
        arguments = [a for a in on_ray(address, emulator) if not a.startswith("repeats=")]
        for name, more in (("batch", "load=none"), ("load", "load=closed")):
            done = run(
                fork_server, tmp_path, *arguments, f"name={name}", more, "repeats=2",
                "execution.workers=2",
            )  # fmt: skip
            assert done.code in (errors.EXIT_OK, errors.EXIT_FAILED), done.err
            assert "Traceback" not in done.err
            assert "left; to go on" not in done.err
            assert verify_folder(tmp_path / "results" / name).is_sound
