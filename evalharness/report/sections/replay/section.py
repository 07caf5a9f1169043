"""What a replay sent again."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from evalharness.report.build.context import BuildContext
from evalharness.report.section import ConsolePart, PageContext, PagePart, ReportData, Section
from evalharness.report.sections.replay.sentences import replay_lines
from evalharness.report.words.markdown_text import bullet_list
from evalharness.store.parts.replay_file import ReplaySource, read_replay

HEADING = "What was replayed"
_MAX_LINES = 8


class ReplayedPoint(msgspec.Struct, frozen=True, kw_only=True):
    """A load point that sent it.

    Attributes:
        measurement: its number.
        speed: how many times faster than recorded.
        requests: that were due before it ended.
    """

    measurement: int
    speed: float
    requests: int


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """What was sent again.

    Attributes:
        source: where requests and times come from.
        points: the load points that sent them; empty of a batch evaluation, which has the rows of a
            trace and not its times.
    """

    source: ReplaySource
    points: list[ReplayedPoint]


def _build(context: BuildContext) -> Replay | None:
    source = read_replay(context.run_data.run.root)
    if source is None:
        return None
    load = context.run_data.load.data
    points = [
        ReplayedPoint(
            measurement=point.measurement,
            speed=float(point.load.get("speed", 1.0)),
            requests=point.requests.scheduled,
        )
        for point in ([] if load is None else load.points)
        if point.load.get("arrival") == "replay"
    ]
    return Replay(source=source, points=points)


def _lines(replay: Replay | None) -> list[str]:
    """Of the source, and of the load points that ended before it."""
    if replay is None:
        return []
    ended = [
        f"measurement {point.measurement}, at speed {point.speed:g}, ended after the first "
        f"{point.requests} of them"
        for point in replay.points
        if point.requests < replay.source.requests
    ]
    return [*replay_lines(replay.source), *ended[:_MAX_LINES]]


def _console(report: ReportData, width: int) -> ConsolePart:
    lines = _lines(report[REPLAY])
    return ConsolePart([HEADING, *(f"  {line}" for line in lines)] if lines else [])


def _markdown(report: ReportData) -> list[str]:
    lines = _lines(report[REPLAY])
    return [f"**{HEADING}**\n\n{bullet_list(lines)}"] if lines else []


class _View(NamedTuple):
    lines: list[str]


def _view(context: PageContext) -> _View | None:
    lines = _lines(context.report[REPLAY])
    return _View(lines) if lines else None


REPLAY: Section[Replay | None] = Section(
    "replay",
    Replay | None,
    _build,
    title="the trace or the run that was sent again, and what was left out of it; null: neither",
    console=_console,
    markdown=_markdown,
    page=PagePart(
        anchor="replay",
        link="Replay",
        heading=HEADING,
        template='{% if view %}<ul class="plain">{% for line in view.lines %}<li><bdi>{{ line }}'
        "</bdi></li>{% endfor %}</ul>{% endif %}",
        view=_view,
    ),
)
