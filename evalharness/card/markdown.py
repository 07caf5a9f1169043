"""Cards as Markdown: one page, or a table of several side by side."""

from __future__ import annotations

from collections.abc import Sequence

from evalharness.card.build import Card
from evalharness.card.result import CheckFigure, CheckResult
from evalharness.report.words.markdown_text import escape_text

_NO_DATE = "not recorded"


def card_markdown(card: Card) -> str:
    """The page of one card."""
    lines = [
        f"# Support card: {escape_text(card.model)} at {escape_text(card.provider)}",
        "",
        *(f"- {name}: {value}" for name, value in card_facts(card)),
        "",
        *table(("check", "verdict", "evidence", "share [95 % interval]", "answered"), rows(card)),
        "",
        *notes([card]),
    ]
    return "\n".join(lines) + "\n"


def rows(card: Card) -> list[tuple[str, ...]]:
    """The rows of the card's table, as plain text."""
    return [
        (check.title, check.verdict, check.evidence, _shares(check), _answered(check))
        for check in card.checks
    ]


def comparison_markdown(cards: Sequence[Card]) -> str:
    """A table of several cards: a column each."""
    lines = [
        "# Support cards compared",
        "",
        *table(("", *column_names(cards)), comparison_rows(cards)),
        "",
        *notes(cards),
    ]
    return "\n".join(lines) + "\n"


def comparison_rows(cards: Sequence[Card]) -> list[tuple[str, ...]]:
    """The rows of the comparison: first what was asked, then a row each check."""
    facts: list[tuple[str, ...]] = [
        ("model", *(card.model for card in cards)),
        ("recorded", *(_date(card) for card in cards)),
        ("protocol", *(_protocol_text(card) for card in cards)),
    ]
    titles = dict.fromkeys(check.title for card in cards for check in card.checks)
    by_card = [{check.title: check for check in card.checks} for card in cards]
    return facts + [
        (title, *(_cell(checks[title]) if title in checks else "—" for checks in by_card))
        for title in titles
    ]


def column_names(cards: Sequence[Card]) -> list[str]:
    """A name for each card: the provider where that is enough, else the run."""
    providers = [card.provider for card in cards]
    if len(set(providers)) == len(providers):
        return providers
    return [f"{card.provider} ({card.run})" for card in cards]


def card_facts(card: Card) -> list[tuple[str, str]]:
    """What a card was made from, as names and Markdown values."""
    models = ", ".join(card.response_models) or "not delivered"
    params = ", ".join(f"{name}={value}" for name, value in card.params.items())
    return [
        ("endpoint", escape_text(card.endpoint)),
        ("model in the responses", escape_text(models)),
        ("run", f"{escape_text(card.run)}, {card.records} records, {_date(card)}"),
        (
            "sent with every request, unless its check sends another",
            escape_text(params) or "nothing",
        ),
        ("protocol", f"{_protocol_text(card)}, hash `{card.protocol_hash or 'unknown'}`"),
        ("rules", f"evalharness {card.code_version}, hash `{card.code_hash}`"),
        ("data", f"hash `{card.data_hash}`"),
    ]


def notes(cards: Sequence[Card]) -> list[str]:
    """What a reader must know of these cards."""
    out = [
        "Verdicts and their rules: docs/card.md; words: docs/glossary.md. Shares are of answers, "
        "or of pairs of answers to one prompt; the prompt is the unit of every interval."
    ]
    out += [
        f"**{escape_text(card.run)}: {card.changed_requests} prompts are not those of the "
        "protocol; its verdicts are not comparable with other cards.**"
        for card in cards
        if card.changed_requests
    ]
    if len({card.protocol_version for card in cards}) > 1:
        out.append(
            "**The cards have different versions of the protocol: a difference between them may be "
            "one of the requests.**"
        )
    if len({card.code_hash for card in cards}) > 1:
        out.append("**The cards were made by different rules.**")
    if len({tuple(map(str, card.params.items())) for card in cards}) > 1:
        out.append("**The runs send different parameters with every request.**")
    return [line for note in out for line in (note, "")][:-1]


def table(headings: Sequence[str], cells: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table of left-aligned cells, escaped and not cut."""
    width = 600
    return [
        f"| {' | '.join(headings)} |",
        "|" + "---|" * len(headings),
        *(f"| {' | '.join(escape_text(cell, width) for cell in row)} |" for row in cells),
    ]


def _date(card: Card) -> str:
    if card.first_sent is None or card.last_sent is None:
        return _NO_DATE
    first, last = card.first_sent[:10], card.last_sent[:10]
    return first if first == last else f"{first} to {last}"


def _protocol_text(card: Card) -> str:
    changed = f", {card.changed_requests} prompts changed" if card.changed_requests else ""
    return f"version {card.protocol_version}{changed}"


def _answered(check: CheckResult) -> str:
    return f"{check.answered} of {check.requests}"


def _shares(check: CheckResult) -> str:
    return "; ".join(map(share_text, check.figures[:2]))


def share_text(figure: CheckFigure) -> str:
    """A share with its interval, in percent."""
    if figure.low is None or figure.high is None:
        return f"{figure.share:.0%} [unknown]"
    return f"{figure.share:.0%} [{figure.low:.0%}, {figure.high:.0%}]"


def _cell(check: CheckResult) -> str:
    """A verdict with the count behind it, or with its reason."""
    if not check.figures:
        return check.verdict
    figure = check.figures[0]
    return f"{check.verdict} ({figure.count}/{figure.n})"
