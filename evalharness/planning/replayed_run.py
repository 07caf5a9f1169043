"""Requests of a run and when they were due, to send them again (``load.from=RUN``)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from msgspec import structs

from evalharness.config.models import RunConfig
from evalharness.config.workload import RUN_ROWS
from evalharness.errors import ConfigError
from evalharness.records import Phase, Prompt, Setting
from evalharness.store.folder.load_points_file import (
    Measurement,
    current_measurements,
    read_measurements,
)
from evalharness.store.folder.plan_files import read_settings
from evalharness.store.folder.run import Run, find_run
from evalharness.store.parts.replay_file import ReplaySource
from evalharness.store.remote.locations import results_root

if TYPE_CHECKING:
    import pyarrow as pa

_COLUMNS = ["trial_id", "prompt_id", "attempt", "scheduled_at", "sent_at", "measurement", "phase"]


class DueRequest(NamedTuple):
    """One request: its row, and when it was due, seconds from the first."""

    prompt_id: str
    at_s: float


class ReplayedRun(NamedTuple):
    """A run that is sent again.

    Attributes:
        source: what is replayed.
        requests: in the order in which they were due.
        prompts: the rows of its plan.
        digests: of these, by prompt id.
        settings: of its plan.
    """

    source: ReplaySource
    requests: list[DueRequest]
    prompts: list[Prompt]
    digests: dict[str, str]
    settings: list[Setting]


class ReplaySchedule(NamedTuple):
    """The requests of a replay: their rows among the plan's prompts, and their times in seconds."""

    rows: list[int]
    times: list[float]

    @property
    def most_repeats(self) -> int:
        """How often the row that comes most often is sent."""
        return max(Counter(self.rows).values(), default=1)


def read_replayed_run(config: RunConfig) -> ReplayedRun | None:
    """The run that a configuration replays; None where it replays none.

    Raises:
        ConfigError: it has no such requests, or cannot be replayed.
        EvalharnessError: there is no such run, or it is damaged.
    """
    given = None if config.load is None else config.load.from_run
    if given is None:
        return None
    name, number = _split(given)
    root = find_run(name, results=results_root(config.results_dir, config.staging_dir))
    if root.name == config.name:
        raise ConfigError(
            f"load.from={given} is the run `{config.name}` itself", hint="another name=…"
        )
    run = Run.open(root)
    measurement = _measurement(read_measurements(root), given, name, number)
    prompts = _prompts(run.table("prompts"))
    turn = next((prompt for prompt in prompts if prompt.turn is not None), None)
    if turn is not None:
        raise ConfigError(
            f"load.from={given}: the run has conversations, whose turns were due after the answers "
            "before them",
            hint="load=poisson, for instance, sends conversations (docs/load-conversations.md)",
        )
    requests = _due_requests(run.table("attempts", _COLUMNS), given, measurement)
    number = None if measurement is None else measurement.number
    hashes: list[dict[str, Any]] = run.table("prompts", ["prompt_id", "content_hash"]).to_pylist()
    return ReplayedRun(
        ReplaySource(
            kind="run",
            name=name,
            measurement=number,
            requests=len(requests),
            read=len(requests),
            first_s=0.0,
            last_s=requests[-1].at_s,
        ),
        requests,
        prompts,
        {row["prompt_id"]: row["content_hash"] for row in hashes},
        [setting for setting, in_plan in read_settings(root) if in_plan],
    )


def with_its_texts(config: RunConfig, replayed: ReplayedRun | None) -> RunConfig:
    """The configuration with the system prompt and template of the run, where its rows are sent.

    Raises:
        ConfigError: a run without replay has its rows, they are selected, or the run had several
            system prompts or templates.
    """
    dataset = config.dataset
    if dataset.path != RUN_ROWS:
        return config
    if replayed is None:
        raise ConfigError(
            f"dataset.path={RUN_ROWS} are the rows of the run that is replayed, and none is",
            hint="load=replay load.from=RUN",
        )
    for key in ("limit", "sample", "where", "workload"):
        if getattr(dataset, key) is not None:
            raise ConfigError(
                f"dataset.{key} selects rows of the run that is replayed, whose load would be "
                "another one",
                hint=f"dataset.{key}=null; load.requests or load.duration_s end a replay early",
            )
    texts: dict[str, str | None] = {}
    for key in ("system", "template"):
        values = list(dict.fromkeys(getattr(setting, key) for setting in replayed.settings))
        given = getattr(dataset, key)
        if given is None and f"{key}" not in config.sweep and len(values) > 1:
            raise ConfigError(
                f"load.from={replayed.source.name}: its settings have {len(values)} values of "
                f"`{key}`",
                hint=f"dataset=replayed dataset.{key}=… says which is sent",
            )
        texts[key] = given if given is not None or not values else values[0]
    return structs.replace(config, dataset=structs.replace(dataset, **texts))


def replay_schedule(
    replayed: ReplayedRun, prompts: Sequence[Prompt], digests: Sequence[str], path: str
) -> ReplaySchedule:
    """The requests of a run as rows of a plan.

    Raises:
        ConfigError: the plan's dataset has other rows than the run.
    """
    rows = {prompt.prompt_id: row for row, prompt in enumerate(prompts)}
    for prompt_id in dict.fromkeys(request.prompt_id for request in replayed.requests):
        row = rows.get(prompt_id)
        differs = row is not None and digests[row] != replayed.digests.get(prompt_id)
        if row is None or differs:
            what = "has other content in" if differs else "is not in"
            raise ConfigError(
                f"load.from={replayed.source.name}: its row `{prompt_id}` {what} the dataset "
                f"{path}",
                hint="dataset=replayed sends the rows of that run, as does no dataset=… at all",
            )
    return ReplaySchedule(
        [rows[request.prompt_id] for request in replayed.requests],
        [request.at_s for request in replayed.requests],
    )


def _split(given: str) -> tuple[str, int | None]:
    """``RUN:3`` as the run and the number of a measurement."""
    match = re.fullmatch(r"(.+):(\d{1,9})", given)
    return (given, None) if match is None else (match[1], int(match[2]))


def _measurement(
    measurements: Sequence[Measurement], given: str, name: str, number: int | None
) -> Measurement | None:
    """The load point that is meant; None of a run that has none."""
    finished = [m for m in measurements if m.is_finished]
    known = ", ".join(f"load.from={name}:{m.number}" for m in finished[:8])
    if number is not None:
        chosen = next((m for m in finished if m.number == number), None)
        if chosen is None:
            raise ConfigError(
                f"load.from={given}: the run has no finished measurement {number}",
                hint=known or f"load.from={name}: it has no load points",
            )
        return chosen
    current = current_measurements(list(measurements))
    if not measurements:
        return None
    if len(current) != 1:
        raise ConfigError(
            f"load.from={given}: the run has {len(current)} finished load points, and one is "
            "replayed",
            hint=known or "measure one first: the same evalharness run once more",
        )
    return current[0]


def _due_requests(
    attempts: pa.Table, given: str, measurement: Measurement | None
) -> list[DueRequest]:
    """The first attempts that were sent, by when they were due; those of a load point measured."""
    first: dict[str, tuple[int, str, int]] = {}
    for row in _plain_rows(attempts):
        if row["sent_at"] is None:
            continue
        if measurement is not None and (
            row["measurement"] != measurement.number or row["phase"] != Phase.MEASURED.value
        ):
            continue
        due = row["sent_at"] if row["scheduled_at"] is None else row["scheduled_at"]
        known = first.get(row["trial_id"])
        if known is None or row["attempt"] < known[0]:
            first[row["trial_id"]] = (row["attempt"], row["prompt_id"], due)
    if not first:
        raise ConfigError(
            f"load.from={given}: the run has no requests with a time",
            hint="a run that evalharness sent has them; imported records do not",
        )
    ordered = sorted((due, prompt_id) for _, prompt_id, due in first.values())
    return [DueRequest(prompt_id, (due - ordered[0][0]) / 1e9) for due, prompt_id in ordered]


def _plain_rows(attempts: pa.Table) -> list[dict[str, Any]]:
    """The rows with instants in nanoseconds."""
    import pyarrow as pa

    for name in ("scheduled_at", "sent_at"):
        place = attempts.schema.get_field_index(name)
        instants = attempts[name].cast(pa.timestamp("ns", tz="UTC")).cast(pa.int64())
        attempts = attempts.set_column(place, name, instants)
    return attempts.to_pylist()


def _prompts(table: pa.Table) -> list[Prompt]:
    """The rows of the newest plan of a run."""
    return [
        Prompt(
            prompt_id=row["prompt_id"],
            messages=_decoded(row["messages_json"]),
            target=_decoded(row["target_json"]),
            tags=row["tags"] or [],
            cluster=row["cluster"],
            params=_decoded(row["params_json"]) or {},
            fields=_decoded(row["fields_json"]) or {},
            source=row["source"],
            scoring=_decoded(row["scoring_json"]) or [],
            conversation=row["conversation"],
            turn=row["turn"],
        )
        for row in table.to_pylist()
        if row["in_current_plan"] is not False
    ]


def _decoded(text: str | None) -> Any:
    return None if text is None else msgspec.json.decode(text)
