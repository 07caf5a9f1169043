"""The card's files in the folder of its run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from evalharness.card.build import Card, build_cards
from evalharness.card.html import card_page
from evalharness.card.markdown import card_markdown, comparison_markdown
from evalharness.report.json import as_json_text
from evalharness.store.folder.durable_files import write_bytes_durably
from evalharness.store.folder.run import Run

MARKDOWN, HTML, JSON = "card.md", "card.html", "card.json"


def cards_text(cards: Sequence[Card]) -> str:
    """One card as its page of Markdown, several as a table."""
    return card_markdown(cards[0]) if len(cards) == 1 else comparison_markdown(cards)


def cards_json(cards: Sequence[Card]) -> str:
    """The cards as JSON, in a list."""
    return as_json_text({"cards": list(cards)})


def write_card(run: Run) -> Path:
    """Write the card of a run into its folder; returns the Markdown file.

    Raises:
        ConfigError: it is no card run.
    """
    cards = build_cards(run)
    for name, text in (
        (MARKDOWN, cards_text(cards)),
        (HTML, card_page(cards)),
        (JSON, cards_json(cards)),
    ):
        write_bytes_durably(run.root / name, text.encode("utf-8", "backslashreplace"))
    return run.root / MARKDOWN
