"""The emulator's language: a small grammar of word classes, as a Markov chain.

Each state offers words; each word leads to a state. The chain always reaches the end of a text, and
every text it makes is a run of plain English sentences. Words are tokens: they carry their leading
space, and the full stop and comma are tokens of their own, as in real vocabularies.
"""

from __future__ import annotations

import math
import random

import msgspec

VARIANTS = 64  # sets of logits of a state's words; what came before selects one
END = -1  # the state after the end of the text
END_TOKEN = "<|endoftext|>"  # noqa: S105 - a token of text, not of access

# state: (words separated by "|", weight of the group, next state); weights are relative.
_GRAMMAR: dict[str, list[tuple[str, float, str]]] = {
    "open": [
        ("The|A|Each|One|Every|This|Our|Another", 1.0, "adjective"),
        ("Usually|Often|Sometimes|Finally|Still|Later", 0.4, "comma"),
    ],
    "comma": [(",", 1.0, "determiner")],
    "determiner": [(" the| a| each| this| our| one| every| another", 1.0, "adjective")],
    "adjective": [
        (
            (
                " small| quiet| careful| new| bright| simple| steady| second| local| early| warm"
                "| common| patient| narrow| modern| large"
            ),
            1.0,
            "noun",
        ),
        (" river| teacher| engine| market| letter| number| garden| question", 0.8, "verb"),
    ],
    "noun": [
        (
            (
                " river| teacher| engine| market| letter| number| garden| question| model| student"
                "| village| bridge| sample| window| sailor| method| machine| forest| answer| team"
            ),
            1.0,
            "verb",
        )
    ],
    "verb": [
        (
            (
                " follows| shows| changes| carries| measures| explains| needs| finds| keeps"
                "| repeats| describes| joins| reaches| improves| guides| supports| leaves| covers"
            ),
            1.0,
            "object",
        ),
        (" slowly| quickly| clearly| rarely| always", 0.3, "verb_after_adverb"),
    ],
    "verb_after_adverb": [
        (
            " follows| shows| changes| carries| explains| finds| keeps| reaches| improves",
            1.0,
            "object",
        )
    ],
    "object": [(" the| a| its| every| another| some", 1.0, "object_noun")],
    "object_noun": [
        (
            (
                " road| pattern| result| story| price| signal| field| house| reason| lesson| value"
                "| plan| record| map| promise| choice| song| harbour| morning| difference"
            ),
            1.0,
            "tail",
        ),
        (" clear| long| useful| certain| familiar| distant| final", 0.6, "object_bare_noun"),
    ],
    "object_bare_noun": [
        (
            (
                " road| pattern| result| story| price| signal| field| house| reason| lesson| value"
                "| plan| record| map| promise| choice| song| harbour| difference"
            ),
            1.0,
            "tail",
        )
    ],
    "tail": [
        (".", 3.0, "end_1"),
        (" because| while| and| when| although| so", 0.5, "determiner"),
        (" near| after| with| before| without| across", 0.6, "place"),
    ],
    "place": [(" the| a| our| every", 1.0, "place_noun")],
    "place_noun": [
        (
            (
                " station| winter| coast| meeting| school| storm| valley| library| journey| evening"
                "| mountain| test| window| bridge"
            ),
            1.0,
            "stop",
        )
    ],
    "stop": [(".", 4.0, "end_1"), (",", 0.5, "clause")],
    "clause": [(" and| but| so| yet", 1.0, "determiner")],
}
# Weight of ending the text after a sentence, against the words that open another one.
_END_WEIGHT = 5.0


class GrammarState(msgspec.Struct, frozen=True):
    """One state of the chain: its words, where each leads, and their logits by variant."""

    tokens: list[str]
    next_states: list[int]
    logits: list[list[float]]  # [variant][word], natural logarithms


class Grammar(msgspec.Struct, frozen=True):
    """The whole chain; ``start`` is the state a text begins in."""

    states: list[GrammarState]
    start: int


def build_grammar() -> Grammar:
    """The chain with its logits. The same on every machine: the seeds are the states' names."""
    names = [*_GRAMMAR, "end_1"]
    index = {name: i for i, name in enumerate(names)}
    states = [
        _state(name, [(w, x, index[after]) for w, x, after in groups])
        for name, groups in _GRAMMAR.items()
    ]
    spaced = [
        ("|".join(f" {word}" for word in words.split("|")), weight, index[after])
        for words, weight, after in _GRAMMAR["open"]
    ]
    states.append(_state("end_1", [(END_TOKEN, _END_WEIGHT, END), *spaced]))
    return Grammar(states, index["open"])


def _state(name: str, groups: list[tuple[str, float, int]]) -> GrammarState:
    tokens: list[str] = []
    next_states: list[int] = []
    base: list[float] = []
    for words, weight, after in groups:
        group = [END_TOKEN] if words == END_TOKEN else words.split("|")
        for rank, word in enumerate(group):
            tokens.append(word)
            next_states.append(after)
            # Within a group, as in a language, few words are common and many are rare.
            base.append(math.log(weight) - 0.35 * math.log1p(rank))
    rng = random.Random(f"evalharness emulator {name}")
    logits = [[logit + rng.gauss(0.0, 1.1) for logit in base] for _ in range(VARIANTS)]
    return GrammarState(tokens, next_states, logits)
