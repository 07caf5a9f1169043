"""Generating texts: a walk along the Markov chain of :mod:`.grammar`, one token after another."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable

import msgspec

from evalharness.emulator.text import grammar
from evalharness.emulator.text.grammar import END, VARIANTS
from evalharness.emulator.text.sampling import TokenDistribution, distribution

DEFAULT_MAX_TOKENS = 512  # of a text that the request does not limit
_MAX_TABLES = 64


class SamplingParams(msgspec.Struct, frozen=True):
    """The parameters that shape a distribution."""

    temperature: float = 1.0
    top_p: float = 1.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0

    @property
    def has_penalties(self) -> bool:
        """Whether words of the text so far change the distribution."""
        return bool(self.frequency_penalty or self.presence_penalty)


class Token(msgspec.Struct, frozen=True, gc=False):
    """One token with the natural logarithm of its probability, and the likeliest at its state."""

    text: str
    logprob: float
    top: list[tuple[str, float]] = []


class ChainNode(msgspec.Struct, frozen=True, gc=False):
    """A state in one variant under given sampling parameters: its words, the likeliest first."""

    dist: TokenDistribution
    cumulative: list[float]
    words: list[str]
    next_states: list[int]
    word_marks: list[int]  # a number for each word, which decides the next word's variant

    @classmethod
    def of(cls, index: int, state: grammar.GrammarState, dist: TokenDistribution) -> ChainNode:
        """The node of a state's distribution."""
        return cls(
            dist,
            dist.cumulative,
            [state.tokens[i] for i in dist.order],
            [state.next_states[i] for i in dist.order],
            [(index * 64 + i) * 40503 for i in dist.order],
        )


class SampledText(msgspec.Struct):
    """A text as it was sampled: its words, and for each the node and the rank drawn."""

    words: list[str]
    steps: list[tuple[ChainNode, int]]
    finished: bool  # False: cut at the limit

    def tokens(self, top: int) -> list[Token]:
        """The words with their logprobs and the ``top`` likeliest candidates at each position."""
        return [
            Token(
                node.words[rank],
                node.dist.logprobs[rank],
                list(zip(node.words[:top], node.dist.logprobs[:top], strict=True)),
            )
            for node, rank in self.steps
        ]


class TextGenerator:
    """Samples texts from the chain, and caches the distributions it has computed."""

    def __init__(self) -> None:
        chain = grammar.build_grammar()
        self._states = chain.states
        self._start = chain.start
        self._tables: dict[tuple[float, float], list[ChainNode | None]] = {}

    def sample(
        self,
        topic: int,
        sampling: SamplingParams,
        draw: Callable[[], float],
        limit: int,
        *,
        exactly: bool = False,
        at_least: int = 0,
        diverge_at: int | None = None,
    ) -> SampledText:
        """Sample a text of at most ``limit`` tokens.

        Args:
            topic: 64-bit hash of the request; each topic has texts of its own.
            sampling: the parameters of the distribution.
            draw: uniform numbers in [0, 1); not called at temperature 0.
            limit: maximum of tokens.
            exactly: go on until the limit, starting a new sentence where the text would end.
            at_least: the same until so many tokens.
            diverge_at: position at which the second most likely word replaces the word drawn, where
                there is a second.
        """
        table = self._table(sampling)
        penalised, greedy = sampling.has_penalties, not sampling.temperature
        words: list[str] = []
        steps: list[tuple[ChainNode, int]] = []
        index, mark, seen = self._start, 0, Counter[str]()
        for i in range(limit):
            # What is likely here depends on the topic, the place in the text and the last word, so
            # that texts which have once diverged stay apart.
            variant = ((topic >> (i & 31)) ^ (mark + i * 40961)) % VARIANTS
            if penalised:
                node = self._penalised_node(index, variant, sampling, seen)
            else:
                node = table[index * VARIANTS + variant] or self._node(
                    table, index, variant, sampling
                )
            rank = 0 if greedy else bisect_right(node.cumulative, draw())
            if i == diverge_at:
                rank = 1 if rank == 0 and len(node.words) > 1 else 0
            if node.next_states[rank] == END:
                if not exactly and i >= at_least:
                    return SampledText(words, steps, finished=True)
                rank = next(r for r, after in enumerate(node.next_states) if after != END)
            word = node.words[rank]
            words.append(word)
            steps.append((node, rank))
            if penalised:
                seen[_bare(word)] += 1
            index, mark = node.next_states[rank], node.word_marks[rank]
        return SampledText(words, steps, finished=exactly)

    def _node(
        self, table: list[ChainNode | None], index: int, variant: int, sampling: SamplingParams
    ) -> ChainNode:
        state = self._states[index]
        dist = distribution(state.logits[variant], sampling.temperature, sampling.top_p)
        node = ChainNode.of(index, state, dist)
        table[index * VARIANTS + variant] = node
        return node

    def _penalised_node(
        self, index: int, variant: int, sampling: SamplingParams, seen: Counter[str]
    ) -> ChainNode:
        """OpenAI's formula: logit − count · frequency_penalty − [count > 0] · presence_penalty."""
        state = self._states[index]
        logits = list(state.logits[variant])
        for i, word in enumerate(state.tokens):
            count = seen[_bare(word)]
            if count:
                logits[i] -= count * sampling.frequency_penalty + sampling.presence_penalty
        dist = distribution(logits, sampling.temperature, sampling.top_p)
        return ChainNode.of(index, state, dist)

    def _table(self, sampling: SamplingParams) -> list[ChainNode | None]:
        key = (sampling.temperature, sampling.top_p)
        table = self._tables.get(key)
        if table is None:
            if len(self._tables) >= _MAX_TABLES:
                self._tables.pop(next(iter(self._tables)))
            table = list[ChainNode | None]([None] * (len(self._states) * VARIANTS))
            self._tables[key] = table
        return table


def _bare(word: str) -> str:
    """A word without its leading space and capital: the same word wherever it stands."""
    return word.strip().lower()


def seeded_random(*parts: object) -> random.Random:
    """A generator that the parts alone decide, on every machine."""
    return random.Random(repr(parts))
