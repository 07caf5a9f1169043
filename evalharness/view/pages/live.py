"""``/run/{run}/live``: a running run as it goes on, and what it can be asked for."""

from __future__ import annotations

import shlex
from collections.abc import AsyncGenerator
from decimal import Decimal
from http import HTTPStatus
from pathlib import Path
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from evalharness.config.limit_changes import CHANGEABLE, LimitValue, parse_changes, value_text
from evalharness.errors import EvalharnessError
from evalharness.report.words.format_numbers import dollars, duration, percent
from evalharness.report.words.sanitize import printable
from evalharness.store.folder.control import ControlAnswer
from evalharness.store.folder.control_client import ask, user_name
from evalharness.view.context import ViewContext
from evalharness.view.live.feeds import LiveFeeds
from evalharness.view.live.reader import LiveFigures, LiveReader

# The browser asks again after so many milliseconds where the connection broke.
_RETRY_MS = 2_000
_WAIT_S = 20.0
_MAX_BODY = 10_000
# Limits that a run need not have.
_REMOVABLE = ("rpm", "max_cost_usd")


class ControlBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the page asks for; ``values`` are texts as they were typed, by key of ``limits``."""

    command: str
    values: dict[str, str] = {}
    reason: str = ""


def routes(context: ViewContext) -> list[Route]:
    """The page, its events, and the address of requests to the run."""
    feeds = LiveFeeds()

    def show(request: Request) -> Response:
        run = context.runs.find(request.path_params["run"])
        root = _local_root(run.files.root)
        # ``?still=1`` has the figures in the page, for browsers without scripts.
        is_still = request.query_params.get("still") == "1"
        figures = LiveReader(root).look() if is_still else None
        return context.page(
            "live.html",
            run=run.key,
            folder=shlex.quote(root.name),
            keys=CHANGEABLE,
            removable=_REMOVABLE,
            names=_NAMES,
            still=None if figures is None else _shown(figures),
        )

    async def events(request: Request) -> Response:
        run = await run_in_threadpool(context.runs.find, request.path_params["run"])
        root = _local_root(run.files.root)
        return StreamingResponse(_events(feeds, root), media_type="text/event-stream")

    async def control(request: Request) -> Response:
        context.require_control()
        run = await run_in_threadpool(context.runs.find, request.path_params["run"])
        root = _local_root(run.files.root)
        body = await request.body()
        if len(body) > _MAX_BODY:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        try:
            answer = await run_in_threadpool(_ask, root, body)
        except EvalharnessError as error:
            return PlainTextResponse(_sentence(error.message, error.hint), HTTPStatus.CONFLICT)
        code = HTTPStatus.OK if answer.applied else HTTPStatus.CONFLICT
        return PlainTextResponse(_sentence(answer.message, answer.hint), code)

    return [
        Route("/run/{run:run}/live", show),
        Route("/run/{run:run}/events", events),
        Route("/run/{run:run}/control", control, methods=["POST"]),
    ]


def _local_root(root: Path | None) -> Path:
    if root is None:
        raise HTTPException(
            HTTPStatus.NOT_FOUND, "a run in a store is watched where its process runs"
        )
    return root


def _ask(root: Path, content: bytes) -> ControlAnswer:
    try:
        body = msgspec.json.decode(content, type=ControlBody)
    except msgspec.MsgspecError as error:
        raise HTTPException(HTTPStatus.BAD_REQUEST, str(error)) from None
    who, reason = user_name(), body.reason.strip() or None
    if body.command == "set":
        typed = {key: text.strip() for key, text in body.values.items()}
        # An empty field is a limit that stays as it is, never one that is taken away.
        values = parse_changes([f"limits.{key}={text}" for key, text in typed.items() if text])
        return ask(root, "set", values, who=who, reason=reason, wait_s=_WAIT_S)
    if body.command == "pause" or body.command == "resume":
        return ask(root, body.command, who=who, reason=reason, wait_s=_WAIT_S)
    raise HTTPException(HTTPStatus.BAD_REQUEST, "a run can be paused, resumed, or given limits")


def _sentence(message: str, hint: str | None) -> str:
    return printable(message if hint is None else f"{message} → {hint}")


# ── events ───────────────────────────────────────────────────────────────────────────────────────

_NAMES = {
    "state": "State",
    "recorded": "Recorded",
    "statuses": "By status",
    "errors": "Failed attempts",
    "per_s": "Rate",
    "in_flight": "In flight",
    "spent": "Spent",
    "waiting": "Waiting",
    "limits": "Limits",
    "at": "As of",
}


async def _events(feeds: LiveFeeds, root: Path) -> AsyncGenerator[str]:
    yield f"retry: {_RETRY_MS}\n\n"
    async for figures in feeds.watch(root):
        if isinstance(figures, EvalharnessError):
            yield _event("failure", {"message": _sentence(figures.message, figures.hint)})
        else:
            yield _event("end" if figures.is_over else "figures", _shown(figures))


def _event(name: str, data: dict[str, Any]) -> str:
    # JSON has no line break of its own, so the data is one line.
    return f"event: {name}\ndata: {msgspec.json.encode(data).decode()}\n\n"


def _shown(figures: LiveFigures) -> dict[str, Any]:
    """The figures as texts, which the script puts into the page as such."""
    share = figures.recorded / figures.planned if figures.planned else None
    texts = {
        "state": _state(figures),
        "recorded": f"{figures.recorded:,}"
        + (f" of {figures.planned:,} ({percent(share, 1)})" if share is not None else ""),
        "statuses": _counts(figures.by_status),
        "errors": _counts(figures.errors),
        "per_s": _rate(figures),
        "in_flight": f"{figures.in_flight:,}",
        "spent": _spent(figures),
        "waiting": _waiting(figures),
        "limits": ", ".join(_limit(*limit) for limit in figures.limits.items()) or "—",
        "at": figures.at[11:19] + " UTC",
    }
    return {
        "texts": {name: printable(text) for name, text in texts.items()},
        "share": share,
        "state": figures.state,
        "is_over": figures.is_over,
        "limits": {key: value_text(value) for key, value in figures.limits.items()},
        "refuses": _refuses(figures),
    }


def _state(figures: LiveFigures) -> str:
    if figures.state == "died":
        return "died: its process has ended without a word; the same command goes on"
    if figures.state == "paused":
        return "paused: nothing new is sent"
    return figures.state + (f": {figures.reason}" if figures.reason else "")


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items()) or "none"


def _rate(figures: LiveFigures) -> str:
    if figures.per_s is None:
        return "—"
    left = "" if figures.left_s is None else f", about {duration(figures.left_s)} left"
    return f"{figures.per_s:.1f} trials/s{left}"


def _spent(figures: LiveFigures) -> str:
    text, in_doubt = dollars(Decimal(figures.spent_usd)), Decimal(figures.in_doubt_usd)
    if in_doubt:
        text += f", in doubt {dollars(in_doubt)}"
    return text if figures.is_spend_complete else f"{text} so far counted"


def _waiting(figures: LiveFigures) -> str:
    if figures.waiting is None:
        return "—"
    left = f", {duration(max(1.0, figures.waiting_s))} left" if figures.waiting_s else ""
    return f"{figures.waiting.removeprefix('waiting ')}{left}"


def _limit(key: str, value: LimitValue) -> str:
    return f"{key} {'none' if value is None else value_text(value)}"


def _refuses(figures: LiveFigures) -> str | None:
    if figures.refuses is None:
        return None
    return printable(f"It cannot be paused or given other limits: {figures.refuses}.")
