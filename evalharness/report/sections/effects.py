"""Whether the provider did what it was asked: one verdict a parameter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from evalharness.analysis.parameters.effect import ParameterEffect
from evalharness.analysis.parameters.effects import effects
from evalharness.report.build.context import BuildContext
from evalharness.report.section import ConsolePart, PageContext, PagePart, ReportData, Section
from evalharness.report.words.names import join_names
from evalharness.store.folder.run import Run

if TYPE_CHECKING:
    import pyarrow as pa

# Bodies are read for what was sent and echoed; a sample shows as much as all of them.
_MAX_BODIES = 2_000
_MAX_NAMES = 2  # settings named in a sentence; further ones are counted
_AS_ASKED = "as asked"
_GOOD_VERDICTS = ("honoured", "obeyed", _AS_ASKED, "no divergence seen")
_BAD_VERDICTS = ("ignored", "partly honoured", "reversed", "not obeyed", "changed", "diverges")


def _build(context: BuildContext) -> list[ParameterEffect]:
    run = context.run_data.run
    without_seed = {k: api for config in run.configs() for k, api in config.without_seed().items()}
    return effects(context.run_data.frame, bodies=_bodies(run), without_seed=without_seed)


def _bodies(run: Run) -> pa.Table:
    columns = ["setting_id", "request_json", "response_json", "choices_json"]
    return run.sample("records", columns, _MAX_BODIES)


# ── sentences ────────────────────────────────────────────────────────────────────────────────────


def merge_verdicts(verdicts: Sequence[ParameterEffect]) -> list[ParameterEffect]:
    """Merge equal findings on temperature 0.

    The sentence of a merged finding names its settings.
    """
    merged: dict[tuple[str, str], ParameterEffect] = {}
    labels: dict[tuple[str, str], list[str]] = {}
    for index, effect in enumerate(verdicts):
        label = effect.evidence.label
        prefix = f"temperature 0 ({label}): "
        if label is msgspec.UNSET or not effect.sentence.startswith(prefix):
            merged["", str(index)] = effect
            continue
        key = effect.verdict, effect.sentence.removeprefix(prefix)
        merged.setdefault(key, effect)
        labels.setdefault(key, []).append(label)
    return [
        effect if key not in labels else _with_setting_names(effect, labels[key], key[1])
        for key, effect in merged.items()
    ]


def _with_setting_names(effect: ParameterEffect, labels: list[str], text: str) -> ParameterEffect:
    if len(labels) == 1:
        return effect
    where = f"{len(labels)} settings: {join_names(labels, _MAX_NAMES)}"
    return msgspec.structs.replace(effect, sentence=f"temperature 0 ({where}): {text}")


def _split(
    verdicts: Sequence[ParameterEffect],
) -> tuple[list[ParameterEffect], list[ParameterEffect]]:
    """Verdicts worth a sentence, merged; and values that were sent and echoed as asked."""
    routine = [effect for effect in verdicts if effect.verdict == _AS_ASKED]
    return [e for e in merge_verdicts(verdicts) if e.verdict != _AS_ASKED], routine


# ── console ──────────────────────────────────────────────────────────────────────────────────────


def _console(report: ReportData, _: int) -> ConsolePart:
    notable, routine = _split(report[EFFECTS])
    sentences = [effect.sentence for effect in notable]
    if routine:
        sentences.append(f"sent as asked: {', '.join(effect.parameter for effect in routine)}")
    if not sentences:
        return ConsolePart([])
    return ConsolePart(["Was it honoured?", *(f"  {sentence}" for sentence in sentences)])


# ── page ─────────────────────────────────────────────────────────────────────────────────────────


class VerdictRow(NamedTuple):
    """A row of the table: a parameter, its verdict, why, and the CSS class of the badge."""

    parameter: str
    verdict: str
    text: str
    badge: str


class VerdictsView(NamedTuple):
    """What the page shows: a table, and in a note what is as asked."""

    rows: list[VerdictRow]
    routine: list[str]


def _view(context: PageContext) -> VerdictsView | None:
    notable, routine = _split(context.report[EFFECTS])
    if not notable and not routine:
        return None
    texts = [effect.sentence.replace(f" {_AS_ASKED}: ", " ", 1) for effect in routine]
    return VerdictsView([_row(effect) for effect in notable], texts)


def _row(effect: ParameterEffect) -> VerdictRow:
    verdict = effect.verdict
    badge = "good" if verdict in _GOOD_VERDICTS else "bad" if verdict in _BAD_VERDICTS else "open"
    text = effect.sentence
    for prefix in (f"{effect.parameter} {verdict}: ", f"{effect.parameter}: "):
        text = text.removeprefix(prefix)
    return VerdictRow(effect.parameter, verdict, text, badge)


_TEMPLATE = """\
<p class="lead">What the outputs say about each parameter, not what the provider says.</p>
<div class="scroll" tabindex="0"><table class="text"><tbody>
{% for row in view.rows %}<tr><td><code>{{ row.parameter }}</code></td><td><span class="badge {{ row.badge }}">{{ row.verdict }}</span></td><td><bdi>{{ row.text }}</bdi></td></tr>
{% endfor %}</tbody></table></div>
{% if view.routine %}<p class="note">As asked: {{ view.routine | join('; ') }}.</p>{% endif %}
"""  # noqa: E501 — a row is one line of the page

EFFECTS: Section[list[ParameterEffect]] = Section(
    "effects",
    list[ParameterEffect],
    _build,
    stage="fork",
    title="whether the provider honours each parameter",
    console=_console,
    page=PagePart(
        anchor="parameters",
        link="Parameters",
        heading="Did the provider do what it was asked?",
        template=_TEMPLATE,
        view=_view,
    ),
)
