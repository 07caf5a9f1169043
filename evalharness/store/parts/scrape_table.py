"""Readings of servers' metrics as a table: one row a sample."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from evalharness.columnar.arrow_ops import read_parquet
from evalharness.errors import StorageError
from evalharness.schema import arrow_schema
from evalharness.store.parts.part_files import write_table
from evalharness.store.parts.scrape_file import FOLDER, Scrape, raw_files, read_scrapes

if TYPE_CHECKING:
    import pyarrow as pa

#: Metrics of the client libraries and of Python itself say nothing of the server.
_LEFT_OUT = ("python_", "process_", "promhttp_", "go_")
_LEFT_OUT_ENDINGS = ("_bucket", "_created")


def seal_scrapes(root: Path) -> int:
    """Turn every file of readings into a table, and remove it; how many there were.

    Raises:
        StorageError: the disk refused; the readings stay.
    """
    files = raw_files(root)
    for path in files:
        write_table(path.with_suffix(".parquet"), scrape_table(read_scrapes(path)))
        try:
            path.unlink()
        except OSError as error:
            raise StorageError(f"cannot remove {path}: {error.strerror or error}") from error
    return len(files)


def read_server_metrics(root: Path) -> pa.Table | None:
    """Everything that was read of servers beside a run; None where nothing was.

    Raises:
        StorageError: a file is damaged.
    """
    import pyarrow as pa

    files = sorted((root / FOLDER).glob("[0-9]*.parquet"))
    tables = [read_parquet(path) for path in files]
    tables += [
        scrape_table(read_scrapes(path))
        for path in raw_files(root)
        if not path.with_suffix(".parquet").exists()  # the last step of sealing it is missing
    ]
    return pa.concat_tables(tables) if tables else None


def scrape_table(scrapes: Iterable[Scrape]) -> pa.Table:
    """The samples of readings; a reading without an answer is a row without a metric."""
    import pyarrow as pa

    return pa.Table.from_pylist(list(_rows(scrapes)), schema=arrow_schema("server_metrics"))


def _rows(scrapes: Iterable[Scrape]) -> Iterator[dict[str, Any]]:
    for scrape in scrapes:
        fixed = {"read_at": scrape.at_ns, "read_s": (scrape.done_ns - scrape.at_ns) / 1e9,
                 "endpoint": scrape.endpoint}  # fmt: skip
        samples, problem = _samples(scrape)
        if problem is not None:
            yield {**fixed, "problem": problem}
        for name, kind, labels, value in samples:
            labels_json = msgspec.json.encode(dict(sorted(labels.items()))).decode()
            yield {**fixed, "metric": name, "kind": kind, "labels_json": labels_json,
                   "value": value}  # fmt: skip


def _samples(scrape: Scrape) -> tuple[list[tuple[str, str, dict[str, str], float]], str | None]:
    if scrape.text is None:
        return [], scrape.problem or "no answer"
    try:
        return parse_metrics(scrape.text), None
    except ValueError as error:
        return [], str(error)


def parse_metrics(text: bytes) -> list[tuple[str, str, dict[str, str], float]]:
    """The samples of a text in Prometheus' exposition format: name, kind, labels, value.

    Buckets of histograms are left out, as are the metrics of the client library.

    Raises:
        ValueError: it is in another format, or holds nothing.
    """
    from prometheus_client.parser import text_string_to_metric_families

    samples: list[tuple[str, str, dict[str, str], float]] = []
    try:
        families: Any = text_string_to_metric_families(text.decode("utf-8"))
        for family in families:
            if family.name.startswith(_LEFT_OUT):
                continue
            for sample in family.samples:
                if sample.name.endswith(_LEFT_OUT_ENDINGS) or not math.isfinite(sample.value):
                    continue
                samples.append((sample.name, family.type, sample.labels, float(sample.value)))
    except (ValueError, KeyError, IndexError, UnicodeDecodeError) as error:
        shown = text[:60].decode("utf-8", "replace")
        raise ValueError(f"no Prometheus metrics but {shown!r}") from error
    if not samples and text.strip():
        raise ValueError("no metric in it")
    return samples
