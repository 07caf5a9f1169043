"""Common English words of five letters, each one token behind a space in most vocabularies.

Equal lengths make prompts of equal numbers of words alike for servers that count characters, too.
"""

from __future__ import annotations

import random

_LINES = (
    "about above after again along began being below black bring brown build carry catch",
    "cause chair clean clear close cover cross dance dream drink drive early earth enter",
    "equal every exact field floor fresh front fruit glory grand grass great green group",
    "happy heavy horse house large laugh learn least leave level light local lunch match",
    "metal minor money month mouth music never night noise north offer often order other",
    "paint paper peace phone piece place plain plane plant plate point power press price",
    "print prize quick quiet radio raise reach ready right river round scale scene sense",
    "serve seven shape share sharp sheet shirt short skill sleep small smart smile solid",
    "sound south space speak spend sport staff stage stand start state steel stick stone",
    "store storm story study style sugar sweet table taste teach thank thick think third",
    "three throw title today total touch tower track trade train truth uncle under value",
    "video visit voice watch water wheel where which white whole woman world worth write",
    "young youth",
)
WORDS: tuple[str, ...] = tuple(word for line in _LINES for word in line.split())


def draw_words(draw: random.Random, count: int) -> str:
    """So many words, each with a space behind it."""
    return "".join(f"{WORDS[int(draw.random() * len(WORDS))]} " for _ in range(count))
