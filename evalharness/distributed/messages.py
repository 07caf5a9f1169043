"""Messages between the driver, the coordinator and the workers of a distributed run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from evalharness.config.models import LimitsConfig, Profile, ProtocolName, RunConfig
from evalharness.distributed.limits.slot_messages import Broadcast
from evalharness.distributed.shard_board import Shard
from evalharness.errors import StorageError
from evalharness.http import TlsSettings
from evalharness.records import AttemptResult, Intent, Prompt, Setting
from evalharness.runner.budget import RequestPrice
from evalharness.runner.run_summary import StopReason
from evalharness.store.journal.crash_recovery import UnfinishedTrial
from evalharness.store.parts.seal import SealedParts
from evalharness.throttle.waiters import EarlierRequest

EarlierAttempts = dict[str, list[AttemptResult]]


class EndpointSpec(NamedTuple):
    """How workers reach an endpoint that the driver has opened.

    No secret is in it: each worker reads the environment variables that ``api_key_env`` and
    ``secret_headers`` name, on its own node.
    The files of ``tls`` are read on each node under the same path.
    """

    name: str
    base_url: str
    headers: Mapping[str, str]
    tls: TlsSettings
    profile: Profile
    api_key_env: str | None
    limits: LimitsConfig
    auth: str = "bearer"
    secret_headers: Mapping[str, str] = {}
    query: Mapping[str, str] = {}
    allow_plain_http: bool = False
    protocol: ProtocolName = "chat"


class UploadTarget(NamedTuple):
    """Where workers upload their parts: the run's URL, and the copy that must own it."""

    url: str
    copy: str


class WorkerSetup(NamedTuple):
    """What every worker is sent once: the plan and how to carry it out.

    Attributes:
        config: of the run; with ``prompts``, ``settings``, ``profiles`` and ``protocols`` it is the
            plan.
        done: flags as of :meth:`~evalharness.planning.plan.Plan.done_map`, packed eight a byte.
        prices: by setting_id.
        has_cost_limit: whether ``limits.max_cost_usd`` is set.
        unfinished: attempts made by earlier sessions, by trial_id.
        earlier: those of them that are in no part: the worker that records the trial seals them.
        root: the run folder.
        needs_grant: by endpoint (see :class:`.limits.slot_server.SlotServer`).
        upload: where workers upload their parts; None where they write them into ``root``.
        holder: what the lock file of ``root`` says, by which a worker knows the folder.
    """

    config: RunConfig
    prompts: list[Prompt]
    settings: list[Setting]
    profiles: Mapping[str, Profile]
    endpoints: Sequence[EndpointSpec]
    done: bytes
    prices: Mapping[str, RequestPrice | None]
    has_cost_limit: bool
    unfinished: Mapping[str, UnfinishedTrial]
    earlier: EarlierAttempts
    root: Path
    needs_grant: Mapping[str, bool]
    upload: UploadTarget | None = None
    holder: str = ""
    protocols: Mapping[str, ProtocolName] = {}


class EndpointHistory(NamedTuple):
    """What earlier processes did at one endpoint: requests that still count, and any pause.

    Attributes:
        sent: their requests.
        pause: seconds and reason of a pause the server had asked for.
        probe_first: whether one request goes before the others.
    """

    sent: Sequence[EarlierRequest] = ()
    pause: tuple[float, str] | None = None
    probe_first: bool = False


class CoordinatorSetup(NamedTuple):
    """What a coordinator starts with.

    Attributes:
        endpoints: with their limits.
        histories: what earlier processes did, by endpoint.
        planned: trials of the plan.
        shard_size: trials a shard.
        max_cost_usd: None is no limit.
        committed_usd: spent by earlier sessions, or in doubt since then.
        next_part: number of the first part that will be sealed.
        has_ledger: whether the driver must record a shard before a worker gets it
            (:mod:`.leases`).
        has_part_ledger: whether it must record a part's number before a worker gets it.
    """

    endpoints: Sequence[EndpointSpec]
    histories: Mapping[str, EndpointHistory]
    planned: int
    shard_size: int
    max_cost_usd: Decimal | None
    committed_usd: Decimal
    next_part: int
    has_ledger: bool = False
    has_part_ledger: bool = False


class ShardAssignment(NamedTuple):
    """The answer to a worker that asks for a shard.

    Attributes:
        shard: the worker's; None when all are assigned.
        exhausted: whether every shard is finished, so that there will be no more.
        history: what is known of a shard whose worker was lost; None at the first try.
    """

    shard: Shard | None
    exhausted: bool
    history: ShardHistory | None = None


class ShardHistory(NamedTuple):
    """What is known of a shard that goes to another worker.

    Attributes:
        done: flags of its positions, packed eight a byte: those that have their record.
        earlier: attempts of its other trials that are in no part.
        tried: attempts at them in a part whose records were never written, by trial_id.
    """

    done: bytes
    earlier: EarlierAttempts
    tried: dict[str, UnfinishedTrial]


class WorkerNotice(NamedTuple):
    """What a worker must learn at once: a broadcast about an endpoint, or a stop."""

    endpoint: str = ""
    broadcast: Broadcast | None = None
    stop: StopReason | None = None


@dataclass
class CounterDelta:
    """What a worker has done since its last report, for the progress bar."""

    finished: int = 0
    failed: int = 0
    tokens: int = 0
    cost_usd: Decimal | None = None
    unknown: int = 0
    waiting: tuple[str, float | None] | None = None


class SealReport(NamedTuple):
    """A worker's parts that wait to be listed; ``number`` is that of the answer."""

    number: int
    worker: str
    sealed: SealedParts


class Lease(NamedTuple):
    """A shard, or a part's number, that a worker gets once it is in the ledger.

    ``number`` is that of the answer.
    """

    number: int
    worker: str
    shard: Shard | None = None
    part: int | None = None


@dataclass
class CoordinatorUpdate:
    """What is new in the coordinator, for the driver."""

    seals: list[SealReport] = field(default_factory=list[SealReport])
    leases: list[Lease] = field(default_factory=list[Lease])
    counters: dict[str, CounterDelta] = field(default_factory=dict[str, CounterDelta])
    stop: StopReason | None = None


class CoordinatorLostError(StorageError):
    """The coordinator cannot be reached: nothing more may be sent."""


class WorkerFailed(NamedTuple):
    """A worker could not begin, or go on, for a reason that a person must fix."""

    message: str
    hint: str | None
    exit_code: int


class WorkerDone(NamedTuple):
    """What a worker did, and why it ended.

    Attributes:
        sent: requests it sent.
        retried: of them, after the first of their trial.
        in_doubt: those that may have been billed without an answer.
        unsaved: answers its disk did not take.
        lost_reason: why it could not reach the coordinator any more; None otherwise.
        session: as :class:`~evalharness.store.folder.run_folder.Manifest` keeps it.
        stop: why it started nothing new.
    """

    sent: int
    retried: int
    in_doubt: list[Intent]
    prompt_tokens: int
    completion_tokens: int
    billed_usd: Decimal | None
    unsaved: int
    lost_reason: str | None
    session: dict[str, Any]
    stop: StopReason | None
