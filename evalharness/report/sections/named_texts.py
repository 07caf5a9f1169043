"""The values that are shown by a name: their files and hashes, the texts, and how these differ."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from evalharness.analysis.data.join_runs import JoinedRuns
from evalharness.report.build.context import BuildContext
from evalharness.report.build.named_texts import (
    NamedText,
    NamedTexts,
    TextDifference,
    named_texts,
    origin,
    shortened,
)
from evalharness.report.html.excerpts import Excerpt, Piece, excerpt
from evalharness.report.section import ConsolePart, PageContext, PagePart, ReportData, Section
from evalharness.report.words.markdown_text import escape_text
from evalharness.report.words.sanitize import one_line, printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

_MAX_SHOWN = 12  # texts, and differences
_MAX_CHARS = 1_500  # of a text on a terminal and on the page
_MAX_NAME = 60
_MARKS = {"same": ("", "", ""), "removed": ("[-", "-]", "red"), "added": ("{+", "+}", "green")}
_MARKDOWN_MARKS = {"same": "", "removed": "~~", "added": "**"}


def _build(context: BuildContext) -> NamedTexts:
    return named_texts(JoinedRuns.of({"": context.run_data.frame}))


def _line(text: NamedText) -> str:
    return f"{text.axis} {one_line(text.name, _MAX_NAME)}: {one_line(origin(text), 200)}"


def _more(texts: NamedTexts) -> list[str]:
    left = len(texts.values) - _MAX_SHOWN
    return [f"and {left} more"] if left > 0 else []


# ── console ──────────────────────────────────────────────────────────────────────────────────────


def _console(report: ReportData, _: int) -> ConsolePart:
    texts = report[NAMED_TEXTS]
    if not texts.values:
        return ConsolePart([])
    lines = [f"  {_line(text)}" for text in texts.values[:_MAX_SHOWN]]
    return ConsolePart(["Names", *lines, *(f"  {line}" for line in _more(texts))])


def print_texts(texts: NamedTexts, console: Console | None = None) -> None:
    """Print the texts of ``compare``, two of an axis side by side, and once how they differ."""
    from rich.table import Table
    from rich.text import Text

    from evalharness.report.console.printing import console_for_report

    console = console or console_for_report()
    for _, group in groupby(texts.values, key=lambda text: text.axis):
        shown = list(group)[:_MAX_SHOWN]
        for pair in (shown[at : at + 2] for at in range(0, len(shown), 2)):
            table = Table(box=None, padding=(0, 4, 0, 0), width=console.width, show_header=False)
            for _text in pair:
                table.add_column(ratio=1, overflow="fold")
            table.add_row(*(Text(printable(_title(text)), style="bold") for text in pair))
            table.add_row(*(Text(printable(origin(text)), style="dim") for text in pair))
            table.add_row(*(Text(_cut(text)) for text in pair))
            console.print()
            console.print(table)
    for difference in texts.differences[:_MAX_SHOWN]:
        console.print()
        console.print(_console_difference(difference))


def _title(text: NamedText) -> str:
    return f"{text.axis} {text.name}{_of_runs(text.runs)}"


def _of_runs(runs: Sequence[str]) -> str:
    return f" ({', '.join(runs)})" if runs else ""


def _cut(text: NamedText) -> str:
    shown = printable(text.text[:_MAX_CHARS])
    left = text.chars - _MAX_CHARS
    return f"{shown} … {left:,} more characters" if left > 0 else shown


def _console_difference(difference: TextDifference) -> Text:
    from rich.text import Text

    names = (
        f"{difference.axis}, word by word: [-{difference.b}{_of_runs(difference.b_runs)}-] "
        f"{{+{difference.a}{_of_runs(difference.a_runs)}+}}\n"
    )
    line = Text(printable(names), style="dim")
    for piece in shortened(difference.pieces):
        before, after, style = _MARKS[piece.kind]
        line.append(f"{before}{printable(piece.text)}{after}", style=style or "not dim")
    return line


# ── Markdown ─────────────────────────────────────────────────────────────────────────────────────


def _markdown(report: ReportData) -> list[str]:
    texts = report[NAMED_TEXTS]
    if not texts.values:
        return []
    lines = [f"- {escape_text(_line(text))}" for text in texts.values[:_MAX_SHOWN]]
    lines += [f"- {line}" for line in _more(texts)]
    lines += [
        f"- {escape_text(f'{d.axis} {d.a} against {d.b}')}: {_markdown_pieces(d.pieces)}"
        for d in texts.differences[:_MAX_SHOWN]
    ]
    return ["**Names** (~~only in the first~~, **only in the other**)\n\n" + "\n".join(lines)]


def _markdown_pieces(pieces: Sequence[Piece]) -> str:
    parts: list[str] = []
    for piece in shortened(pieces):
        bare = piece.text.strip()
        mark = _MARKDOWN_MARKS[piece.kind] if bare else ""
        parts.append(f"{mark}{escape_text(bare)}{mark}")  # a mark next to a space marks nothing
    return " ".join(part for part in parts if part)


# ── page ─────────────────────────────────────────────────────────────────────────────────────────


class TextView(NamedTuple):
    """A named text as the page shows it."""

    title: str
    origin: str
    text: Excerpt


class DifferenceView(NamedTuple):
    """Two texts word by word, as the page shows them."""

    axis: str
    a: str
    b: str
    pieces: list[Piece]


class TextsView(NamedTuple):
    """What the page shows, and how many texts it leaves out."""

    texts: list[TextView]
    differences: list[DifferenceView]
    more: int


def _page_view(context: PageContext) -> TextsView | None:
    texts = context.report[NAMED_TEXTS]
    if not texts.values:
        return None
    return TextsView(
        [
            TextView(
                _title(text), origin(text), excerpt(text.text, None, text.chars, after=_MAX_CHARS)
            )
            for text in texts.values[:_MAX_SHOWN]
        ],
        [
            DifferenceView(d.axis, d.a, d.b, shortened(d.pieces))
            for d in texts.differences[:_MAX_SHOWN]
        ],
        max(0, len(texts.values) - _MAX_SHOWN),
    )


_TEMPLATE = """\
<p class="lead">What stands behind the names of values: where it was read from, and the hash of the file or value.</p>
<div class="pair">
{% for t in view.texts %}<div class="variant"><div class="who"><b><bdi>{{ t.title }}</bdi></b> <small><bdi>{{ t.origin }}</bdi></small></div>
<div class="said" dir="auto">{{ m.text(t.text, false) }}</div></div>
{% endfor %}</div>
{% for d in view.differences %}<p class="kicker words">{{ d.axis }} word by word: <del><bdi>{{ d.b }}</bdi></del> against <ins><bdi>{{ d.a }}</bdi></ins></p>
<div class="said" dir="auto">{% for piece in d.pieces %}{% if piece.kind == 'same' %}{{ piece.text }}{% elif piece.kind == 'removed' %}<del>{{ piece.text }}</del>{% else %}<ins>{{ piece.text }}</ins>{% endif %}{% endfor %}</div>
{% endfor %}
{% if view.more %}<p class="note">{{ view.more }} more: <code>evalharness report {{ run_name }} --json</code></p>{% endif %}"""  # noqa: E501

NAMED_TEXTS: Section[NamedTexts] = Section(
    "named_texts",
    NamedTexts,
    _build,
    title="the values that are shown by a name: file, hash, text, and how texts differ",
    console=_console,
    markdown=_markdown,
    page=PagePart(
        anchor="names", link="Names", heading="Names", template=_TEMPLATE, view=_page_view
    ),
)
