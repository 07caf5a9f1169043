"""In the child: scores and extracts, one item after the other; :mod:`.client` is the other side.

A request is pickled (:class:`Request`). What is to be done
is a pickled scorer or extractor, or the path of a function of the user that is only imported. There
is one reply an item, a list in JSON, sent as soon as it is there.
"""

from __future__ import annotations

import contextlib
import json
import pickle
import resource
import signal
import sys
from collections.abc import Generator
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from evalharness.process.bounded_child import ChildEnd
from evalharness.records import Status
from evalharness.scoring.answer_extraction import Extractor
from evalharness.scoring.base import REASON_NO_MEMORY, Sample, Scorer, describe_error
from evalharness.scoring.isolation import user_functions

_MAX_EXPLANATION_CHARS = 1000
# Longer than any label of a class, which is all that a brief answer is looked at for.
_BRIEF_ANSWER_CHARS = 200
_MAX_ANSWER_CHARS = 16 * 2**20


class Request(NamedTuple):
    """One request.

    Attributes:
        memory_mib: memory of the child from now on.
        cpu_s: processor seconds for one item; None: as many as it takes.
        work: a scorer or an extractor, pickled; or a path to import, as text.
        items: of a scorer the fields of samples, of an extractor texts.
        brief: leave out of replies what only a reader of one score needs.
    """

    memory_mib: int
    cpu_s: float | None
    work: bytes | str
    items: list[Any]
    brief: bool


def main(requests: int, replies: int) -> None:
    """Answer requests until there are no more."""
    user_functions.is_child = True
    end = ChildEnd(requests, replies)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(
        OSError
    ):  # where memory runs out, this process goes and not its parent
        Path("/proc/self/oom_score_adj").write_text("1000", "ascii")
    while (data := end.receive()) is not None:
        request = Request(*pickle.loads(data))  # noqa: S301  # our parent's own bytes
        _limit_memory(request.memory_mib)
        for item in request.items:
            with _cpu_limit(request.cpu_s):
                reply = _reply(request, item)
            end.send(json.dumps(reply).encode("ascii"))


def _reply(request: Request, item: Any) -> list[Any]:
    if isinstance(request.work, str):
        return [_import_problem(request.work)]
    try:
        work = _unpickle(request.work)
        if isinstance(work, Extractor):
            result = work.extract(item)
            return [result.answer, result.reason, result.failed]
        return _score(work, item, request.brief)
    except MemoryError:
        return [None, REASON_NO_MEMORY, True]
    except BaseException as error:  # the user's function called sys.exit, say
        return [None, f"the scorer failed: {describe_error(error)}", True]


def _score(scorer: Scorer, item: tuple[Any, ...], brief: bool) -> list[Any]:
    fields: dict[str, Any] = dict(zip(Sample.__struct_fields__, item, strict=True))
    fields["status"] = Status(fields["status"])
    score = scorer.score(Sample(**fields))
    length = _BRIEF_ANSWER_CHARS if brief else _MAX_ANSWER_CHARS
    answer = None if score.answer is None else score.answer[:length]
    brief_value = brief and score.value is not None
    explanation = "" if brief_value else score.explanation[:_MAX_EXPLANATION_CHARS]
    return [score.value, explanation, answer]


def _import_problem(path: str) -> str:
    """Import a function of the user: why that fails, or nothing."""
    try:
        user_functions.import_function(path)
    except ValueError as error:
        return str(error)
    except BaseException as error:
        return f"cannot import {path!r}: {describe_error(error)}"
    return ""


@lru_cache(maxsize=64)
def _unpickle(work: bytes) -> Scorer | Extractor:
    return pickle.loads(work)  # noqa: S301  # our parent's own bytes


@contextlib.contextmanager
def _cpu_limit(cpu_s: float | None) -> Generator[None]:
    """End this process by SIGPROF, also in the middle of one long C call."""
    if cpu_s is None:
        yield
        return
    signal.setitimer(signal.ITIMER_PROF, cpu_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _limit_memory(mib: int) -> None:
    # Of its own data and not of its address space, which libraries reserve without using it.
    limit = resource.RLIMIT_DATA if sys.platform == "linux" else resource.RLIMIT_AS
    with contextlib.suppress(ValueError, OSError):
        hard = resource.getrlimit(limit)[1]
        soft = mib * 2**20
        resource.setrlimit(limit, (soft if hard < 0 else min(soft, hard), hard))
