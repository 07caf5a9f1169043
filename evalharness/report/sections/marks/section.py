"""The marks of people: counts, score, and agreement with scorers, judges and each other."""

from __future__ import annotations

from evalharness.process.text import plural
from evalharness.report.build.context import BuildContext
from evalharness.report.section import ConsolePart, PageContext, PagePart, ReportData, Section
from evalharness.report.sections.marks.marks_summary import (
    MarksAgreement,
    MarksSummary,
    summarise_marks,
)
from evalharness.report.words.format_numbers import DASH, percent, share_interval
from evalharness.report.words.markdown_text import bullet_list
from evalharness.report.words.sanitize import one_line

_MAX_NAME = 60
_MAX_SHOWN = 20  # agreements; the JSON has all


def _build(context: BuildContext) -> MarksSummary | None:
    return summarise_marks(context.run_data)


def marks_lines(summary: MarksSummary) -> list[str]:
    """The marks in sentences; the first counts them."""
    if summary.damage is not None:
        return [f"annotations.parquet {summary.damage}; its marks are not counted"]
    lines = [_counts(summary)]
    if summary.score is not None:
        interval = share_interval(summary.score_ci95)
        lines.append(
            f"score by the marks {percent(summary.score)} {interval}".rstrip()
            + f" over {plural(summary.score_prompts, 'prompt')}"
        )
    shown = summary.agreement[:_MAX_SHOWN]
    lines += [agreement_line(agreement) for agreement in shown]
    if len(summary.agreement) > len(shown):
        lines.append(f"{len(summary.agreement) - len(shown)} more comparisons in --json")
    return lines


def _counts(summary: MarksSummary) -> str:
    readers = plural(len(summary.readers), "reader")
    parts = [f"{summary.passed} pass", f"{summary.failed} fail"]
    parts += [f"{summary.split} undecided"] if summary.split else []
    parts += [f"{summary.errors} of errors, which have no score"] if summary.errors else []
    outside = f"; {summary.outside} of records not reported" if summary.outside else ""
    where = f"{plural(summary.records, 'record')} of {plural(summary.prompts, 'prompt')}"
    return f"marks of {where} by {readers}: {', '.join(parts)}{outside}"


def agreement_line(of: MarksAgreement) -> str:
    """How far two raters agree, in a sentence."""
    a, b = one_line(of.a, _MAX_NAME), one_line(of.b, _MAX_NAME)
    who = {
        "scorer": f"marks and scorer {b}",
        "judge": f"marks and judge {b}",
        "reader": f"readers {a} and {b}",
    }[of.kind]
    if not of.n:
        return f"{who}: no record has both"
    agree = f"{percent(of.agreement)} {share_interval(of.agreement_ci95)}".rstrip()
    cut = f"; {plural(of.cut, 'score')} between 0 and 1, from 0.5 on a pass" if of.cut else ""
    return (
        f"{who} agree on {agree} of {plural(of.n, 'record')} of {plural(of.prompts, 'prompt')}; "
        f"{kappa_text(of)}; {of.both_pass} pass by both, {of.only_a_passes} by {a} alone, "
        f"{of.only_b_passes} by {b} alone, {of.both_fail} fail by both{cut}"
    )


def kappa_text(of: MarksAgreement) -> str:
    """Cohen's kappa with its interval."""
    if of.kappa is None:
        return f"Cohen's kappa {DASH}, for both say the same of all"
    ends = of.kappa_ci95
    interval = "" if ends is None else f" [{ends[0]:.2f}, {ends[1]:.2f}]"
    return f"Cohen's kappa {of.kappa:.2f}{interval}"


def _console(report: ReportData, _: int) -> ConsolePart:
    summary = report[MARKS]
    if summary is None:
        return ConsolePart([])
    return ConsolePart(["Marks", *(f"  {line}" for line in marks_lines(summary))])


def _markdown(report: ReportData) -> list[str]:
    summary = report[MARKS]
    return [] if summary is None else [f"**Marks**\n\n{bullet_list(marks_lines(summary))}"]


def _view(context: PageContext) -> list[str] | None:
    summary = context.report[MARKS]
    return None if summary is None else marks_lines(summary)


_TEMPLATE = """\
<ul class="plain quiet">{% for line in view %}<li><bdi>{{ line }}</bdi></li>{% endfor %}</ul>
"""

MARKS: Section[MarksSummary | None] = Section(
    "marks",
    MarksSummary | None,
    _build,
    title="what people said of records, and how far scorers, judges and readers agree; null where "
    "nobody said anything",
    console=_console,
    markdown=_markdown,
    page=PagePart(anchor="marks", link="Marks", heading="Marks", template=_TEMPLATE, view=_view),
)
