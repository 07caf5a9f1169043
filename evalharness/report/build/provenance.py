"""What is needed to repeat a run, and to know what ran."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from evalharness.errors import StorageError
from evalharness.store.folder.control import ControlChange
from evalharness.store.folder.run import Run
from evalharness.store.folder.run_folder import MANIFEST

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")


class RunEnvironment(msgspec.Struct, frozen=True, kw_only=True):
    """Where a run was made; null and empty where it was not recorded.

    Attributes:
        python: its version.
        platform: operating system and processor.
        cpus: how many there are.
        packages: versions of the packages that matter, by name.
    """

    python: str | None = None
    platform: str | None = None
    cpus: int | None = None
    packages: dict[str, str] = {}


class Delays(msgspec.Struct, frozen=True, kw_only=True):
    """How late the client itself was, in seconds.

    Attributes:
        n: measurements.
        p50, p99, max: in seconds; null without a measurement.
    """

    n: int
    p50: float | None = None
    p99: float | None = None
    max: float | None = None


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A time that the run was started or resumed; null where it was not recorded.

    Attributes:
        ended_at: when, ISO 8601 in UTC.
        seconds: how long it took, without pauses.
        paused_s: how long its user had paused it, in seconds.
        cpu_s: processor time of the process, in seconds; of several workers that of the busiest.
        sent: requests.
        recorded: trials.
        workers: processes that sent; null for a run in one process.
        loop_lag_s: how late the event loop ran; of several workers the worst.
        commit_wait_s: how long an answer waited until it was durable; of several workers the worst.
    """

    ended_at: str | None = None
    seconds: float | None = None
    paused_s: float | None = None
    cpu_s: float | None = None
    sent: int | None = None
    recorded: int | None = None
    workers: int | None = None
    loop_lag_s: Delays | None = None
    commit_wait_s: Delays | None = None


class ConcurrencyLimit(msgspec.Struct, frozen=True, kw_only=True):
    """How many requests might be in flight from a moment on.

    Attributes:
        at: the moment, ISO 8601 in UTC.
        limit: requests in flight.
        reason: why the limit changed.
    """

    at: str
    limit: int
    reason: str


class EndpointThrottle(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of an endpoint in a session.

    Attributes:
        endpoint: its provider.
        adaptive: whether the concurrency followed the answers.
        rpm, tpm: requests and tokens a minute as the session began; null is no limit.
        changes: limits of concurrency, oldest first.
        omitted: changes in the middle of a long list that were left out.
    """

    endpoint: str
    adaptive: bool
    rpm: float | None = None
    tpm: float | None = None
    changes: list[ConcurrencyLimit]
    omitted: int = 0


class StoredPart(msgspec.Struct, frozen=True, kw_only=True):
    """A Parquet file of the run.

    Attributes:
        path: relative to the run folder.
        rows: in it.
        bytes: its size.
    """

    path: str
    rows: int
    bytes: int


class Provenance(msgspec.Struct, frozen=True, kw_only=True):
    """How a run was made.

    Attributes:
        environment: versions and machine.
        endpoints: those that answered.
        unverified: providers that were asked without a check of their certificate.
        files: the Parquet files.
        config: the resolved YAML, which holds no secret; null for an import.
        sessions: one for each time the run was started or resumed.
        throttle: limits of each session and endpoint.
        control: pauses and other limits that users set while it ran, oldest first.
    """

    environment: RunEnvironment
    endpoints: list[str]
    unverified: list[str] = []
    files: list[StoredPart]
    config: str | None
    sessions: list[Session]
    throttle: list[EndpointThrottle]
    control: list[ControlChange] = []


def provenance(run: Run, settings: pa.Table) -> Provenance:
    """Describe how a run was made.

    Raises:
        StorageError: the manifest cannot be read.
    """
    manifest = run.manifest
    endpoints = {str(name) for name in settings["endpoint"].to_pylist() if name is not None}
    return Provenance(
        environment=_convert(run, manifest.environment, RunEnvironment),
        endpoints=sorted(endpoints),
        unverified=manifest.unverified,
        files=[StoredPart(path=p.path, rows=p.rows, bytes=p.bytes) for p in manifest.parts],
        config=run.config_yaml,
        sessions=_convert(run, manifest.sessions, list[Session]),
        throttle=_convert(run, manifest.throttle, list[EndpointThrottle]),
        control=manifest.control,
    )


def _convert(run: Run, value: Any, type_: type[T]) -> T:
    try:
        return msgspec.convert(value, type_)
    except msgspec.ValidationError as error:
        raise StorageError(f"{run.root / MANIFEST} is damaged: {error}") from None
