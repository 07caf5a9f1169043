"""What an earlier session left: batches that go on, and such that were never sent."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from evalharness.batch.client import BatchClient
from evalharness.batch.open_batch import OpenBatch
from evalharness.batch.request_file import drop_files, is_as_written, restore_requests
from evalharness.batch.settling import BatchSettler
from evalharness.batch.trials import TrialFinder
from evalharness.errors import ConfigError
from evalharness.process.text import plural
from evalharness.records import Intent
from evalharness.runner.context import RunContext
from evalharness.runner.queue import attempt_key
from evalharness.runner.recorder import AttemptRecorder
from evalharness.store.journal.batch_files import BatchStage, BatchState, read_states


async def open_batches(
    context: RunContext,
    clients: Mapping[str, BatchClient],
    trials: TrialFinder,
    settler: BatchSettler,
) -> list[OpenBatch]:
    """The batches of earlier sessions that are not settled, in order.

    A batch that was only prepared is given up: nothing of it was sent. So is one whose creation was
    not asked for, if the plan has changed since: it goes as a whole or not at all. Requests whose
    batch is not known any more are in doubt.

    Raises:
        ConfigError: a batch is at a provider that is not configured any more, or of another key.
        StorageError: the disk refused, or the requests of a batch are lost.
    """
    root, recorder = context.store.folder.root, AttemptRecorder(context)
    by_file: dict[str, list[Intent]] = defaultdict(list)
    for intent in context.store.recovery.waiting:
        context.budget.hold(attempt_key(intent.trial_id, intent.attempt), intent.reserved_usd)
        by_file[intent.batch_file or ""].append(intent)
    batches: list[OpenBatch] = []
    states = read_states(root)
    _check_keys(states, clients, root)
    for state in states:
        intents = {i.client_request_id: i for i in by_file.pop(state.name, [])}
        if state.phase is BatchStage.SETTLED:
            drop_files(state, root)
            by_file[state.name] += intents.values()  # none, unless the journal was damaged
            continue
        batch = OpenBatch(state, _client(clients, state), intents)
        changed = not trials.are_planned(intents.values())
        if state.phase is BatchStage.PREPARED or (changed and not batch.may_be_sent):
            await settler.withdraw(batch, sent=False)
        elif not intents:
            await settler.finish(batch)
        else:
            if not is_as_written(state, root):
                restore_requests(state, root, _lines(batch, context, trials))
                context.progress.print_line(f"batch {state.name}: its requests were written again")
            batches.append(batch)
    lost = [intent for intents in by_file.values() for intent in intents]
    for intent in lost:
        recorder.record_cut_off(trials.job(intent), intent)
        trials.note_attempt(intent, sent=True, in_doubt=True)
    if lost:
        context.progress.print_line(
            f"{plural(len(lost), 'request')} of batches whose files are missing are in doubt"
        )
    return batches


def settle_recorded(root: Path) -> None:
    """Mark every batch as settled; for a run of which no request waits in one.

    A command that is killed between the last result of a batch and its last word leaves it open.

    Raises:
        StorageError: the disk refused, or a state is damaged.
    """
    for state in read_states(root):
        if state.phase is not BatchStage.SETTLED:
            state.phase = BatchStage.SETTLED
            state.save(root)
            drop_files(state, root)


def _lines(batch: OpenBatch, context: RunContext, trials: TrialFinder) -> Iterator[bytes]:
    """The requests of a batch that have no result, in the order of their intents."""
    for custom_id, intent in batch.intents.items():
        if trials.is_planned(intent):
            yield batch.client.line(custom_id, context.plan.body(trials.trial(intent)))


def _check_keys(states: list[BatchState], clients: Mapping[str, BatchClient], root: Path) -> None:
    """Refuse to look for batches of another account: there they are not to be found."""
    for state in states:
        at_provider = state.may_exist or state.file_id is not None
        if state.phase is BatchStage.SETTLED or not at_provider or state.key_fingerprint is None:
            continue
        now = _client(clients, state).chat.key_fingerprint(state.key_salt)
        if now != state.key_fingerprint:
            path = state.path(root, ".json")
            raise ConfigError(
                f"these batches belong to another key: {state.provider} was asked with a key that "
                f"is not the one of now when batch {state.batch_id or state.name} was sent",
                hint="use the key that sent them; if the new one is of the same account, set "
                f"`key_fingerprint` to null in {path}",
            )


def _client(clients: Mapping[str, BatchClient], state: BatchState) -> BatchClient:
    client = clients.get(state.provider)
    if client is None:
        raise ConfigError(
            f"batch {state.batch_id or state.name} of this run is at provider {state.provider!r}, "
            "which the configuration does not name any more",
            hint="the command that sent it fetches its answers, or cancels it with --cancel",
        )
    return client
