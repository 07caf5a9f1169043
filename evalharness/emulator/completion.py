"""From a request to its choices: text, structured output or tool calls, with their tokens."""

from __future__ import annotations

import random
from collections.abc import Callable

import msgspec
from msgspec import structs

from evalharness.emulator.options import EmulatorOptions
from evalharness.emulator.text.answer_sampler import (
    AnswerSampler,
    answer_distribution,
    cut_tokens,
    split_tokens,
)
from evalharness.emulator.text.known_answers import KnownAnswers
from evalharness.emulator.text.logprob_errors import LogprobErrors
from evalharness.emulator.text.sampling import distribution
from evalharness.emulator.text.schema_sampler import Unsatisfiable, sample_instance
from evalharness.emulator.text.text_generator import (
    DEFAULT_MAX_TOKENS,
    TextGenerator,
    Token,
    seeded_random,
)
from evalharness.emulator.text.tool_faults import FaultRates, ToolFaults
from evalharness.emulator.validation.parsed_request import ParsedRequest, Tool

CANDIDATES = 12  # values of a schema to choose between
_REASONING_TOPIC = 0x9E3779B97F4A7C15  # another topic, for the reasoning on a topic


class EmulatedToolCall(msgspec.Struct, frozen=True):
    """One call of a function, its arguments as JSON text."""

    call_id: str
    name: str
    arguments: str


class ChatChoice(msgspec.Struct, frozen=True, kw_only=True):
    """One answer. ``pieces`` are the tokens that make up ``text``, in order.

    ``stop_sequence`` is the one that ended the text; None where none did.
    """

    pieces: list[str]
    finish_reason: str
    logprobs: list[Token] | None = None
    reasoning: list[str] = []
    tool_calls: list[EmulatedToolCall] = []
    refusal: str | None = None
    stop_sequence: str | None = None

    @property
    def text(self) -> str:
        """The message's content."""
        return "".join(self.pieces)

    @property
    def completion_tokens(self) -> int:
        """Tokens of the choice, reasoning and tool calls included."""
        calls = sum(1 + len(split_tokens(call.arguments)) for call in self.tool_calls)
        refused = len(split_tokens(self.refusal)) if self.refusal else 0
        return len(self.pieces) + len(self.reasoning) + calls + refused


class _DraftText(msgspec.Struct):
    """A text before limits: its tokens, and their logprobs on demand."""

    pieces: list[str]
    tokens: Callable[[int], list[Token]]
    finished: bool


class ChoiceGenerator:
    """Makes the choices of each request; the order of requests and ``seed`` decide every answer."""

    def __init__(self, options: EmulatorOptions, answers: KnownAnswers) -> None:
        self._options = options
        self._answers = answers
        self._texts = TextGenerator()
        self._random = random.Random(f"evalharness emulator text {options.seed}")
        rates = FaultRates(
            options.tool_bad_arguments, options.tool_unknown_name, options.tool_finish_stop
        )
        self._tool_faults = ToolFaults(rates, options.seed)
        self._errors = LogprobErrors(options.logprob_noise, options.logprob_shift, options.seed)

    def choices(
        self, request: ParsedRequest, fingerprint: str | None, others_in_flight: int = 0
    ) -> list[ChatChoice]:
        """The choices of a request that arrives while so many others are in flight."""
        topic = request.topic
        if self._options.fingerprint_changes_text and fingerprint is not None:
            topic ^= seeded_random(fingerprint).getrandbits(64)
        # Both are drawn whether or not they are used, so that no request changes the random
        # numbers of the next.
        honoured = self._random.random() < self._options.seed_honoured
        own = self._random.getrandbits(64)
        if request.seed is not None and honoured:
            rng = random.Random((request.seed << 64) | topic)
        else:
            rng = random.Random(own)
        # Only temperature 0 and the ids of tool calls need noise.
        noise = random.Random(own) if request.tools or not request.sampling.temperature else rng
        noise_rate = self._options.t0_noise + self._options.load_noise * others_in_flight
        noise_rate += self._options.stream_noise if request.stream else 0.0
        choices = [self._choice(request, topic, rng, noise, noise_rate) for _ in range(request.n)]
        return [self._with_errors(choice, own + index) for index, choice in enumerate(choices)]

    def _with_errors(self, choice: ChatChoice, answer: int) -> ChatChoice:
        if choice.tool_calls and self._tool_faults:
            return self._with_tool_faults(choice, answer)
        if not choice.logprobs or not self._errors:
            return choice
        return structs.replace(choice, logprobs=self._errors.add(choice.logprobs, answer))

    def _with_tool_faults(self, choice: ChatChoice, answer: int) -> ChatChoice:
        plain = [(call.name, call.arguments) for call in choice.tool_calls]
        faulty = self._tool_faults.spoil(plain, answer)
        calls = [
            structs.replace(call, name=name, arguments=arguments)
            for call, (name, arguments) in zip(choice.tool_calls, faulty.calls, strict=True)
        ]
        reason = "stop" if faulty.is_stop else choice.finish_reason
        return structs.replace(choice, tool_calls=calls, finish_reason=reason)

    def _choice(
        self,
        request: ParsedRequest,
        topic: int,
        rng: random.Random,
        noise: random.Random,
        noise_rate: float,
    ) -> ChatChoice:
        diverges = not request.sampling.temperature and noise.random() < noise_rate
        chance = rng.random() if request.sampling.temperature else (topic & 0xFFFF) / 0x10000
        if request.tools and (request.must_call or chance < self._options.tool_call_rate):
            return self._tool_calls(request, topic, rng, noise, diverges=diverges)
        max_tokens = DEFAULT_MAX_TOKENS if request.limit is None else request.limit
        reasoning: list[str] = []
        if request.thinking:
            budget = (
                max_tokens
                if request.thinking_budget is None
                else min(max_tokens, request.thinking_budget)
            )
            thoughts = self._texts.sample(
                topic ^ _REASONING_TOPIC, request.sampling, rng.random, budget
            )
            reasoning = thoughts.words
            max_tokens -= len(reasoning)
        draft = self._text(request, topic, rng, noise, max_tokens, diverges=diverges)
        return _apply_limits(request, draft, max_tokens, reasoning)

    def _text(
        self,
        request: ParsedRequest,
        topic: int,
        rng: random.Random,
        noise: random.Random,
        max_tokens: int,
        *,
        diverges: bool,
    ) -> _DraftText:
        if request.response_schema is not None:
            options = self._instances(request, topic, request.response_schema)
            return _draw_text(options, request, rng, diverges=diverges)
        right = self._answers.find(request.question)
        if right is not None:
            return self._known_answer(request, topic, right, rng, diverges=diverges)
        wanted = self._options.output_tokens
        most = max(DEFAULT_MAX_TOKENS, request.shortest) if wanted is None else wanted
        limit = min(max_tokens, most)
        exactly = wanted is not None
        text = self._texts.sample(
            topic, request.sampling, rng.random, limit, exactly=exactly, at_least=request.shortest
        )
        if diverges:
            length = len(_cut_at_stop(text.words, request.stops)[0])
            text = self._texts.sample(
                topic,
                request.sampling,
                rng.random,
                limit,
                exactly=exactly,
                at_least=request.shortest,
                diverge_at=int(noise.random() * length),
            )
        finished = text.finished if wanted is None else wanted <= max_tokens
        return _DraftText(text.words, text.tokens, finished)

    def _known_answer(
        self, request: ParsedRequest, topic: int, right: str, rng: random.Random, *, diverges: bool
    ) -> _DraftText:
        temperature = request.sampling.temperature
        accuracy = max(0.0, self._options.accuracy - self._options.accuracy_drop * temperature)
        question = seeded_random(request.question)
        difficulty = question.random()
        wrong = self._answers.wrong_answers(right, question)
        if not wrong:  # the file has no other answer: a generated text is the wrong one
            greedy = msgspec.structs.replace(request.sampling, temperature=0.0)
            wrong = ["".join(self._texts.sample(topic, greedy, rng.random, 40).words)]
        texts, dist = answer_distribution(right, wrong, difficulty, accuracy, temperature)
        return _draw_text(AnswerSampler(dist, texts.__getitem__), request, rng, diverges=diverges)

    def _instances(self, request: ParsedRequest, topic: int, schema: object) -> AnswerSampler:
        rng = seeded_random(topic)
        logits = [rng.gauss(0.0, 1.1) for _ in range(CANDIDATES)]
        dist = distribution(logits, request.sampling.temperature, request.sampling.top_p)
        return AnswerSampler(dist, lambda i: _json(schema, seeded_random(topic, i)))

    def _tool_calls(
        self,
        request: ParsedRequest,
        topic: int,
        rng: random.Random,
        noise: random.Random,
        *,
        diverges: bool,
    ) -> ChatChoice:
        first = topic % len(request.tools)
        if request.sampling.temperature:
            first = int(rng.random() * len(request.tools))
        count = min(2, len(request.tools)) if request.parallel_calls else 1
        calls: list[EmulatedToolCall] = []
        for k in range(count):
            tool: Tool = request.tools[(first + k) % len(request.tools)]
            options = self._instances(request, topic + k, tool.parameters)
            u = rng.random() if request.sampling.temperature else None
            arguments = options.text(options.draw(u, diverge=diverges))
            calls.append(
                EmulatedToolCall(f"call_{noise.getrandbits(96):024x}", tool.name, arguments)
            )
        logprobs = None if request.top_logprobs is None else list[Token]()
        return ChatChoice(
            pieces=[], finish_reason="tool_calls", tool_calls=calls, logprobs=logprobs
        )


def _json(schema: object, rng: random.Random) -> str:
    """A value of the schema as JSON; an empty object where none can be found."""
    try:
        return msgspec.json.encode(sample_instance(schema, rng)).decode()
    except Unsatisfiable:
        return "{}"


def _draw_text(
    options: AnswerSampler, request: ParsedRequest, rng: random.Random, *, diverges: bool
) -> _DraftText:
    u = rng.random() if request.sampling.temperature else None
    index = options.draw(u, diverge=diverges)
    return _DraftText(
        split_tokens(options.text(index)), lambda top: options.tokens(index, top), finished=True
    )


def _cut_at_stop(pieces: list[str], stops: list[str]) -> tuple[list[str], str | None]:
    """The pieces before the first stop sequence, and which one it was."""
    if not stops:
        return pieces, None
    text = "".join(pieces)
    ends = [(at, stop) for stop in stops if (at := text.find(stop)) >= 0]
    if not ends:
        return pieces, None
    at, stop = min(ends)
    return cut_tokens(pieces, at), stop


def _apply_limits(
    request: ParsedRequest, draft: _DraftText, max_tokens: int, reasoning: list[str]
) -> ChatChoice:
    """Apply the token limit and the stop sequences, and say how the text ended."""
    pieces, complete = draft.pieces[:max_tokens], draft.finished and len(draft.pieces) <= max_tokens
    pieces, stop = _cut_at_stop(pieces, request.stops)
    logprobs: list[Token] | None = None
    if request.top_logprobs is not None:
        tokens = draft.tokens(request.top_logprobs)[: len(pieces)]
        logprobs = [
            token if token.text == piece else Token(piece, token.logprob, token.top)
            for token, piece in zip(tokens, pieces, strict=True)
        ]
    return ChatChoice(
        pieces=pieces,
        finish_reason="stop" if stop is not None or complete else "length",
        logprobs=logprobs,
        reasoning=reasoning,
        stop_sequence=stop,
    )
