"""The connection of a query: DuckDB, which the extra ``view`` installs."""

from __future__ import annotations

import contextlib
import importlib
import os
from types import ModuleType
from typing import TYPE_CHECKING

from evalharness.errors import ConfigError

if TYPE_CHECKING:
    import duckdb

MEMORY = "200MB"  # of a database: tables and sorts beyond it go to its file
_MAX_THREADS = 4  # more take more memory
_SETTINGS = {
    "memory_limit": MEMORY,
    "TimeZone": "UTC",
    "autoinstall_known_extensions": "false",  # nothing is loaded from elsewhere
    "parquet_metadata_cache": "true",  # a page of a sorted table is of many files
}


def import_database() -> None:
    """Import what the first query needs, where it is installed: that takes half a second."""
    for name in ("duckdb", "pyarrow.parquet"):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def require_database() -> ModuleType:
    """DuckDB; every other module has it from here.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import duckdb
    except ImportError:
        raise ConfigError(
            "records and their prompts need DuckDB, which is not installed",
            hint="pip install 'evalharness[view]'",
        ) from None
    return duckdb


def connect(path: str = ":memory:") -> duckdb.DuckDBPyConnection:
    """A database in a file that is ours alone, or in memory for a query or a few.

    Raises:
        ConfigError: DuckDB is not installed.
    """
    duckdb = require_database()
    config = {**_SETTINGS, "threads": str(min(_MAX_THREADS, os.cpu_count() or 1))}
    return duckdb.connect(path, config=dict(config))
