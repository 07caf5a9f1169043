"""Cards as one offline page of HTML."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

from evalharness.card.build import Card
from evalharness.card.markdown import (
    card_facts,
    column_names,
    comparison_rows,
    notes,
    rows,
)

_STYLE = """
:root { color-scheme: light dark }
body { font: 16px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem }
tr { border-bottom: 1px solid #8886 }
th { position: sticky; top: 0; background: Canvas }
td:nth-child(2) { font-weight: 600 }
code { font-size: .85em; overflow-wrap: anywhere }
"""
_HEADINGS = ("check", "verdict", "evidence", "share [95 % interval]", "answered")


def card_page(cards: Sequence[Card]) -> str:
    """One card as a page, or several side by side."""
    if len(cards) == 1:
        card = cards[0]
        title = f"Support card: {card.model} at {card.provider}"
        facts = "".join(f"<li>{escape(n)}: {_inline(v)}</li>" for n, v in card_facts(card))
        body = f"<ul>{facts}</ul>" + _table(_HEADINGS, rows(card))
    else:
        title = "Support cards compared"
        body = _table(("", *column_names(cards)), comparison_rows(cards))
    shown_notes = "".join(f"<p>{_inline(note)}</p>" for note in notes(cards) if note)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body><h1>{escape(title)}</h1>{body}{shown_notes}</body></html>\n"
    )


def _table(headings: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(heading)}</th>" for heading in headings)
    lines = "".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in cells
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>"


def _inline(markdown: str) -> str:
    """An escaped line of Markdown with code and bold as HTML."""
    text = re.sub(r"\\([\\`*_\[#|~$])", lambda match: f"&#{ord(match[1])};", markdown)
    text = re.sub(r"`([^`]*)`", r"<code>\1</code>", text)
    return re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", text)
