"""What the driver, the coordinator and workers of a distributed run tell each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from evalharness.config.models import LimitsConfig, Profile, RunConfig
from evalharness.distributed.limits.slot_messages import Word
from evalharness.distributed.shard_board import Shard
from evalharness.errors import StorageError
from evalharness.records import AttemptResult, Intent, Prompt, Setting
from evalharness.runner.budget import Price
from evalharness.runner.run_summary import Stop
from evalharness.store.journal.crash_recovery import Unfinished
from evalharness.store.parts.seal import Sealed
from evalharness.throttle.waiters import SentBefore

Earlier = dict[str, list[AttemptResult]]


class Reach(NamedTuple):
    """How workers reach an endpoint that the driver has opened.

    The key is not in it: each worker reads the environment variable of that name on its own node.
    """

    name: str
    base_url: str
    headers: Mapping[str, str]
    profile: Profile
    api_key_env: str | None
    limits: LimitsConfig


class Work(NamedTuple):
    """What every worker is told once: the plan and how to carry it out.

    Attributes:
        config: of the run; with ``prompts``, ``settings`` and ``profiles`` it is the plan.
        done: flags as of :meth:`~evalharness.planning.plan.Plan.done_map`, packed eight a byte.
        prices: by setting_id.
        limited: whether ``limits.max_cost_usd`` is set.
        unfinished: attempts made by earlier sessions, by trial_id.
        earlier: those of them that are in no part: whoever records the trial seals them with it.
        root: the run folder.
        needs_leave: by endpoint (see :class:`.limits.slot_server.Desk`).
    """

    config: RunConfig
    prompts: list[Prompt]
    settings: list[Setting]
    profiles: Mapping[str, Profile]
    reaches: Sequence[Reach]
    done: bytes
    prices: Mapping[str, Price | None]
    limited: bool
    unfinished: Mapping[str, Unfinished]
    earlier: Earlier
    root: Path
    needs_leave: Mapping[str, bool]


class Memory(NamedTuple):
    """What went before at one endpoint: requests that still count, and any pause.

    Attributes:
        sent: requests of earlier processes.
        pause: seconds and reason of a pause the server had asked for.
        probe_first: whether one request goes before the others.
    """

    sent: Sequence[SentBefore] = ()
    pause: tuple[float, str] | None = None
    probe_first: bool = False


class Setup(NamedTuple):
    """What a coordinator starts with.

    Attributes:
        reaches: endpoints with their limits.
        memory: what went before, by endpoint.
        planned: trials of the plan.
        shard_trials: trials a shard.
        max_cost_usd: None is no limit.
        gone: dollars spent or in doubt before.
        next_part: number of the first part that will be sealed.
        ledger: a shard goes to a worker only once the driver has noted it (:mod:`.leases`).
    """

    reaches: Sequence[Reach]
    memory: Mapping[str, Memory]
    planned: int
    shard_trials: int
    max_cost_usd: Decimal | None
    gone: Decimal
    next_part: int
    ledger: bool = False


class Pulled(NamedTuple):
    """An answer to a worker that has room for more work.

    Attributes:
        shard: what it got; None when all are taken.
        over: every shard is finished: there will be no more.
        again: what is known of a shard whose worker was lost; None at the first try.
    """

    shard: Shard | None
    over: bool
    again: Again | None = None


class Again(NamedTuple):
    """What is known of a shard that goes to another worker.

    Attributes:
        done: flags of its positions, packed eight a byte: those that have their record.
        earlier: attempts of its other trials that are in no part.
        tried: attempts at them that are in a part whose records were never written, by trial_id.
    """

    done: bytes
    earlier: Earlier
    tried: dict[str, Unfinished]


class News(NamedTuple):
    """What a worker must hear at once: a word about an endpoint, or a stop."""

    endpoint: str = ""
    word: Word | None = None
    stop: Stop | None = None


@dataclass
class Counted:
    """What a worker has done since it told last, for the progress bar."""

    finished: int = 0
    failed: int = 0
    tokens: int = 0
    cost_usd: Decimal | None = None
    unknown: int = 0
    waiting: tuple[str, float | None] | None = None


class Seal(NamedTuple):
    """A worker's parts that wait to be listed in the manifest."""

    number: int
    worker: str
    sealed: Sealed


class Lease(NamedTuple):
    """A shard that a worker may have once the ledger says so; ``number`` is for the answer."""

    number: int
    worker: str
    shard: Shard


@dataclass
class Heard:
    """What the coordinator has for the driver."""

    seals: list[Seal] = field(default_factory=list[Seal])
    leases: list[Lease] = field(default_factory=list[Lease])
    counted: dict[str, Counted] = field(default_factory=dict[str, Counted])
    stop: Stop | None = None


class CoordinatorLostError(StorageError):
    """The coordinator cannot be reached: nothing more may be sent."""


class Failed(NamedTuple):
    """A worker could not begin, or go on, for a reason that a person must see to."""

    message: str
    hint: str | None
    exit_code: int


class Ended(NamedTuple):
    """How a worker's part in the run ended.

    Attributes:
        sent: requests it sent.
        retried: of them, after the first of their trial.
        in_doubt: those that may have been billed without an answer.
        unsaved: answers its disk did not take.
        lost: why it could not reach the coordinator any more; None otherwise.
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
    lost: str | None
    session: dict[str, Any]
    stop: Stop | None
