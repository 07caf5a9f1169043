"""A Ray of the tests' own, alive while standard input is open. Not a test."""

from __future__ import annotations

import os
import sys
import tempfile

import ray

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
with tempfile.TemporaryDirectory(prefix="evh-t-", ignore_cleanup_errors=True) as folder:
    ray.init(
        num_cpus=16, include_dashboard=False, log_to_driver=False, logging_level="ERROR",
        object_store_memory=100 * 2**20, _temp_dir=folder,
    )  # fmt: skip
    print(ray.get_runtime_context().gcs_address, flush=True)
    sys.stdin.read()
    ray.shutdown()
