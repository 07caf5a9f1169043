"""The first screen of a report: the answers, what to know before relying on them, differences."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from evalharness.report.section import ConsolePart, PageContext, PagePart, ReportData, Section
from evalharness.report.sections.across.section import ACROSS
from evalharness.report.sections.comparisons.across_words import none_detected
from evalharness.report.sections.comparisons.differences import (
    Difference,
    slope_sentences,
    split_differences,
)
from evalharness.report.sections.comparisons.section import COMPARISONS, HEADLINE_LINES, TRENDS
from evalharness.report.sections.headline.answers import HeadlineAnswer, headline_answers
from evalharness.report.sections.headline.caveat import Caveat
from evalharness.report.sections.headline.caveats import caveats
from evalharness.report.sections.headline.facts import run_facts
from evalharness.report.sections.headline.quality_answers import quality_answers
from evalharness.report.sections.run import RUN
from evalharness.report.sections.settings.section import SETTINGS
from evalharness.report.words.format_numbers import DASH
from evalharness.report.words.markdown_text import bullet_list, escape_text

_MAX_DIFFERENCES = 6  # on a terminal
_MAX_ITEMS = 10  # of a list in Markdown
_FACTS = {"Records": "{} records", "Started": "started {}", "Sending took": "sending took {}",
          "Cost": "cost {}"}  # fmt: skip


class Headline(msgspec.Struct, frozen=True):
    """The first screen of a report.

    Attributes:
        answers: one a question.
        caveats: serious ones first.
        detected, undetected: sentences on comparisons.
        slopes: sentences on trends.
        error_rate: how often a report shows a difference where there is none, in words.
        none_detected: what to say where nothing was detected.
    """

    answers: list[HeadlineAnswer]
    caveats: list[Caveat]
    detected: list[Difference]
    undetected: list[Difference]
    slopes: list[str]
    error_rate: str
    none_detected: str


def headline(report: ReportData) -> Headline:
    """Summarise one run in sentences."""
    detected, undetected = split_differences(report[COMPARISONS])
    return Headline(
        answers=[*headline_answers(report), *quality_answers(report)],
        caveats=caveats(report),
        detected=detected,
        undetected=undetected,
        slopes=slope_sentences(report[TRENDS]),
        error_rate=_error_rate_text(report),
        none_detected=none_detected(report[ACROSS], len(report[SETTINGS])),
    )


# ── console ──────────────────────────────────────────────────────────────────────────────────────


def _console(report: ReportData, _: int) -> ConsolePart:
    view = headline(report)
    run, facts = report[RUN], dict(run_facts(report))
    lines = [
        f"{run.name}: {facts['Model']} · {facts['Size']} · {facts['Records']} records",
        "",
        *(_answer_line(answer) for answer in view.answers),
    ]
    differences = _difference_lines(report, view)
    lines += ["", *differences] if differences else []
    if view.caveats:
        texts = (f"  {caveat.text}" for caveat in view.caveats)
        lines += ["", "Before you rely on this", *texts]
    return ConsolePart(lines)


def _answer_line(answer: HeadlineAnswer) -> str:
    """``Most repeatable: T=0, 100 % [76, 100]. …``; without a figure where there is none."""
    figure = "" if answer.figure == DASH else f", {answer.figure}"
    return f"{answer.question}: {answer.who}{figure}. {answer.text}"


def _difference_lines(report: ReportData, view: Headline) -> list[str]:
    """The detected differences, or the sentence that none was detected."""
    if not view.detected and not view.undetected:
        return []
    texts = [*(difference.text for difference in view.detected), *view.slopes]
    lines = [f"Which differences were detected? ({view.error_rate})"]
    if not texts:
        lines.append(f"  {view.none_detected}")
    lines += [f"  {text}" for text in texts[:_MAX_DIFFERENCES]]
    rest = len(texts) - min(len(texts), _MAX_DIFFERENCES) + len(view.undetected)
    if rest:
        noun = "comparison" if rest == 1 else "comparisons"
        axes = dict.fromkeys(row.by for row in report[COMPARISONS])
        commands = [f"evalharness compare {report.run_argument} --by {axis}" for axis in axes]
        if len(commands) == 1:
            lines.append(f"  {rest} more {noun}: {commands[0]}")
        else:
            lines += [f"  {rest} more {noun}:", *(f"    {command}" for command in commands)]
    return lines


def _error_rate_text(report: ReportData) -> str:
    """How often a report shows any difference where there is none."""
    tested = report[HEADLINE_LINES]
    if tested == 1:
        return "by chance alone one report in 20 shows it"
    return (
        f"{tested:,} tested together: by chance alone one report in 20 shows any; intervals are "
        "each for itself"
    )


# ── Markdown ─────────────────────────────────────────────────────────────────────────────────────


def _markdown(report: ReportData) -> list[str]:
    view = headline(report)
    facts = (_FACTS.get(name, "{}").format(escape_text(value)) for name, value in run_facts(report))
    return [
        f"## {escape_text(report[RUN].name)}",
        " · ".join(facts),
        *_markdown_caveats(view.caveats),
        "\n".join(_markdown_answer(answer) for answer in view.answers),
        *_markdown_differences(f"Detected differences ({view.error_rate})", view.detected),
        *_markdown_differences("Not detected", view.undetected),
    ]


def _markdown_caveats(shown: Sequence[Caveat]) -> list[str]:
    if not shown:
        return []
    lines = [f"> - {escape_text(caveat.text)}" for caveat in shown[:_MAX_ITEMS]]
    return ["\n".join(["> **Before you rely on this**", ">", *lines])]


def _markdown_answer(answer: HeadlineAnswer) -> str:
    figure = f", {escape_text(answer.figure)}" if answer.figure != DASH else ""
    return f"- **{answer.question}: {escape_text(answer.who)}**{figure}. {escape_text(answer.text)}"


def _markdown_differences(heading: str, differences: Sequence[Difference]) -> list[str]:
    if not differences:
        return []
    listed = bullet_list([difference.text for difference in differences], _MAX_ITEMS)
    return [f"**{heading}** (95 % intervals, paired by prompt)\n\n{listed}"]


# ── page ─────────────────────────────────────────────────────────────────────────────────────────


def _page_view(context: PageContext) -> Headline:
    return headline(context.report)


_TEMPLATE = """\
<div class="answers">
{% for a in view.answers %}<div class="answer{% if not a.settled %} open{% endif %}">
<div class="question">{{ a.question }}</div><div class="who"><bdi>{{ a.who }}</bdi></div>
{% if a.figure != '—' %}<div class="figure">{{ a.figure }}</div>{% endif %}<p><bdi>{{ a.text }}</bdi></p></div>
{% endfor %}</div>
{% if view.caveats %}<div class="caveats"><h2>Before you rely on this</h2><ul class="plain">
{% for c in view.caveats[:8] %}<li{% if not c.serious %} class="minor"{% endif %}><bdi>{{ c.text }}</bdi></li>
{% endfor %}</ul>{% if view.caveats | length > 8 %}<details><summary>{{ view.caveats | length - 8 }} more</summary><ul class="plain">
{% for c in view.caveats[8:] %}<li class="minor"><bdi>{{ c.text }}</bdi></li>
{% endfor %}</ul></details>{% endif %}</div>{% endif %}
{% if view.detected or view.undetected %}<div class="columns">
<div><h3>Detected differences</h3>
{% if view.detected %}<ul class="plain">{% for d in view.detected[:6] %}<li><bdi>{{ d.text }}</bdi></li>
{% endfor %}</ul>{% if view.detected | length > 6 %}<p class="note">and {{ view.detected | length - 6 }} more under <a href="#comparisons">Comparisons</a></p>{% endif %}
{% else %}<p class="note">{{ view.none_detected }}</p>{% endif %}</div>
<div><h3>Not detected</h3>
{% if view.undetected %}<ul class="plain quiet">{% for d in view.undetected[:6] %}<li><bdi>{{ d.text }}</bdi></li>
{% endfor %}</ul>{% if view.undetected | length > 6 %}<p class="note">and {{ view.undetected | length - 6 }} more under <a href="#comparisons">Comparisons</a></p>{% endif %}
{% else %}<p class="note">Every comparison found a difference.</p>{% endif %}</div>
</div>
<p class="note">Averages over prompts, paired by prompt; 95 % intervals in brackets. Detected: p below .05 after allowing for all lines ({{ view.error_rate }}). pp: percentage points.</p>{% endif %}
"""  # noqa: E501 — markup

HEADLINE: Section[None] = Section(
    "headline",
    console=_console,
    markdown=_markdown,
    page=PagePart(
        anchor="answers", link="Answers", heading=None, template=_TEMPLATE, view=_page_view
    ),
)
