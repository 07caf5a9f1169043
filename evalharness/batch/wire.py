"""What a form of batch endpoints says, whichever it is: batches, lines of results, requests."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, cast
from urllib.parse import quote

import msgspec

from evalharness.chat_api.lenient_json import UnicodeCleaner, encode_json, parse_json
from evalharness.config.batch import BatchForm, BatchRules
from evalharness.http.files import FileBody
from evalharness.records import ErrorKind
from evalharness.store.journal.batch_files import BatchState

_PIECE = 1 << 20


class BatchFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A batch, as the provider says it is; None where it does not say.

    Attributes:
        batch_id: its name.
        status: in the provider's word.
        is_ended: whether nothing of it changes any more.
        total, done, failed: requests: of the batch, answered, and refused or lost.
        created_at_ns, finished_at_ns: Unix nanoseconds, of the provider's clock.
        file_id: of the uploaded requests.
        token: as it was sent with the batch.
        result_paths: where its results are, below the base URL, answers first.
        problem: why the batch as a whole was not worked on.
        problem_code: the provider's own word for that.
        missing: what became of a request without a line; None: nobody knows.
    """

    batch_id: str
    status: str
    is_ended: bool
    total: int | None = None
    done: int | None = None
    failed: int | None = None
    created_at_ns: int | None = None
    finished_at_ns: int | None = None
    file_id: str | None = None
    token: str | None = None
    result_paths: list[str] = []
    problem: str | None = None
    problem_code: str | None = None
    missing: ErrorKind | None = None


class ResultLine(msgspec.Struct, frozen=True):
    """A line of results: of which request, and the response, or what became of it without one."""

    custom_id: str
    status: int = 200
    body: bytes = b""
    unserved: ErrorKind | None = None
    message: str | None = None
    code: str | None = None
    is_exact: bool = True  # False: the line is no strict JSON, and was read leniently


class BatchPage(NamedTuple):
    """A page of the list of batches, and the path of the next one; None: it is the last."""

    batches: list[BatchFacts]
    next_path: str | None


class Call(NamedTuple):
    """A request to one of the endpoints, below the base URL."""

    path: str
    headers: dict[str, str]
    body: FileBody | bytes


class BatchApi(ABC):
    """One form of batch endpoints. It has no state: there is one object of each.

    Attributes:
        name: as in ``provider.profile.batch.form``.
        list_path: of the batches, newest first, with a query.
        after_name: of the parameter that says behind which batch a page begins.
    """

    name: BatchForm
    list_path: str
    after_name: str

    @abstractmethod
    def custom_id(self, trial_id: str, attempt: int, token: str) -> str:
        """The name of a request in its batch."""

    @abstractmethod
    def line(self, custom_id: str, path: str, body: bytes) -> bytes:
        """A request as a line of the file, without the end of the line.

        ``path`` is that of the protocol.
        """

    @abstractmethod
    def upload(self, state: BatchState, file: Path) -> Call | None:
        """The call that brings the file to the provider; None: it goes with the creation."""

    @abstractmethod
    def create(self, state: BatchState, file: Path, path: str, rules: BatchRules) -> Call:
        """The call that makes the batch."""

    @abstractmethod
    def read_batch(self, value: Any) -> BatchFacts:
        """A batch from its JSON.

        Raises:
            ValueError: it is none.
        """

    def read_page(self, value: Any) -> BatchPage:
        """A page of the list from its JSON; what in it is no batch is left out.

        The next one begins behind its last batch.

        Raises:
            ValueError: it is no page of a list. It is not taken for an empty one: a batch that is
                not in the list is made again.
        """
        top = as_dict(value)
        items = top.get("data")
        if not isinstance(items, list):
            raise ValueError("it holds no list of batches")
        batches: list[BatchFacts] = []
        for item in cast("list[Any]", items):
            try:
                batches.append(self.read_batch(item))
            except ValueError:
                continue
        last = as_text(top.get("last_id")) or (batches[-1].batch_id if batches else None)
        if not top.get("has_more") or last is None:
            return BatchPage(batches, None)
        return BatchPage(batches, f"{self.list_path}&{self.after_name}={quote(last, safe='')}")

    @abstractmethod
    def decode_line(self, line: bytes) -> ResultLine | None:
        """A line of results in strict JSON; None where it is of another form.

        Raises:
            msgspec.MsgspecError: it is no strict JSON, or of another form.
        """

    def read_line(self, line: bytes) -> ResultLine | None:
        """A line of results; None where it cannot be read."""
        try:
            return self.decode_line(line)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            pass
        document = parse_json(line)
        if document is None or document.exact:
            return None
        try:
            read = self.decode_line(encode_json(UnicodeCleaner().tree(document.value)))
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            return None
        return None if read is None else msgspec.structs.replace(read, is_exact=False)

    def batch_path(self, batch_id: str) -> str:
        """Where a batch is looked at."""
        return f"{self.list_path.partition('?')[0]}/{quote(batch_id, safe='')}"

    def cancel_path(self, batch_id: str) -> str:
        """Where it is cancelled."""
        return f"{self.batch_path(batch_id)}/cancel"


def as_dict(value: Any) -> dict[str, Any]:
    """A JSON object; empty where it is none."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def as_text(value: Any) -> str | None:
    """A text that is not empty, or None."""
    return value if isinstance(value, str) and value else None


def as_number(value: Any) -> int | None:
    """A count, or None."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def error_body(error: Any) -> bytes:
    """An error of a line as the body of the response that it stands for."""
    return msgspec.json.encode({"error": error})


def file_pieces(path: Path) -> Iterator[bytes]:
    """The bytes of a file."""
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece
