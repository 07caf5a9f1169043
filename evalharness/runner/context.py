"""The context of a running session: what its runner, sender and recorder work with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from evalharness.planning.plan import Plan
from evalharness.runner.budget import RunBudget
from evalharness.runner.endpoint import EndpointRuntime
from evalharness.runner.progress import Progress
from evalharness.runner.run_summary import RunSummary
from evalharness.store.folder.writer import RunStore


@dataclass(frozen=True)
class RunContext:
    """What one session of a run works with.

    Attributes:
        plan: what to ask.
        store: where intents and results go; opened, its plan saved.
        endpoints: one per provider name.
        budget: for reservations and costs.
        progress: shows what happens.
        summary: what the session did.
    """

    plan: Plan
    store: RunStore
    endpoints: Mapping[str, EndpointRuntime]
    budget: RunBudget
    progress: Progress
    summary: RunSummary = field(default_factory=RunSummary)
