"""The answers of a card run, by the arm of the protocol that they belong to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from evalharness.finish_reasons import FinishKind, finish_kind
from evalharness.records import ErrorKind, Status, Usage

# Errors by which servers refuse a request as it is; a router says "not found" of a parameter, too.
_REFUSALS = frozenset({ErrorKind.BAD_REQUEST, ErrorKind.NOT_FOUND, ErrorKind.HTTP_OTHER})


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """One record of the run.

    Attributes:
        topic: of its request.
        status: what came of it.
        text: of the first choice; None: none came.
        finish_reason: as delivered; None: not delivered.
        calls: names of the functions that the first choice calls.
        logprobs_json: of the first choice; None: none came.
        choices: how many came.
        reasoned: whether a text of reasoning came.
        usage: None in it where the server did not say.
        headers: names of the kept response headers.
        error_kind: None: no error.
        error_message: the server's words; None: no error.
    """

    topic: str
    status: Status = Status.OK
    text: str | None = None
    finish_reason: str | None = None
    calls: tuple[str, ...] = ()
    logprobs_json: str | None = None
    choices: int = 1
    reasoned: bool = False
    usage: Usage = Usage()
    headers: frozenset[str] = frozenset()
    error_kind: str | None = None
    error_message: str | None = None

    @property
    def is_cut(self) -> bool:
        """Whether a limit of tokens ended it."""
        return finish_kind(self.finish_reason) is FinishKind.CUT


class Arm(msgspec.Struct, frozen=True, kw_only=True):
    """The requests of one arm, and what came of them.

    Attributes:
        name: of the arm.
        planned: requests of the protocol.
        left_out: why some of them cannot be sent; None: all can.
        records: what is recorded, errors too.
    """

    name: str
    planned: int
    left_out: str | None = None
    records: Sequence[Answer] = ()

    @property
    def answers(self) -> list[Answer]:
        """The records that hold an answer."""
        return [record for record in self.records if record.status is not Status.ERROR]

    @property
    def refusals(self) -> list[Answer]:
        """The records whose request the server refused."""
        return [r for r in self.records if r.error_kind in _REFUSALS]

    def by_topic(self) -> dict[str, list[Answer]]:
        """The answers by topic."""
        topics: dict[str, list[Answer]] = {}
        for answer in self.answers:
            topics.setdefault(answer.topic, []).append(answer)
        return topics

    def texts(self) -> dict[str, list[str]]:
        """The texts by topic; answers without any text are left out."""
        return {
            topic: texts
            for topic, answers in self.by_topic().items()
            if (texts := [answer.text for answer in answers if answer.text])
        }

    def error_counts(self) -> str:
        """The errors by kind, as ``3 rate_limited, 1 dns``; empty where there are none."""
        kinds = Counter(r.error_kind or "error" for r in self.records if r.status is Status.ERROR)
        return ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())


class CardAnswers(msgspec.Struct, frozen=True):
    """All arms of a card run, by name."""

    arms: Mapping[str, Arm]

    def __getitem__(self, name: str) -> Arm:
        """An arm by name; one that the run does not know has no requests."""
        return self.arms.get(name, Arm(name=name, planned=0))

    def __iter__(self) -> Iterator[Arm]:
        return iter(self.arms.values())
