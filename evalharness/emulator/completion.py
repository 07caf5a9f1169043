"""From a request to its choices: text, structured output or tool calls, with their tokens."""

from __future__ import annotations

import random
from collections.abc import Callable

import msgspec

from evalharness.emulator.options import EmulatorOptions
from evalharness.emulator.text.answer_sampler import Alternatives, cut, known_answer, split
from evalharness.emulator.text.answers import Answers
from evalharness.emulator.text.sampling import distribution
from evalharness.emulator.text.schema_sampler import Unsatisfiable, instance
from evalharness.emulator.text.text_generator import LONGEST, Model, Token, generator
from evalharness.emulator.validation.parsed_request import Ask, Tool

CANDIDATES = 12  # instances of a schema to choose between
_THOUGHTS = 0x9E3779B97F4A7C15  # another topic, for the reasoning on a topic


class ToolCall(msgspec.Struct, frozen=True):
    """One call of a function, its arguments as JSON text."""

    call_id: str
    name: str
    arguments: str


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """One answer. ``pieces`` are the tokens that make up ``text``, in order."""

    pieces: list[str]
    finish_reason: str
    logprobs: list[Token] | None = None
    reasoning: list[str] = []
    tool_calls: list[ToolCall] = []
    refusal: str | None = None

    @property
    def text(self) -> str:
        """The message's content."""
        return "".join(self.pieces)

    @property
    def completion_tokens(self) -> int:
        """Tokens of the choice, reasoning and tool calls included."""
        calls = sum(1 + len(split(call.arguments)) for call in self.tool_calls)
        refused = len(split(self.refusal)) if self.refusal else 0
        return len(self.pieces) + len(self.reasoning) + calls + refused


class _Drawn(msgspec.Struct):
    """A text before limits: its tokens, and their logprobs on demand."""

    pieces: list[str]
    tokens: Callable[[int], list[Token]]
    finished: bool


class Generator:
    """Answers requests in the order they come; that order and ``seed`` decide every answer."""

    def __init__(self, options: EmulatorOptions, answers: Answers) -> None:
        self._options = options
        self._answers = answers
        self._model = Model()
        self._random = random.Random(f"evalharness emulator text {options.seed}")

    def choices(self, ask: Ask, fingerprint: str | None) -> list[Choice]:
        """The choices of a request."""
        topic = ask.topic
        if self._options.fingerprint_changes_text and fingerprint is not None:
            topic ^= generator(fingerprint).getrandbits(64)
        # Both are drawn whether or not they are used: what one request asks for never moves the
        # draws of the next.
        honoured = self._random.random() < self._options.seed_honoured
        own = self._random.getrandbits(64)
        if ask.seed is not None and honoured:
            rng = random.Random((ask.seed << 64) | topic)
        else:
            rng = random.Random(own)
        # Noise serves temperature 0 and the ids of calls; elsewhere it would be made for nothing.
        noise = random.Random(own) if ask.tools or not ask.sampling.temperature else rng
        return [self._choice(ask, topic, rng, noise) for _ in range(ask.n)]

    def _choice(self, ask: Ask, topic: int, rng: random.Random, noise: random.Random) -> Choice:
        diverges = not ask.sampling.temperature and noise.random() < self._options.t0_noise
        chance = rng.random() if ask.sampling.temperature else (topic & 0xFFFF) / 0x10000
        if ask.tools and (ask.must_call or chance < self._options.tool_call_rate):
            return self._calls(ask, topic, rng, noise, diverges=diverges)
        most = LONGEST if ask.limit is None else ask.limit
        reasoning: list[str] = []
        if ask.thinking:
            budget = most if ask.thinking_budget is None else min(most, ask.thinking_budget)
            thoughts = self._model.walk(topic ^ _THOUGHTS, ask.sampling, rng.random, budget)
            reasoning = thoughts.words
            most -= len(reasoning)
        drawn = self._text(ask, topic, rng, noise, most, diverges=diverges)
        return _limited(ask, drawn, most, reasoning)

    def _text(
        self,
        ask: Ask,
        topic: int,
        rng: random.Random,
        noise: random.Random,
        most: int,
        *,
        diverges: bool,
    ) -> _Drawn:
        if ask.response_schema is not None:
            options = self._instances(ask, topic, ask.response_schema)
            return _one_of(options, ask, rng, diverges=diverges)
        known = self._answers.find(ask.question)
        if known is not None:
            return self._known(ask, topic, known, rng, diverges=diverges)
        wanted = self._options.output_tokens
        limit = min(most, LONGEST if wanted is None else wanted)
        exactly = wanted is not None
        walk = self._model.walk(topic, ask.sampling, rng.random, limit, exactly=exactly)
        if diverges:
            kept = len(_stopped(walk.words, ask.stops)[0])
            walk = self._model.walk(
                topic,
                ask.sampling,
                rng.random,
                limit,
                exactly=exactly,
                diverge_at=int(noise.random() * kept),
            )
        finished = walk.finished if wanted is None else wanted <= most
        return _Drawn(walk.words, walk.tokens, finished)

    def _known(
        self, ask: Ask, topic: int, right: str, rng: random.Random, *, diverges: bool
    ) -> _Drawn:
        temperature = ask.sampling.temperature
        accuracy = max(0.0, self._options.accuracy - self._options.accuracy_drop * temperature)
        question = generator(ask.question)
        difficulty = question.random()
        wrong = self._answers.wrong(right, question)
        if not wrong:  # nothing else was ever right: the wrong answer is small talk
            greedy = msgspec.structs.replace(ask.sampling, temperature=0.0)
            wrong = ["".join(self._model.walk(topic, greedy, rng.random, 40).words)]
        texts, dist = known_answer(right, wrong, difficulty, accuracy, temperature)
        return _one_of(Alternatives(dist, texts.__getitem__), ask, rng, diverges=diverges)

    def _instances(self, ask: Ask, topic: int, schema: object) -> Alternatives:
        opinions = generator(topic)
        logits = [opinions.gauss(0.0, 1.1) for _ in range(CANDIDATES)]
        dist = distribution(logits, ask.sampling.temperature, ask.sampling.top_p)
        return Alternatives(dist, lambda i: _json(schema, generator(topic, i)))

    def _calls(
        self,
        ask: Ask,
        topic: int,
        rng: random.Random,
        noise: random.Random,
        *,
        diverges: bool,
    ) -> Choice:
        first = topic % len(ask.tools)
        if ask.sampling.temperature:
            first = int(rng.random() * len(ask.tools))
        count = min(2, len(ask.tools)) if ask.several_calls else 1
        calls: list[ToolCall] = []
        for k in range(count):
            tool: Tool = ask.tools[(first + k) % len(ask.tools)]
            options = self._instances(ask, topic + k, tool.parameters)
            u = rng.random() if ask.sampling.temperature else None
            arguments = options.text(options.draw(u, diverge=diverges))
            calls.append(ToolCall(f"call_{noise.getrandbits(96):024x}", tool.name, arguments))
        logprobs = None if ask.top_logprobs is None else list[Token]()
        return Choice(pieces=[], finish_reason="tool_calls", tool_calls=calls, logprobs=logprobs)


def _json(schema: object, rng: random.Random) -> str:
    """An instance of the schema as JSON; an empty object where there is none to be found."""
    try:
        return msgspec.json.encode(instance(schema, rng)).decode()
    except Unsatisfiable:
        return "{}"


def _one_of(options: Alternatives, ask: Ask, rng: random.Random, *, diverges: bool) -> _Drawn:
    u = rng.random() if ask.sampling.temperature else None
    chosen = options.draw(u, diverge=diverges)
    return _Drawn(
        split(options.text(chosen)), lambda top: options.tokens(chosen, top), finished=True
    )


def _stopped(pieces: list[str], stops: list[str]) -> tuple[list[str], bool]:
    """The pieces before the first stop sequence, and whether there was one."""
    if not stops:
        return pieces, False
    text = "".join(pieces)
    ends = [at for at in map(text.find, stops) if at >= 0]
    return (cut(pieces, min(ends)), True) if ends else (pieces, False)


def _limited(ask: Ask, drawn: _Drawn, most: int, reasoning: list[str]) -> Choice:
    """Apply the token limit and the stop sequences, and say how the text ended."""
    pieces, complete = drawn.pieces[:most], drawn.finished and len(drawn.pieces) <= most
    pieces, stopped = _stopped(pieces, ask.stops)
    logprobs: list[Token] | None = None
    if ask.top_logprobs is not None:
        tokens = drawn.tokens(ask.top_logprobs)[: len(pieces)]
        logprobs = [
            token if token.text == piece else Token(piece, token.logprob, token.top)
            for token, piece in zip(tokens, pieces, strict=True)
        ]
    return Choice(
        pieces=pieces,
        finish_reason="stop" if stopped or complete else "length",
        logprobs=logprobs,
        reasoning=reasoning,
    )
