"""What the run cost, by which prices, and cost against score, for every output form."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from evalharness.report.build.context import BuildContext
from evalharness.report.build.money import Money, PricesUsed, prices_used, run_money
from evalharness.report.html.charts.chart_parts import Chart
from evalharness.report.section import ConsolePart, PageContext, PagePart, ReportData, Section
from evalharness.report.sections.distributions.section import DISTRIBUTIONS
from evalharness.report.sections.money.money_tables import money_tables
from evalharness.report.sections.money.money_text import money_lines
from evalharness.report.sections.money.tradeoff_chart import tradeoff_charts
from evalharness.report.sections.settings.section import SETTINGS
from evalharness.report.words.markdown_text import bullet_list, markdown_table
from evalharness.report.words.plain_table import PlainTable

if TYPE_CHECKING:
    from rich.console import RenderableType

# Rows of each table; the JSON has all.
_MAX_CONSOLE_ROWS = 8
_MAX_MARKDOWN_ROWS = 10
_MAX_PAGE_ROWS = 50

PRICES: Section[PricesUsed] = Section(
    "prices",
    PricesUsed,
    lambda context: prices_used(context.run_data.costs, context.run_data.book),
    title="prices that costs were computed with",
)


def _build(context: BuildContext) -> Money:
    run_data = context.run_data
    return run_money(
        run_data.frame,
        run_data.costs,
        run_data.book,
        prompts=run_data.prompts,
        attempts=context.attempts.spending,
        settings=SETTINGS.of(context),
        volume=context.source.overrides.volume,
    )


def _console(report: ReportData, width: int) -> ConsolePart:
    """Sentences, then tables by setting, model, tag and prompt."""
    from evalharness.report.console.table_layout import fit_plain_table

    lines = money_lines(report[MONEY], report[PRICES])
    tables = money_tables(report[MONEY], brief=True, max_rows=_MAX_CONSOLE_ROWS)
    if not lines and not tables:
        return ConsolePart([])
    items: list[str | RenderableType] = ["Money", *(f"  {line}" for line in lines)]
    for table in tables:
        items += fit_plain_table(table, width)
        if table.more:
            items.append(
                f"  and {table.more} more: evalharness report {report.run_argument} --json"
            )
    return ConsolePart(items)


def _markdown(report: ReportData) -> list[str]:
    lines = money_lines(report[MONEY], report[PRICES])
    tables = money_tables(report[MONEY], brief=True, max_rows=_MAX_MARKDOWN_ROWS)
    if not lines and not tables:
        return []
    listed = [bullet_list(lines)] if lines else []
    return ["**Money**", *listed, *(_markdown_table(table) for table in tables)]


def _markdown_table(table: PlainTable) -> str:
    more = f"\n\nand {table.more} more in the HTML report" if table.more else ""
    return markdown_table(table.headings, table.rows) + more


class MoneyView(NamedTuple):
    """What the page shows beside the plot."""

    lines: list[str]
    tables: list[PlainTable]


def _page_view(context: PageContext) -> MoneyView | None:
    report = context.report
    lines = money_lines(report[MONEY], report[PRICES])
    tables = money_tables(report[MONEY], brief=False, max_rows=_MAX_PAGE_ROWS)
    return MoneyView(lines, tables) if lines or tables else None


def _charts(context: PageContext) -> list[Chart]:
    return tradeoff_charts(context.report[SETTINGS], context.report[DISTRIBUTIONS])


_TEMPLATE = """\
{% if charts %}<p class="lead">Up and to the left is better; so is a stronger colour.</p>
{{ m.figures(charts) }}{% endif %}
{% if view %}{% if view.lines %}<h3>Money</h3><ul class="plain">{% for line in view.lines %}<li><bdi>{{ line }}</bdi></li>{% endfor %}</ul>{% endif %}
{{ m.plain(view.tables, run_argument) }}{% endif %}"""  # noqa: E501

MONEY: Section[Money] = Section(
    "money",
    Money,
    _build,
    stage="fork",
    console=_console,
    markdown=_markdown,
    page=PagePart(
        anchor="tradeoffs",
        link="Trade-offs",
        heading="Trade-offs and money",
        template=_TEMPLATE,
        view=_page_view,
        charts=_charts,
    ),
    title="what the run cost, and what for",
)
