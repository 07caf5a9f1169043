"""Options for comparing texts: what is ignored, each with a documented default."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache
from typing import Any, Literal

import msgspec

from evalharness.scoring.base import Scorer, accepted_targets

UnicodeForm = Literal["NFC", "NFKC"]


class TextOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is ignored when texts are compared.

    Attributes:
        strip: drop white space at both ends.
        ignore_case: compare casefolded (``ß`` equals ``SS``).
        ignore_whitespace: a run of white space counts as one space.
        ignore_punctuation: drop punctuation, except inside words and numbers (``3.5``,
            ``don't``, ``10:30`` keep theirs) and a minus sign before a digit.
        unicode_form: ``NFC`` makes composed and decomposed accents equal; ``NFKC`` also
            full-width forms and ligatures; null compares code points as they are.

    """

    strip: bool = True
    ignore_case: bool = False
    ignore_whitespace: bool = False
    ignore_punctuation: bool = False
    unicode_form: UnicodeForm | None = "NFC"

    def apply(self, text: str) -> str:
        """Put the text into its comparable form."""
        if not text.isascii():
            text = self._normalise_unicode(text)
        elif self.ignore_case:
            text = text.lower()
        if self.ignore_punctuation:
            text = without_punctuation(text)
        if self.ignore_whitespace:
            return " ".join(text.split())
        return text.strip() if self.strip else text

    def _normalise_unicode(self, text: str) -> str:
        if self.unicode_form is None:
            return text.casefold() if self.ignore_case else text
        if self.ignore_case:
            if self.unicode_form == "NFC" and _PLAIN_FOLDING.fullmatch(text):
                return text.casefold()
            # Casefolding can undo a normal form and a normal form can undo casefolding; the
            # order of Unicode's caseless matching (D145, D146) settles it.
            decomposed = "NFKD" if self.unicode_form == "NFKC" else "NFD"
            text = unicodedata.normalize(decomposed, unicodedata.normalize("NFD", text).casefold())
            text = unicodedata.normalize(decomposed, text.casefold())
        return unicodedata.normalize(self.unicode_form, text)


# Texts whose casefolded form is the one that caseless matching comes to, a third of the work:
# Latin, Cyrillic, Chinese, Japanese and Korean letters, none with an accent that is a character of
# its own; punctuation, arrows, signs, emoji.
_PLAIN_FOLDING = re.compile(
    "[\x00-\u01ef\u01f1-\u02ff\u0400-\u0482\u048a-\u052f\u2010-\u2027\u2030-\u205e"
    "\u2190-\u2328\u232b-\u2adb\u2add-\u2bff\u3000-\u3029\u3030-\u3098\u309b-\u30ff"
    "\u4e00-\u9fff\uac00-\ud7a3\ufe0f\uff00-\uffef\U0001f000-\U0001faff]*"
)


@lru_cache(maxsize=4096)
def is_punctuation(char: str) -> bool:
    """Tell whether Unicode calls the character punctuation (category P)."""
    return unicodedata.category(char).startswith("P")


# The same rule as _drops, many times faster.
_ASCII_MARK = re.compile(
    r"""(?!-[0-9])(?:(?<![A-Za-z0-9])[!"#%&'()*,./:;?@[\\\]_{}-]|[!"#%&'()*,./:;?@[\\\]_{}-](?![A-Za-z0-9]))"""
)


def without_punctuation(text: str) -> str:
    """Drop punctuation that stands neither inside a word or number nor as a minus before one."""
    if text.isascii():
        return _ASCII_MARK.sub("", text)
    return _MARK.sub(lambda mark: "" if _is_dropped(text, mark.start(), mark[0]) else mark[0], text)


_MARK = re.compile(r"[^\w\s]|_")


def _is_dropped(text: str, i: int, char: str) -> bool:
    if not is_punctuation(char):
        return False
    before_word = text[i - 1].isalnum() if i else False
    after = text[i + 1] if i + 1 < len(text) else ""
    if before_word and after.isalnum():
        return False
    return not (char == "-" and after.isdigit())


class TextScorer(Scorer, frozen=True, kw_only=True, dict=True):
    """Base of scorers that compare texts; the options are :class:`TextOptions`, one a field."""

    strip: bool = True
    ignore_case: bool = False
    ignore_whitespace: bool = False
    ignore_punctuation: bool = False
    unicode_form: UnicodeForm | None = "NFC"

    @cached_property
    def options(self) -> TextOptions:
        """Collect the comparison options as one value."""
        return TextOptions(**{name: getattr(self, name) for name in TextOptions.__struct_fields__})

    @cached_property
    def case_sensitive_options(self) -> TextOptions:
        """The comparison options with ``ignore_case`` off."""
        return msgspec.structs.replace(self.options, ignore_case=False)

    def comparable(self, text: str) -> str:
        """Put the text into its comparable form."""
        return self.options.apply(text)

    def comparable_targets(self, target: Any) -> Sequence[tuple[str, str]]:
        """The accepted targets, as they are and in their comparable form.

        Raises:
            UnscorableError: see :func:`~evalharness.scoring.base.accepted_targets`.

        """
        # All outputs of a prompt have its target, which mostly is a text.
        if isinstance(target, str):
            return self._comparable_target(target)
        return [(text, self.comparable(text)) for text in accepted_targets(target)]

    @cached_property
    def _comparable_target(self) -> Callable[[str], Sequence[tuple[str, str]]]:
        apply = self.options.apply

        @lru_cache(maxsize=65_536)
        def normalize_targets(target: str) -> Sequence[tuple[str, str]]:
            return ((target, apply(target)),)

        return normalize_targets
