"""Texts: a walk along the chain of :mod:`.grammar`, one sampled token after another."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable

import msgspec

from evalharness.emulator.text import grammar
from evalharness.emulator.text.grammar import END, VARIANTS
from evalharness.emulator.text.sampling import Distribution, distribution

LONGEST = 512  # tokens of a text that nobody limits
_KEPT_SETTINGS = 64


class Sampling(msgspec.Struct, frozen=True):
    """The parameters that shape a distribution."""

    temperature: float = 1.0
    top_p: float = 1.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0

    @property
    def penalised(self) -> bool:
        """Whether the text so far changes the distribution."""
        return bool(self.frequency_penalty or self.presence_penalty)


class Token(msgspec.Struct, frozen=True, gc=False):
    """One token with the natural logarithm of its probability, and the likeliest at its place."""

    text: str
    logprob: float
    top: list[tuple[str, float]] = []


class Node(msgspec.Struct, frozen=True, gc=False):
    """A state in one variant, at one sampling: a distribution with its words in order of rank."""

    dist: Distribution
    cumulative: list[float]
    words: list[str]
    following: list[int]
    marks: list[int]  # a number for each word, which the next word's variant depends on

    @classmethod
    def of(cls, place: int, state: grammar.State, dist: Distribution) -> Node:
        """The node of a state's distribution."""
        return cls(
            dist,
            dist.cumulative,
            [state.tokens[i] for i in dist.order],
            [state.following[i] for i in dist.order],
            [(place * 64 + i) * 40503 for i in dist.order],
        )


class Walk(msgspec.Struct):
    """A text as it was sampled: its words, and at each the node and the rank drawn."""

    words: list[str]
    steps: list[tuple[Node, int]]
    finished: bool  # False: cut at the limit

    def tokens(self, top: int) -> list[Token]:
        """The words with their logprobs and the ``top`` likeliest candidates at each place."""
        return [
            Token(
                node.words[rank],
                node.dist.logprobs[rank],
                list(zip(node.words[:top], node.dist.logprobs[:top], strict=True)),
            )
            for node, rank in self.steps
        ]


class Model:
    """The chain with a memory of the distributions it has worked out."""

    def __init__(self) -> None:
        language = grammar.build()
        self._states = language.states
        self._start = language.start
        self._worked_out: dict[tuple[float, float], list[Node | None]] = {}

    def walk(
        self,
        topic: int,
        sampling: Sampling,
        draw: Callable[[], float],
        limit: int,
        *,
        exactly: bool = False,
        diverge_at: int | None = None,
    ) -> Walk:
        """Sample a text of at most ``limit`` tokens.

        Args:
            topic: 64-bit hash of everything asked; other topics, other texts.
            sampling: the parameters of the distribution.
            draw: uniform numbers in [0, 1); not called at temperature 0.
            limit: most tokens.
            exactly: go on until the limit, starting a new sentence where the text would end.
            diverge_at: position at which the second most likely word is said instead of the word
                drawn, where there is a second.
        """
        known = self._table(sampling)
        penalised, greedy = sampling.penalised, not sampling.temperature
        words: list[str] = []
        steps: list[tuple[Node, int]] = []
        place, mark, seen = self._start, 0, Counter[str]()
        for i in range(limit):
            # What is likely here depends on the topic, the place in the text and the last word, so
            # that texts which have once diverged stay apart.
            variant = ((topic >> (i & 31)) ^ (mark + i * 40961)) % VARIANTS
            if penalised:
                node = self._penalised(place, variant, sampling, seen)
            else:
                node = known[place * VARIANTS + variant] or self._node(
                    known, place, variant, sampling
                )
            rank = 0 if greedy else bisect_right(node.cumulative, draw())
            if i == diverge_at:
                rank = 1 if rank == 0 and len(node.words) > 1 else 0
            if node.following[rank] == END:
                if not exactly:
                    return Walk(words, steps, finished=True)
                rank = next(r for r, after in enumerate(node.following) if after != END)
            word = node.words[rank]
            words.append(word)
            steps.append((node, rank))
            if penalised:
                seen[_bare(word)] += 1
            place, mark = node.following[rank], node.marks[rank]
        return Walk(words, steps, finished=exactly)

    def _node(self, known: list[Node | None], place: int, variant: int, sampling: Sampling) -> Node:
        state = self._states[place]
        dist = distribution(state.logits[variant], sampling.temperature, sampling.top_p)
        node = Node.of(place, state, dist)
        known[place * VARIANTS + variant] = node
        return node

    def _penalised(self, place: int, variant: int, sampling: Sampling, seen: Counter[str]) -> Node:
        """OpenAI's formula: logit − count · frequency_penalty − [count > 0] · presence_penalty."""
        state = self._states[place]
        logits = list(state.logits[variant])
        for i, word in enumerate(state.tokens):
            count = seen[_bare(word)]
            if count:
                logits[i] -= count * sampling.frequency_penalty + sampling.presence_penalty
        dist = distribution(logits, sampling.temperature, sampling.top_p)
        return Node.of(place, state, dist)

    def _table(self, sampling: Sampling) -> list[Node | None]:
        key = (sampling.temperature, sampling.top_p)
        table = self._worked_out.get(key)
        if table is None:
            if len(self._worked_out) >= _KEPT_SETTINGS:
                self._worked_out.pop(next(iter(self._worked_out)))
            table = list[Node | None]([None] * (len(self._states) * VARIANTS))
            self._worked_out[key] = table
        return table


def _bare(word: str) -> str:
    """A word without its leading space and capital: the same word wherever it stands."""
    return word.strip().lower()


def generator(*parts: object) -> random.Random:
    """A generator that the parts alone decide, on every machine."""
    return random.Random(repr(parts))
