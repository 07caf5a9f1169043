"""A valid request, parsed into the terms the generator works with."""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple, cast

import msgspec

from evalharness.emulator.text.text_generator import SamplingParams
from evalharness.emulator.validation.canonical_messages import (
    canonical_format,
    canonical_messages,
    canonical_tools,
    message_text,
)

_PER_MESSAGE = 4  # tokens that frame a message
_PER_PROMPT = 2  # tokens that prime the answer
# How long the reasoning of an effort is at most, in tokens; other efforts know no bound.
_EFFORT_BUDGETS = {"minimal": 16, "low": 64}
_BEFORE_MESSAGES = -1


class CacheMark(msgspec.Struct, frozen=True):
    """A place in a prompt up to which it shall be cached.

    Attributes:
        message: index of the last message that is cached; -1 caches the tools alone.
        hour: kept for an hour instead of five minutes.
    """

    message: int
    hour: bool


class Tool(msgspec.Struct, frozen=True):
    """A function the model may call."""

    name: str
    parameters: Any


class MessageText(NamedTuple):
    """The text of a message: the hash of all before it, and how many tokens that is."""

    before: int
    tokens_before: int
    text: str


class ParsedRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One request.

    Attributes:
        topic: 64-bit hash of all that shapes the text apart from sampling: model, messages, tools,
            response format.
        limit: maximum of completion tokens of a choice; None where the request names none.
        prefixes: hash and token count of each run of messages from the first, the shortest first.
        texts: of the messages, in their order.
        head_tokens: tokens before the first message.
        question: text of the last user message.
        cache_marks: in the order of the prompt; none where the protocol has no such thing.
    """

    model: str
    topic: int
    sampling: SamplingParams
    seed: int | None
    n: int
    limit: int | None
    shortest: int
    stops: list[str]
    stream: bool
    include_usage: bool
    tools: list[Tool]
    must_call: bool
    parallel_calls: bool
    response_schema: Any  # None: plain text
    top_logprobs: int | None  # None: no logprobs
    thinking: bool
    thinking_budget: int | None
    prediction: str | None
    question: str
    prompt_tokens: int
    prefixes: list[tuple[int, int]]
    texts: list[MessageText]
    head_tokens: int
    cache_marks: tuple[CacheMark, ...] = ()

    def tokens_until(self, mark: CacheMark) -> int:
        """Prompt tokens up to the place of a mark."""
        if mark.message == _BEFORE_MESSAGES:
            return self.head_tokens
        return self.prefixes[min(mark.message, len(self.prefixes) - 1)][1]


def parse_request(body: dict[str, Any], max_choices: int) -> ParsedRequest:
    """What a valid body asks for. Fields beyond the OpenAPI are read where they make sense."""
    messages = canonical_messages(body["messages"])
    tools, must_call = _tools(body, messages)
    form = body.get("response_format")
    functions = canonical_tools(body.get("tools"))
    shape = msgspec.json.encode(
        [body["model"], messages, functions, canonical_format(form)], order="sorted"
    )
    head = msgspec.json.encode(functions, order="sorted") if functions else b""
    prefixes, texts = _prefixes(body["model"], head, messages)
    thinking, budget = _thinking(body)
    limit = body.get("max_completion_tokens") or body.get("max_tokens")
    streaming: dict[str, Any] = body.get("stream_options") or {}
    return ParsedRequest(
        model=body["model"],
        topic=int.from_bytes(hashlib.blake2b(shape, digest_size=8).digest(), "little"),
        sampling=SamplingParams(
            float(body.get("temperature", 1.0)),
            float(body.get("top_p", 1.0)),
            float(body.get("frequency_penalty") or 0.0),
            float(body.get("presence_penalty") or 0.0),
        ),
        seed=body.get("seed"),
        n=min(body.get("n") or 1, max_choices),
        limit=None if limit is None else int(min(limit, 1e9)),
        shortest=_shortest(body, limit),
        stops=_stop_sequences(body.get("stop")),
        stream=body.get("stream") is True,
        include_usage=streaming.get("include_usage") is True,
        tools=tools,
        must_call=must_call,
        parallel_calls=body.get("parallel_tool_calls") is True,
        response_schema=_response_schema(form),
        top_logprobs=int(body.get("top_logprobs") or 0) if body.get("logprobs") else None,
        thinking=thinking,
        thinking_budget=budget,
        prediction=message_text(body["prediction"]["content"]) if "prediction" in body else None,
        question=_question(messages),
        prompt_tokens=prefixes[-1][1],
        prefixes=prefixes,
        texts=texts,
        head_tokens=_PER_PROMPT + _token_count(len(head)),
    )


def _shortest(body: dict[str, Any], limit: float | None) -> int:
    """Tokens before which no text ends: ``min_tokens`` and ``ignore_eos``, as vLLM takes them."""
    least: Any = body.get("min_tokens")
    known = isinstance(least, int) and not isinstance(least, bool) and least > 0
    shortest = least if known else 0
    if body.get("ignore_eos") is True and limit is not None:
        shortest = max(shortest, limit)
    return int(min(shortest, 1e9))


def _thinking(body: dict[str, Any]) -> tuple[bool, int | None]:
    """Whether the model reasons before it answers, and for how many tokens at most.

    It does where ``enable_thinking`` is true, where ``thinking`` says so, or where
    ``reasoning_effort`` is another than ``none``; the first of them that is set decides.
    """
    effort, config = body.get("reasoning_effort"), body.get("thinking")
    wanted = effort is not None and effort != "none"
    budget: Any = _EFFORT_BUDGETS.get(str(effort))
    if isinstance(config, dict):
        thinking = cast("dict[str, Any]", config)
        wanted = thinking.get("type") != "disabled"
        budget = thinking.get("budget_tokens", budget)
    if body.get("enable_thinking") is not None:
        wanted = body["enable_thinking"] is True
    budget = body.get("thinking_budget", budget)
    return wanted, budget if type(budget) is int and budget >= 0 else None


def _prefixes(
    model: str, head: bytes, messages: list[dict[str, Any]]
) -> tuple[list[tuple[int, int]], list[MessageText]]:
    """Each run of messages with its size, and their texts; ``head`` are the tools."""
    tokens = _PER_PROMPT + _token_count(len(head))
    state = hash((hash(head) if head else 0, model))
    prefixes: list[tuple[int, int]] = []
    texts: list[MessageText] = []
    for message in messages:
        text = message_text(message["content"])
        calls = message.get("tool_calls")
        if calls:
            text += msgspec.json.encode(calls).decode()
        before = hash((state, message["role"], message.get("name")))
        texts.append(MessageText(before, tokens + _PER_MESSAGE, text))
        tokens += _PER_MESSAGE + _token_count(len(text.encode()))
        state = hash((before, text))
        prefixes.append((state, tokens))
    return prefixes or [(state, tokens)], texts


def _question(messages: list[dict[str, Any]]) -> str:
    """The last user text; empty where there is none."""
    texts = (message_text(m["content"]) for m in reversed(messages) if m["role"] == "user")
    return next(texts, "")


def _token_count(length: int) -> int:
    """Tokens of a text: a quarter of its bytes, as a rule of thumb for English."""
    return (length + 3) // 4


def _stop_sequences(stop: Any) -> list[str]:
    """Stop sequences; what is neither text nor a list of texts stops nothing."""
    if isinstance(stop, str):
        return [stop] if stop else []
    items = cast("list[Any]", stop) if isinstance(stop, list) else []
    return [text for text in items if isinstance(text, str) and text]


def _tools(body: dict[str, Any], messages: list[dict[str, Any]]) -> tuple[list[Tool], bool]:
    """The functions that may be called now, and whether one must be."""
    described: list[dict[str, Any]] = body.get("tools") or []
    tools = [Tool(t["function"]["name"], t["function"]["parameters"]) for t in described]
    choice: Any = body.get("tool_choice", "auto")
    if isinstance(choice, dict):
        wanted = cast("dict[str, Any]", choice)["function"]["name"]
        named = [tool for tool in tools if tool.name == wanted]
        # A function nobody described can be called with any arguments.
        return named[:1] or [Tool(wanted, {"type": "object"})], True
    if choice == "none":
        return [], False
    answered = bool(messages) and messages[-1]["role"] == "tool"
    if choice == "auto" and answered:
        return [], False  # the tool's result is there: now the model answers
    return tools, choice == "required"


_JSON_OBJECT = {
    "type": "object",
    "properties": {
        "answer": {"type": "string"},
        "confidence": {"type": "number", "minimum": 0, "maximum": 1},
        "steps": {"type": "array", "items": {"type": "string"}, "maxItems": 3},
    },
    "required": ["answer", "confidence"],
}


def _response_schema(form: Any) -> Any:
    if form is None or form["type"] == "text":
        return None
    if form["type"] == "json_object":
        return _JSON_OBJECT
    return form["json_schema"].get("schema", _JSON_OBJECT)
