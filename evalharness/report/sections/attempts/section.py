"""Errors and attempts: what failed and why, what was tried again, and the run over time."""

from __future__ import annotations

from typing import NamedTuple

from evalharness.analysis.distributions import Timeline, timeline
from evalharness.report.build.errors import AttemptCounts, ErrorCount, RetryCount, count_errors
from evalharness.report.html.charts.chart_parts import Chart
from evalharness.report.section import PageContext, PagePart, Section
from evalharness.report.sections.attempts.charts import timeline_charts
from evalharness.report.sections.settings.section import SETTINGS
from evalharness.report.words.format_numbers import count_text, duration, seconds


class AttemptsView(NamedTuple):
    """Errors and attempts on the page.

    Attributes:
        facts: names and values about the attempts; empty where none are known.
        errors: the label of a setting, and the errors of one cause.
        retries: the attempts that were tried again.
    """

    facts: list[tuple[str, str]]
    errors: list[tuple[str, ErrorCount]]
    retries: list[RetryCount]


def _view(context: PageContext) -> AttemptsView:
    report = context.report
    labels = {row.setting_id: row.label for row in report[SETTINGS]}
    return AttemptsView(
        facts=_attempt_facts(report[ATTEMPTS]),
        errors=[(labels.get(row.setting_id, row.setting_id), row) for row in report[ERRORS]],
        retries=report[ATTEMPTS].failed,
    )


def _attempt_facts(attempts: AttemptCounts) -> list[tuple[str, str]]:
    if not attempts.total:
        return []
    outcomes = ", ".join(f"{count:,} {name}" for name, count in attempts.outcomes.items())
    flight, queue = attempts.in_flight, attempts.queue_s
    rows = [
        ("HTTP attempts", f"{attempts.total:,} ({outcomes.replace('_', ' ')})"),
        ("Trials tried again", count_text(attempts.trials_retried)),
    ]
    if attempts.wait_s_total:
        rows.append(("Paused before retries", f"{duration(attempts.wait_s_total)} in all"))
    if flight.mean is not None:
        rows.append(("In flight", f"{flight.mean:.1f} on average, {flight.max} at most"))
    if queue.p50 is not None:
        wait = f"{seconds(queue.p50)} median, {seconds(queue.p95)} p95"
        rows.append(("Wait in our own queue", f"{wait} (not part of latency)"))
    return rows


def _charts(context: PageContext) -> list[Chart]:
    return timeline_charts(context.report[TIMELINE])


_TEMPLATE = """\
{% if view.facts %}<dl class="list">{% for name, value in view.facts %}<dt>{{ name }}</dt><dd>{{ value }}</dd>{% endfor %}</dl>{% else %}<p class="lead">No HTTP attempts are known: this run was imported.</p>{% endif %}
{% if view.errors %}<h3 class="spaced">Trials that ended in an error</h3><div class="scroll" tabindex="0"><table class="text"><thead><tr><th>setting</th><th>cause</th><th>HTTP</th><th class="number">trials</th><th>for instance</th></tr></thead><tbody>
{% for label, e in view.errors %}<tr><td><bdi>{{ label }}</bdi></td><td>{{ e.error_kind or 'unknown' }}</td><td>{{ e.http_status or '—' }}</td><td class="number">{{ e.count }}</td><td><bdi>{{ e.example or '—' }}</bdi></td></tr>
{% endfor %}</tbody></table></div>{% else %}<p class="note">No trial ended in an error.</p>{% endif %}
{% if view.retries %}<h3 class="spaced">Attempts that were tried again</h3><div class="scroll" tabindex="0"><table class="text"><thead><tr><th>cause</th><th>HTTP</th><th>outcome</th><th class="number">attempts</th><th>for instance</th></tr></thead><tbody>
{% for e in view.retries %}<tr><td>{{ e.error_kind or 'unknown' }}</td><td>{{ e.http_status or '—' }}</td><td>{{ e.outcome }}</td><td class="number">{{ e.count }}</td><td><bdi>{{ e.example or '—' }}</bdi></td></tr>
{% endfor %}</tbody></table></div>{% endif %}
{% if charts %}<div class="spaced">{{ m.figures(charts) }}</div>{% endif %}"""  # noqa: E501 — a row of a table is one line of the page

ERRORS: Section[list[ErrorCount]] = Section(
    "errors",
    list[ErrorCount],
    lambda context: count_errors(context.run_data.records),
    title="trials that ended in an error, by setting and cause, commonest first, at most fifty",
    page=PagePart(
        anchor="errors",
        link="Errors",
        heading="Errors and attempts",
        template=_TEMPLATE,
        view=_view,
        charts=_charts,
    ),
)
ATTEMPTS: Section[AttemptCounts] = Section(
    "attempts",
    AttemptCounts,
    lambda context: context.attempts.counts,
    title="HTTP attempts by outcome",
)
TIMELINE: Section[Timeline | None] = Section(
    "timeline",
    Timeline | None,
    lambda context: timeline(context.run_data.frame),
    stage="process",
    title="the run over time; null where no sending time is known",
)
