"""Errors of log probabilities, as kernels, batches and quantized weights make them."""

from __future__ import annotations

import random
from collections.abc import Sequence

from evalharness.emulator.text.text_generator import Token

_LEAST = -9_000.0  # below it there is no probability to speak of


class LogprobErrors:
    """Adds normal errors to log probabilities; a choice of tokens is not changed by them.

    Args:
        noise: standard deviation of an error that is new in every answer.
        shift: standard deviation of an error that belongs to a token behind another, the same in
            every answer: a model that is nearly another.
        seed: of the errors.
    """

    def __init__(self, noise: float, shift: float, seed: int) -> None:
        self._noise, self._shift, self._seed = noise, shift, seed

    def __bool__(self) -> bool:
        return bool(self._noise or self._shift)

    def add(self, tokens: Sequence[Token], answer: int) -> list[Token]:
        """The tokens of an answer, which has this number, with their errors."""
        noise = random.Random(f"{self._seed} noise {answer}")
        before, out = "", list[Token]()
        for token in tokens:
            errors: dict[str, float] = {}
            for text, _ in (*token.top, (token.text, 0.0)):
                if text not in errors:
                    errors[text] = self._fixed(before, text) + noise.gauss(0.0, self._noise)
            top = [(text, _with_error(value, errors[text])) for text, value in token.top]
            top.sort(key=lambda entry: -entry[1])
            out.append(Token(token.text, _with_error(token.logprob, errors[token.text]), top))
            before = token.text
        return out

    def _fixed(self, before: str, text: str) -> float:
        if not self._shift:
            return 0.0
        return random.Random(f"{self._seed} shift {before}\0{text}").gauss(0.0, self._shift)


def _with_error(logprob: float, error: float) -> float:
    return logprob if logprob < _LEAST else min(0.0, logprob + error)
