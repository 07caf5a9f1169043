# pyright: reportMissingImports=false, reportUnknownVariableType=false
# Ray is an extra: the types must also be checked where it is not installed.
"""A Ray of our own on this machine, or a connection to one that runs."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Collection, Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import ray

from evalharness.config.models import ExecutionConfig
from evalharness.distributed.actors import Cluster
from evalharness.distributed.ray_cluster.health import plain_first_line
from evalharness.distributed.ray_cluster.keys import serve_keys, without_secrets
from evalharness.errors import ConfigError, StorageError

_ray: Any = ray  # most of it has no type annotations
# Plans and messages are small; Ray would take a third of the memory for its object store.
_STORE_BYTES = 256 * 2**20
_GCS_PATIENCE_S = "600"
_CLIENT_GRACE_S = "10"


@contextmanager
def cluster(execution: ExecutionConfig, variables: Collection[str] = ()) -> Generator[Cluster]:
    """Connect to Ray, or start one on this machine that ends with the block.

    A local one requires a token where :func:`.ray_token.require_token` was called before.

    Args:
        execution: where it is, and how many workers it must have room for.
        variables: names of the environment variables with keys that workers send.

    Raises:
        ConfigError: no Ray answers at ``execution.address``, or it has too few processors.
        StorageError: a Ray of our own did not start.
    """
    # Ray would send statistics over the network.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # It would end this process a minute after its control server, in the middle of recovery.
    os.environ.setdefault("RAY_gcs_rpc_server_reconnect_timeout_s", _GCS_PATIENCE_S)
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "CRITICAL"}
    with ExitStack() as stack:
        keys = None
        if execution.address is None:
            # It holds sockets, whose paths may have 107 characters. Ray makes the folder it is
            # given open to everybody, so there is one around it that only this user may enter.
            folder = Path(tempfile.mkdtemp(prefix="evh-ray-"))
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            keys = folder / "keys"
            _start(execution, folder / "r", quiet)
            stack.callback(_ray.shutdown)
            stack.enter_context(serve_keys(keys, variables))
        else:
            _connect(execution, quiet)
            stack.callback(_ray.shutdown)
        yield Cluster(keys)


def _start(execution: ExecutionConfig, folder: Path, quiet: dict[str, Any]) -> None:
    """Start a Ray on this machine.

    Raises:
        StorageError: it did not start.
    """
    try:
        with without_secrets():
            _ray.init(
                num_cpus=execution.workers,
                include_dashboard=False,
                object_store_memory=_STORE_BYTES,
                _temp_dir=str(folder),
                **quiet,
            )
    except Exception as error:  # Ray has no class for it
        _ray.shutdown()
        raise StorageError(
            f"Ray did not start on this machine: {plain_first_line(error)}",
            hint="nothing was sent; look at memory, at free disk and at the length of TMPDIR "
            f"({tempfile.gettempdir()}), then run it again, or without execution=ray",
        ) from error


def _connect(execution: ExecutionConfig, quiet: dict[str, Any]) -> None:
    assert execution.address is not None
    if execution.address.startswith("ray://"):
        # After a lost driver, workers stay for so long (30 s otherwise, as whoever goes on waits).
        os.environ.setdefault("RAY_CLIENT_RECONNECT_GRACE_PERIOD", _CLIENT_GRACE_S)
    try:
        _ray.init(address=execution.address, **quiet)
    except Exception as error:  # Ray Client raises plain ones
        raise ConfigError(
            f"execution.address: no Ray answers at {execution.address!r}: "
            f"{plain_first_line(error)}",
            hint="ray status tells whether one is there, and RAY_AUTH_TOKEN_PATH must lead to its "
            "token; execution.address=null starts one on this machine",
        ) from None
    processors = int(_ray.cluster_resources().get("CPU", 0))
    if processors < execution.workers:
        _ray.shutdown()
        raise ConfigError(
            f"execution.workers={execution.workers}, and the cluster has {processors} processors",
            hint=f"execution.workers={processors}",
        )
