"""What a replay sends again, in words."""

from __future__ import annotations

from evalharness.process.text import plural
from evalharness.report.words.format_numbers import duration, seconds
from evalharness.report.words.sanitize import one_line
from evalharness.store.parts.replay_file import ReplaySource

_MAX_NAME = 80
_LONG_S = 120.0


def replay_lines(source: ReplaySource) -> list[str]:
    """One sentence, and another where requests are changed or left out."""
    name = one_line(source.name, _MAX_NAME)
    long = source.span_s >= _LONG_S
    span = f"over {duration(source.span_s) if long else seconds(source.span_s)} at speed 1"
    if source.kind == "run":
        point = "" if source.measurement is None else f", measurement {source.measurement}"
        return [
            f"run {name}{point}: {plural(source.requests, 'request')} when they were due there, "
            f"{span}"
        ]
    rest = "; the file goes on" if source.continues else ""
    lines = [
        f"trace {name}: {source.requests:,} of {plural(source.read, 'request')} from "
        f"{source.first_s:g} s to {source.last_s:g} s, {span}{rest}"
    ]
    changed = [
        (source.truncated, "sent with a shorter prompt, to fit into the context"),
        (source.skipped_long, "left out, as they do not fit into the context"),
        (source.lengthened, "sent with a longer prompt, as the server's chat template is longer"),
        (source.skipped_short, "left out, as the server's chat template is longer"),
    ]
    texts = [f"{count} {what}" for count, what in changed if count]
    return [*lines, f"not as in the trace: {'; '.join(texts)}"] if texts else lines
