"""A secret that does not print, and the redactor that removes it from texts and bytes."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from typing import NoReturn
from urllib.parse import quote, quote_plus

MASK = "[redacted]"
# A shorter value would match ordinary text by chance, and is no secret anyway.
SHORTEST = 6
# Of a word inside a secret: shorter ones, such as Bearer or Token, are no secret.
SHORTEST_WORD = 8


class Secret:
    """Holds one secret text; printing, formatting or pickling it never shows the text."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The secret text, for the one place that sends it."""
        return self._text

    def parts(self) -> list[Secret]:
        """The secret and its words: of ``Token abc12345`` a server may repeat the second alone."""
        words = self._text.split()
        return [self, *(Secret(w) for w in words if w != self._text and len(w) >= SHORTEST_WORD)]

    def __repr__(self) -> str:
        return f"Secret({MASK})"

    def __str__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return MASK

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not pickled: pass the name of its environment variable")


class Redactor:
    """Removes secrets from texts and bytes: as they are, JSON-escaped, URL-encoded, in base64.

    Base64 is matched at any of the three alignments a secret can have inside a longer encoded
    value, in the standard and the URL-safe alphabet. Secrets under 6 characters are ignored.
    """

    def __init__(self, secrets: Iterable[Secret]) -> None:
        forms: set[str] = set()
        for secret in secrets:
            if len(secret.reveal()) >= SHORTEST:
                forms |= _encodings(secret.reveal())
        # Longest first, so that a shorter form never masks a part of a longer one.
        self._texts = sorted(forms, key=len, reverse=True)
        self._bytes = [form.encode() for form in self._texts]

    def redact(self, text: str) -> str:
        """The text with every form of every secret replaced by ``[redacted]``."""
        for form in self._texts:
            if form in text:
                text = text.replace(form, MASK)
        return text

    def redact_bytes(self, data: bytes) -> bytes:
        """The bytes with every form of every secret replaced by ``[redacted]``."""
        for form in self._bytes:
            if form in data:
                data = data.replace(form, MASK.encode())
        return data


def _encodings(text: str) -> set[str]:
    raw = text.encode("utf-8", "surrogatepass")
    plain = raw.decode("utf-8", "ignore")
    forms = {plain, json.dumps(plain)[1:-1]}
    for encoded in (quote(raw, safe=""), quote_plus(raw), quote(raw)):
        forms |= {encoded, re.sub("%..", lambda match: match[0].lower(), encoded)}
    for shift in range(3):
        # Drop characters that also hold bits of a neighbour: the rest is the same in any context.
        encoded = base64.b64encode(b"\0" * shift + raw).decode().rstrip("=")
        first = (0, 2, 3)[shift]
        last = len(encoded) - (1 if (shift + len(raw)) % 3 else 0)
        inner = encoded[first:last]
        forms |= {inner, inner.replace("+", "-").replace("/", "_")}
    return {form for form in forms if len(form) >= SHORTEST}
