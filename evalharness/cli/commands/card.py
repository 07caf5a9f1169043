"""``evalharness card RUN…``: the support card of a run of ``experiment=card``, or of several."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated, NamedTuple

from evalharness.cli.parser import Command, Example, Option, Positional
from evalharness.errors import EXIT_OK, ConfigError
from evalharness.process.stdio import data_output


class CardOptions(NamedTuple):
    """The arguments of ``evalharness card``; ``json`` and ``html`` are paths as typed, or None."""

    run: Annotated[Sequence[str], Positional("RUN", "a run of experiment=card, by name or path")]
    json: Annotated[str | None, Option("the cards as JSON", "FILE")] = None
    html: Annotated[str | None, Option("the cards as one offline page", "FILE")] = None


def run(options: CardOptions) -> int:
    """Print the card of a run, or those of several side by side, as Markdown.

    Raises:
        ConfigError: none is named, or one is not of the experiment.
        RunNotFoundError: there is no such run.
    """
    from evalharness.card.build import build_cards, unanswered
    from evalharness.card.files import cards_json, cards_text
    from evalharness.card.html import card_page
    from evalharness.cli.output_files import write_page
    from evalharness.store.folder.run import Run
    from evalharness.store.folder.run_patterns import expand_runs

    if not options.run:
        raise ConfigError("card needs a run", hint="evalharness card card-local")
    cards = [card for name in expand_runs([*options.run]) for card in build_cards(Run.open(name))]
    lacking = unanswered(cards)
    if lacking:
        print(
            f"not all requests are sent; without them: {', '.join(dict.fromkeys(lacking))} "
            "(the same evalharness run sends the rest)",
            file=sys.stderr,
        )
    if options.json:
        write_page(options.json, cards_json(cards))
    if options.html:
        write_page(options.html, card_page(cards))
    data_output().write(cards_text(cards))
    return EXIT_OK


COMMAND = Command(
    "card",
    description="Says which parameters a server honours (temperature, seed, top_p, max_tokens, "
    "stop, n, logprobs, JSON schema, tools, streams, usage), each with its evidence. Several runs "
    "become one table.",
    examples=(
        Example("evalharness card card-local", "the page of one run"),
        Example("evalharness card card-a card-b card-c > cards.md", "a table of three"),
    ),
    options=CardOptions,
    run=run,
)
