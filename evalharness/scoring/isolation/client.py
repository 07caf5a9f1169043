"""The parent's side of :mod:`.worker`: processes that score, killed and replaced at their limits.

One serves all scorers of the package, and each function of the user has one of its own. They start
on first use (a fifth of a second) and end with this process, however it ends.
"""

from __future__ import annotations

import atexit
import json
import pickle
import signal
import threading
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from evalharness.process.bounded_child import BoundedChild, ChildEndedError, ChildLateError
from evalharness.scoring.answer_extraction import ExtractionResult, Extractor
from evalharness.scoring.base import REASON_NO_MEMORY, Sample, Score, Scorer
from evalharness.scoring.bounds import Bounds
from evalharness.scoring.safe_regex import TIMED_OUT

MAX_LOSSES = 10  # texts at a limit before no more are tried
REASON_GAVE_UP = f"not tried: a limit of time or memory was passed on {MAX_LOSSES} other texts"
MAX_CHILDREN = 4
_LOSSES = (TIMED_OUT, REASON_NO_MEMORY)  # of items that were answered
_BATCH_ITEMS = 256
_BATCH_CHARS = 4 * 2**20
_START_S = 120.0  # to start, and to import what a user's function needs
_WALL_FACTOR = 30.0  # for the processor of a busy machine


class _LostError(Exception):
    """An item ended the child; the message is the reason shown."""


class _ChildPool:
    """The living children, by what they serve."""

    def __init__(self) -> None:
        self._children: dict[tuple[str | None, str], BoundedChild] = {}
        self.lock = threading.RLock()

    def child(self, bounds: Bounds) -> BoundedChild:
        """The child for some work, started where there is none.

        Raises:
            OSError: the system makes no further process.
            _LostError: the function of the user cannot be imported.
        """
        path = bounds.user_function
        key = (path, "" if path is None else str(Path.cwd()))
        child = self._children.pop(key, None)
        if child is None or not child.is_usable():
            if child is not None:
                child.close()
            while len(self._children) >= MAX_CHILDREN:
                self._children.pop(next(iter(self._children))).close()
            child = BoundedChild(
                "evalharness.scoring.isolation.worker", whole_environment=path is not None
            )
            if path is not None:
                self._import(child, path, bounds)
        self._children[key] = child  # the last one is that used last
        return child

    def close(self) -> None:
        """End all."""
        for child in self._children.values():
            child.close()
        self._children.clear()

    @staticmethod
    def _import(child: BoundedChild, path: str, bounds: Bounds) -> None:
        try:
            child.send(pickle.dumps((bounds.memory_mib, None, path, [None], True)), _START_S)
            (problem,) = json.loads(child.receive(_START_S))
        except ChildEndedError as end:
            raise _LostError(f"cannot import {path!r}: its process ended ({end})") from None
        except ChildLateError:
            raise _LostError(f"cannot import {path!r}: takes more than {_START_S:g} s") from None
        except BaseException:
            child.close()
            raise
        if problem:
            child.close()
            raise _LostError(problem)


@cache
def _pool() -> _ChildPool:
    pool = _ChildPool()
    atexit.register(pool.close)
    return pool


def import_problem(bounds: Bounds) -> str | None:
    """Why the function of the user cannot be imported, where it is to run; None where it can."""
    pool = _pool()
    with pool.lock:
        try:
            pool.child(bounds)
        except (_LostError, OSError) as problem:
            return str(problem)
    return None


class _IsolatedWork:
    """A scorer or an extractor whose items are done in a child."""

    def __init__(self, work: Scorer | Extractor) -> None:
        self.bounds = work.bounds()
        self._work = work
        self._losses = 0

    def replies(self, items: Sequence[Any], chars: Sequence[int], *, brief: bool) -> list[Any]:
        """A reply for each item, or a reason; ``chars`` are the sizes of the items."""
        replies: list[Any] = []
        while len(replies) < len(items):
            if self._losses >= MAX_LOSSES:
                return replies + [REASON_GAVE_UP] * (len(items) - len(replies))
            part = _next_part(items, chars, len(replies))
            try:
                self._exchange(part, brief, replies)
            except _LostError as reason:
                replies.append(str(reason))
                self._losses += 1
        return replies

    def _exchange(self, items: Sequence[Any], brief: bool, replies: list[Any]) -> None:
        """Do some items, adding their replies as they come."""
        bounds = self.bounds
        wall_s = bounds.wall_s
        if wall_s is None:
            assert bounds.cpu_s is not None
            wall_s = _WALL_FACTOR * bounds.cpu_s
        request = (bounds.memory_mib, bounds.cpu_s, pickle.dumps(self._work), list(items), brief)
        pool = _pool()
        with pool.lock:
            try:
                child = pool.child(bounds)
            except OSError as error:
                raise _LostError(f"no process could be started: {error}") from None
            try:
                child.send(pickle.dumps(request), _START_S)
                for _ in items:
                    replies.append(json.loads(child.receive(wall_s)))
                    self._losses += replies[-1][1] in _LOSSES
                    if self._losses >= MAX_LOSSES:
                        child.close()  # it would go on with the items
                        return
            except ChildEndedError as end:
                raise _LostError(_describe_end(end, bounds)) from None
            except ChildLateError:
                raise _LostError(_describe_time(f"{wall_s:g} s", bounds)) from None
            except BaseException:
                child.close()  # it would go on with the items
                raise


class IsolatedScorer:
    """A scorer at work in a child.

    Args:
        scorer: must be picklable.
    """

    def __init__(self, scorer: Scorer) -> None:
        self._work = _IsolatedWork(scorer)

    def score(self, samples: Sequence[Sample], *, brief: bool = True) -> list[Score]:
        """Score the samples; never raises.

        ``brief`` cuts the answer, and leaves out the explanation of scores with a value.
        """
        with_prompt = self._work.bounds.user_function is not None
        items = [_sample_item(sample, with_prompt=with_prompt) for sample in samples]
        chars = [_sample_chars(sample) for sample in samples]
        scores: list[Score] = []
        for reply in self._work.replies(items, chars, brief=brief):
            if isinstance(reply, str):
                scores.append(Score(None, None, reply))
                continue
            value, explanation, answer = reply
            scores.append(Score(value, answer, explanation))
        return scores


class IsolatedExtractor:
    """An extractor at work in a child."""

    def __init__(self, extractor: Extractor) -> None:
        self._work = _IsolatedWork(extractor)

    def extract(self, text: str) -> ExtractionResult:
        """Find the answer; never raises."""
        (reply,) = self._work.replies([text], [len(text)], brief=False)
        if isinstance(reply, str):
            return ExtractionResult(None, reply, failed=True)
        answer, reason, failed = reply
        return ExtractionResult(answer, reason, failed=failed)


def _sample_chars(sample: Sample) -> int:
    return len(sample.text or "") + len(sample.tool_calls_json or "")


def _sample_item(sample: Sample, *, with_prompt: bool) -> tuple[Any, ...]:
    values = list(msgspec.structs.astuple(sample))
    for place, name in enumerate(Sample.__struct_fields__):
        if name == "status":
            values[place] = sample.status.value
        elif not with_prompt and name in _OF_PROMPT:
            values[place] = _OF_PROMPT[name]
    return tuple(values)


# What only a function of the user reads; the same for all outputs of a prompt, and mostly longer.
_OF_PROMPT: dict[str, Any] = {"fields": {}, "tags": [], "messages": None}


def _next_part(items: Sequence[Any], chars: Sequence[int], start: int) -> Sequence[Any]:
    """The next items, up to a number and a size; at least one."""
    end, size = start, 0
    while end < len(items) and end - start < _BATCH_ITEMS:
        size += chars[end]
        if size > _BATCH_CHARS and end > start:
            break
        end += 1
    return items[start:end]


def _describe_end(end: ChildEndedError, bounds: Bounds) -> str:
    if end.status == -signal.SIGPROF and bounds.cpu_s is not None:
        return _describe_time(f"{bounds.cpu_s:g} s of processor time", bounds)
    if end.status == -signal.SIGKILL:
        return "its process was killed, as the system does when it has no memory left"
    return f"its process was lost: {end}"


def _describe_time(time: str, bounds: Bounds) -> str:
    option = "" if bounds.option is None else f" (see `{bounds.option}`)"
    return f"took more than {time}{option}"
