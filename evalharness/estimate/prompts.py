"""How many tokens the prompts of a plan have, from those recorded, else from their length."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from evalharness.analysis.stats.prediction import line_total
from evalharness.records import digest

if TYPE_CHECKING:
    from evalharness.estimate.observed import ModelFacts

Floats = NDArray[np.float64]

# A guess from length alone is right within this factor for the tokenizers of current models on
# prose, code and Chinese; it is stated, not hidden.
FACTOR = 2.0
_PER_MESSAGE = 4.0  # role and separators in a chat template
_PER_REQUEST = 8.0
# Characters a token: Latin text about 4, Chinese, Japanese and Korean 1, other scripts 2.
_ASCII, _WIDE, _OTHER = 4.0, 1.0, 2.0
_FIRST_WIDE = 0x2E80
# Counts are whole tokens. Prompts of one length share their rounding, so that it does not average
# out as the scatter around a line does.
_ROUNDING = 0.5


class Text(msgspec.Struct, frozen=True):
    """What of a request becomes prompt tokens.

    ``key`` names the exact content, ``chars`` is its length in characters, ``guess`` its tokens by
    length alone.
    """

    key: str
    chars: int
    guess: float


class _Body(msgspec.Struct):
    messages: msgspec.Raw = msgspec.Raw(b"[]")
    tools: msgspec.Raw | None = None
    response_format: msgspec.Raw | None = None


_body = msgspec.json.Decoder(_Body)


def weigh(body: bytes) -> Text:
    """The text of a request body as canonical JSON.

    Raises:
        msgspec.MsgspecError: it is no such body.
    """
    parts = _body.decode(body)
    messages: list[Any] = msgspec.json.decode(parts.messages)
    said = "".join(_texts(messages))
    rest = [bytes(part) for part in (parts.tools, parts.response_format) if part is not None]
    chars = len(said) + sum(len(part.decode()) for part in rest)
    guess = _guess(said) + sum(len(part) for part in rest) / _ASCII
    return Text(
        key=digest(bytes(parts.messages), *rest),
        chars=chars,
        guess=guess + _PER_MESSAGE * len(messages) + _PER_REQUEST,
    )


# Not text: what an image or a recording costs is not in its length.
_SKIPPED = ("role", "type", "image_url", "input_audio", "file")


def _texts(value: Any) -> list[str]:
    """Every text of a message: its content, and that of tool calls."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        return [text for item in value for text in _texts(item)]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, dict):
        items: dict[str, Any] = value  # pyright: ignore[reportUnknownVariableType]
        return [text for key, item in items.items() if key not in _SKIPPED for text in _texts(item)]
    return []


def _guess(text: str) -> float:
    ascii_count = sum(1 for char in text if char < "\x80") if not text.isascii() else len(text)
    wide = sum(1 for char in text if ord(char) >= _FIRST_WIDE) if ascii_count < len(text) else 0
    return ascii_count / _ASCII + wide / _WIDE + (len(text) - ascii_count - wide) / _OTHER


class PromptTokens(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens of some prompts and of their total.

    Attributes:
        each: expected tokens of each prompt.
        low: lower end of the total, ``expected`` and ``high`` likewise.
        basis: ``recorded`` (the same prompts were counted before), ``fitted`` (tokens a character
            of recorded runs), ``length`` (a guess from the text's length).
        known: how many of the prompts were counted before.
    """

    each: Floats
    low: float
    expected: float
    high: float
    basis: str
    known: int


def prompt_tokens(texts: list[Text], wanted: Floats, facts: ModelFacts | None) -> PromptTokens:
    """Estimate the tokens of prompts.

    Args:
        texts: one a prompt.
        wanted: how often each is to be sent.
        facts: what recorded runs of the model tell; None without any.

    Returns:
        With an interval of 95 % where a line could be fitted; ± a factor of 2 for guesses.
    """
    counted = [None if facts is None else facts.prompt_tokens.get(text.key) for text in texts]
    known = np.array([count is not None for count in counted], np.bool_)
    each = np.array([count or 0.0 for count in counted], np.float64)
    low = high = float((each * wanted)[known].sum())
    basis = "recorded"
    new = ~known
    if new.any():
        chars = np.array([max(1, text.chars) for text in texts], np.float64)
        line = None
        if facts is not None:
            line = line_total(facts.chars, facts.tokens, chars[new], wanted[new])
        if facts is not None and line is not None and line.expected > 0:
            basis = "fitted"
            each[new] = chars[new] * line.expected / max(1.0, float((chars * wanted)[new].sum()))
            rounding = _ROUNDING * float(wanted[new].sum())
            low, high = low + max(0.0, line.low - rounding), high + line.high + rounding
        else:
            basis = "length"
            each[new] = [text.guess for text, is_new in zip(texts, new, strict=True) if is_new]
            guess = float((each * wanted)[new].sum())
            low, high = low + guess / FACTOR, high + guess * FACTOR
    expected = float((each * wanted).sum())
    return PromptTokens(
        each=each, low=low, expected=expected, high=high, basis=basis, known=int(known.sum())
    )
