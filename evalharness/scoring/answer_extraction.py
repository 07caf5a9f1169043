"""The answer inside a text: what is compared when only the answer has to be the same."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from evalharness.errors import ConfigError
from evalharness.scoring.base import json_type
from evalharness.scoring.choice_labels import LETTERS, check_labels, find_label
from evalharness.scoring.config_parsing import convert, suggestion
from evalharness.scoring.json_in_text import NotJSONError, compact, follow, parse_path, read_json
from evalharness.scoring.numbers_in_text import last_written
from evalharness.scoring.safe_regex import (
    DEFAULT_TIMEOUT_S,
    TIMED_OUT,
    PatternTimeoutError,
    Seconds,
    compiled,
    search,
)
from evalharness.scoring.text_options import TextOptions

_NORMALISED = TextOptions(
    ignore_case=True, ignore_whitespace=True, ignore_punctuation=True, unicode_form="NFKC"
)


class Parsed(msgspec.Struct, frozen=True, gc=False):
    """What extraction came to: an answer, or the reason for none.

    ``failed`` tells "could not be tried" (a pattern over its time limit) from "not there".
    """

    answer: str | None
    reason: str = ""
    failed: bool = False


_UNPARSED = Parsed(None, "unparsed")


class Extractor(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Steps from a text to its answer; those given run in the order below.

    Attributes:
        regex: a pattern; its match (``group``) goes on.
        group: number or name of the group; by default the first group, or the whole match where
            the pattern has none.
        which: the ``last`` match, where answers stand, or the ``first``.
        json: path into the text's JSON (``result.items[0]``; empty for all of it); JSON in a
            Markdown code block is found. Texts are taken as they are, other values as JSON;
            null is no answer.
        last_number: the last number, in one spelling (``1,234.50`` → ``1234.5``).
        choice: the label picked: true for the letters A to H, or a list of labels.
        normalise: level out case, white space, punctuation around words and Unicode's
            compatibility forms.
        timeout_s: processor seconds for the pattern on one text.

    White space around an answer is dropped; an empty answer is none.

    """

    regex: str | None = None
    group: int | str | None = None
    which: Literal["last", "first"] = "last"
    json: str | None = None
    last_number: bool = False
    choice: bool | list[str] = False
    normalise: bool = False
    timeout_s: Seconds = DEFAULT_TIMEOUT_S

    def __post_init__(self) -> None:
        if self.regex is not None:
            try:
                pattern = compiled(self.regex)
            except ValueError as error:
                raise ValueError(f"`regex`: {error}") from None
            known: list[int | str] = [*range(pattern.groups + 1), *pattern.groupindex]
            if self.group is not None and self.group not in known:
                raise ValueError(f"`group`: the pattern has no group {self.group!r}")
        elif self.group is not None:
            raise ValueError("`group`: needs a `regex`")
        if self.json is not None:
            try:
                parse_path(self.json)
            except ValueError as error:
                raise ValueError(f"`json`: {error}") from None
        if isinstance(self.choice, list):
            try:
                check_labels(self.choice)
            except ValueError as error:
                raise ValueError(f"`choice`: {error}") from None
        if self.last_number and self.choice is not False:
            raise ValueError("`choice`: cannot stand beside `last_number`")
        if not (self.regex is not None or self.json is not None or self.last_number) and not (
            self.choice is not False or self.normalise
        ):
            raise ValueError("`normalise`: no step is given that finds an answer")

    def extract(self, text: str | None) -> str | None:
        """Find the answer; None when there is none (*unparsed*). Never raises."""
        return self.parse(text).answer

    def parse(self, text: str | None) -> Parsed:
        """Find the answer, with the reason where there is none. Never raises."""
        if text is None:
            return Parsed(None, "no text")
        try:
            answer = self._steps(text)
        except PatternTimeoutError:
            return Parsed(None, TIMED_OUT, failed=True)
        except (LookupError, NotJSONError) as error:
            return Parsed(None, f"unparsed: {error}")
        except Exception as error:
            return Parsed(None, f"{type(error).__name__}: {error}", failed=True)
        answer = None if answer is None else answer.strip()
        return Parsed(answer) if answer else _UNPARSED

    def _steps(self, text: str) -> str | None:
        found: str | None = text
        if self.regex is not None:
            found = self._matched(self.regex, text)
        if found is not None and self.json is not None:
            found = _json_at(found, self.json)
        if found is not None and self.last_number:
            found = last_written(found)
        if found is not None and self.choice is not False:
            labels = LETTERS if self.choice is True else tuple(self.choice)
            found = find_label(found, labels)
        if found is not None and self.normalise:
            found = _NORMALISED.apply(found)
        return found

    def _matched(self, regex: str, text: str) -> str | None:
        pattern = compiled(regex)
        match = search(pattern, text, which=self.which, timeout_s=self.timeout_s)
        if match is None:
            return None
        group = self.group if self.group is not None else min(pattern.groups, 1)
        return match[group]


def _json_at(text: str, path: str) -> str | None:
    value = follow(read_json(text, fenced=True), parse_path(path))
    if value is None or isinstance(value, str):
        return value
    return compact(value)


_WORDS: dict[str, dict[str, Any]] = {
    "last_number": {"last_number": True},
    "choice": {"choice": True},
    "normalise": {"normalise": True},
    "json": {"json": ""},
}


def parse_answer_spec(raw: dict[str, Any] | str | None) -> Extractor | None:
    """Read the ``answer`` part of a configuration; None where no answer is extracted.

    One of the words ``last_number``, ``choice``, ``normalise``, ``json``, or the fields of
    :class:`Extractor`.

    Raises:
        ConfigError: an unknown key, a wrong type, or no step that finds an answer.

    """
    if raw is None:
        return None
    if isinstance(raw, str):
        if raw not in _WORDS:
            raise ConfigError(
                f"configuration key `answer`: no extraction is called {raw!r}",
                hint=suggestion(raw, [*_WORDS, "regex"]),
            )
        raw = _WORDS[raw]
    if not isinstance(raw, dict):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigError(f"configuration key `answer`: must be an object, got {json_type(raw)}")
    return convert(raw, Extractor, "answer")
