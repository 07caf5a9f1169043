"""The caveats of a report: everything that makes a figure mean less than it seems."""

from __future__ import annotations

from evalharness.report.caveats import evidence, outputs, run
from evalharness.report.caveats.base import Caveat, Row
from evalharness.report.words.breakdown_text import notable_contrasts
from evalharness.report.words.sanitize import one_line

__all__ = ["Caveat", "caveats"]

MAX_CHARS = 280  # names that a server sends may be of any length


def caveats(data: Row) -> list[Caveat]:
    """All caveats of a run, serious ones first."""
    unsorted = [
        *run.unfinished(data["run"]), *run.load_points(data["load"]), *run.errors(data),
        *run.saturated_client(data),
        *evidence.effects(data), *evidence.unequal_losses(data), *evidence.left_out_prompts(data),
        *outputs.truncated(data), *outputs.unparsed(data), *outputs.unscored(data),
        *outputs.equal_refusals(data), *outputs.several_models(data),
        *(Caveat(text, False) for text in notable_contrasts(data)),
        *evidence.small_samples(data), *evidence.few_differing_prompts(data),
        *run.unknown_costs(data),
        *(Caveat(note, False) for note in data["run"]["notes"]),
    ]  # fmt: skip
    short = [Caveat(one_line(caveat.text, MAX_CHARS), caveat.serious) for caveat in unsorted]
    return sorted(short, key=lambda caveat: not caveat.serious)
