"""A Ray of two nodes on this machine, alive while standard input is open. Not a test.

The driver's node has one processor for workers, the other has two. A line on standard input kills
the second node as a power cut would; its answer says that it is gone.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import ray
from ray.cluster_utils import Cluster

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
# A lost node is noticed within two seconds rather than twenty.
os.environ["RAY_health_check_period_ms"] = "500"  # noqa: SIM112 - Ray's own spelling
os.environ["RAY_health_check_failure_threshold"] = "3"  # noqa: SIM112
ROOM = {"object_store_memory": 100 * 2**20, "include_dashboard": False}
with tempfile.TemporaryDirectory(prefix="evh-n-", ignore_cleanup_errors=True) as folder:
    os.environ["RAY_TMPDIR"] = folder  # where Ray notes its address, in a folder it does not make
    (Path(folder) / "ray").mkdir()
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "temp_dir": folder, **ROOM}
    )
    other = cluster.add_node(num_cpus=2, **ROOM)
    cluster.wait_for_nodes()
    print(cluster.address, flush=True)
    for _ in sys.stdin:
        cluster.remove_node(other, allow_graceful=False)
        print("gone", flush=True)
    cluster.shutdown()
    ray.shutdown()
