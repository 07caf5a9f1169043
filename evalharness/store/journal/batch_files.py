"""The batches of a run: what is known of each, in ``batches/`` of the run folder.

A batch has a number. ``0001.jsonl`` holds its requests, ``0001.json`` its state; both are durable
before anything is sent. ``0001-other.jsonl`` keeps lines of its results that answer none of its
requests. The requests and the results that were fetched are removed once all is recorded.
"""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path

import msgspec

from evalharness.errors import StorageError
from evalharness.store.folder.durable_files import make_folder, sync_folder, write_bytes_durably

FOLDER = "batches"
_STATE = re.compile(r"(\d{4,})\.json")


class BatchStage(StrEnum):
    """How far a batch has come."""

    PREPARED = "prepared"  # nothing was sent
    SENDING = "sending"  # it may have been created: see BatchState.create_at_ns
    WAITING = "waiting"  # the provider has it
    SETTLED = "settled"  # everything of it is recorded


class BatchState(msgspec.Struct, kw_only=True):
    """What is known of one batch; None is unknown, or not yet.

    Attributes:
        number: names its files.
        provider: name of the provider configuration.
        endpoint: who has it, as in :class:`~evalharness.records.Setting`.
        model: of all its requests.
        token: a random text that nothing else has; the provider keeps it with the batch.
        sha256: of the file of requests.
        bytes: of that file.
        requests: in that file.
        tokens: about how many prompt tokens they have.
        phase: how far it has come.
        key_salt: a random text, for ``key_fingerprint``.
        key_fingerprint: tells the key that sends it from others; None: it goes without a key.
        file_id: the provider's name of the uploaded file.
        create_at_ns: when its creation was last asked for (Unix nanoseconds); None: never.
        in_doubt_since_ns: when the answer to that was lost, or, after a kill, when it was first
            looked for; None: it was not.
        batch_id: the provider's name of the batch.
        not_ours: batches that were looked at and are others.
        submitted_at_ns, finished_at_ns: when the provider had taken it, and when it had ended.
        status: the provider's last word on it.
        done, failed: requests, as the provider counts them.
        duplicate_lines, other_lines: of its results: further ones of a request, and such that
            answer no request of it or cannot be read.
    """

    number: int
    provider: str
    endpoint: str
    model: str
    token: str
    sha256: str
    bytes: int
    requests: int
    tokens: int
    phase: BatchStage = BatchStage.PREPARED
    key_salt: str = ""
    key_fingerprint: str | None = None
    file_id: str | None = None
    create_at_ns: int | None = None
    in_doubt_since_ns: int | None = None
    batch_id: str | None = None
    not_ours: list[str] = []
    submitted_at_ns: int | None = None
    finished_at_ns: int | None = None
    status: str | None = None
    done: int | None = None
    failed: int | None = None
    duplicate_lines: int = 0
    other_lines: int = 0

    @property
    def name(self) -> str:
        """What :attr:`~evalharness.records.Intent.batch_file` calls it."""
        return f"{self.number:04d}"

    @property
    def may_exist(self) -> bool:
        """Whether the provider has it, or may have it, and not all of it is recorded."""
        begun = self.phase is BatchStage.SENDING and self.create_at_ns is not None
        return begun or self.phase is BatchStage.WAITING

    def path(self, root: Path, suffix: str) -> Path:
        """A file of this batch in a run folder: ``.jsonl``, ``.json`` and so on."""
        return root / FOLDER / f"{self.name}{suffix}"

    def save(self, root: Path) -> None:
        """Write the state durably.

        Raises:
            StorageError: the disk refused.
        """
        content = msgspec.json.format(msgspec.json.encode(self), indent=1)
        write_bytes_durably(self.path(root, ".json"), content)


def open_folder(root: Path) -> Path:
    """The folder of the batches, made when it is missing; files of a killed writer are removed."""
    folder = root / FOLDER
    if not folder.is_dir():
        make_folder(folder)
        sync_folder(root)
    for stale in folder.glob(".*.tmp"):
        stale.unlink(missing_ok=True)
    return folder


def read_states(root: Path) -> list[BatchState]:
    """Every batch of a run, in order; empty where it has none.

    Raises:
        StorageError: a state is damaged.
    """
    states: list[BatchState] = []
    for path in sorted((root / FOLDER).glob("*.json")):
        if not _STATE.fullmatch(path.name):
            continue
        try:
            states.append(msgspec.json.decode(path.read_bytes(), type=BatchState))
        except (msgspec.MsgspecError, OSError) as error:
            raise StorageError(
                f"{path} cannot be read: {error}",
                hint="it names a batch at the provider: put a copy back; without it, its requests "
                f"are in doubt and asked again: mv {path} {path}.damaged",
            ) from None
    return sorted(states, key=lambda state: state.number)


def waiting_batches(root: Path) -> list[BatchState]:
    """The batches that the provider has, or may have; never an error of the folder."""
    try:
        states = read_states(root)
    except StorageError:
        return []
    return [state for state in states if state.may_exist]
