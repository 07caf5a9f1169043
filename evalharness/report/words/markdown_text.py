"""Texts and tables as GitHub-flavoured Markdown.

Names that come from outside are escaped, so that they start no markup, mention nobody and link
nowhere.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from evalharness.report.words.sanitize import one_line

# Emphasis, code, links, tables, issue references, mathematics; and what begins a block.
_SPECIAL = re.compile(r"([\\`*_\[#|~$])")
_BLOCK = re.compile(r"^(?:[>=]|[-+](?=\s|$)|\d+[.)](?=\s|$))")


def escape_text(text: str, width: int = 500) -> str:
    """Escape a text to one line that Markdown shows literally."""
    flat = _SPECIAL.sub(r"\\\1", one_line(text, width))
    flat = _BLOCK.sub(lambda match: f"\u200b{match[0]}", flat)
    flat = flat.replace("&", "&amp;").replace("<", "&lt;").replace("@", "&#64;")
    return flat.replace("://", "&#58;//").replace("www.", "www&#46;").replace("\u200b", "&#8203;")


def markdown_table(
    headings: Sequence[str], rows: Sequence[Sequence[str]], text_headings: Sequence[str] = ()
) -> str:
    """A table whose first column is a name; all others but ``text_headings`` are right-aligned."""
    lines = [
        f"| {' | '.join(escape_text(heading.replace(chr(10), ' ')) for heading in headings)} |",
        "|---|" + "".join("---|" if h in text_headings else "---:|" for h in headings[1:]),
        *(f"| {' | '.join(escape_text(cell, 80) for cell in row)} |" for row in rows),
    ]
    return "\n".join(lines)


def bullet_list(lines: Sequence[str], limit: int | None = None) -> str:
    """One item a line, escaped; what is beyond ``limit`` items is counted."""
    items = [f"- {escape_text(line)}" for line in lines[:limit]]
    more = len(lines) - len(items)
    return "\n".join([*items, *([f"- and {more} more in the HTML report"] if more else [])])
