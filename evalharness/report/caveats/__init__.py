"""What would change a reader's mind: everything that makes a figure mean less than it seems."""

from __future__ import annotations

from evalharness.report.caveats import evidence, outputs, run
from evalharness.report.caveats.base import Caveat, Row
from evalharness.report.words.breakdown_text import notable
from evalharness.report.words.sanitize import one_line

__all__ = ["Caveat", "caveats"]

CHARS = 280  # names that a server sends may be of any length


def caveats(data: Row) -> list[Caveat]:
    """All caveats of a run, serious ones first."""
    found = [
        *run.unfinished(data["run"]), *run.loads(data["load"]), *run.errors(data),
        *run.client(data),
        *evidence.effects(data), *evidence.unequal_losses(data), *evidence.left_out(data),
        *outputs.truncated(data), *outputs.unparsed(data), *outputs.unscored(data),
        *outputs.alike(data), *outputs.served(data),
        *(Caveat(text, False) for text in notable(data)),
        *evidence.few(data), *evidence.few_differ(data),
        *run.money(data),
        *(Caveat(note, False) for note in data["run"]["notes"]),
    ]  # fmt: skip
    short = [Caveat(one_line(caveat.text, CHARS), caveat.serious) for caveat in found]
    return sorted(short, key=lambda caveat: not caveat.serious)
