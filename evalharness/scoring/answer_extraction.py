"""Extraction of the answer from a text, for comparing and scoring the answer alone."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from evalharness.config.validation import convert, suggest_name
from evalharness.errors import ConfigError
from evalharness.scoring.base import REASON_NO_MEMORY, json_type
from evalharness.scoring.bounds import Bounds, pattern_bounds
from evalharness.scoring.choice_labels import LETTERS, check_labels, find_label
from evalharness.scoring.json_in_text import (
    NotJSONError,
    canonical_text,
    parse_json,
    parse_path,
    value_at,
)
from evalharness.scoring.number_locale import number_locale
from evalharness.scoring.numbers_in_text import last_number_text
from evalharness.scoring.reasoning import ReasoningMode, scored_text
from evalharness.scoring.safe_regex import (
    DEFAULT_TIMEOUT_S,
    TIMED_OUT,
    PatternTimeoutError,
    Seconds,
    compile_pattern,
    search,
)
from evalharness.scoring.text_options import TextOptions

_NORMALISED = TextOptions(
    ignore_case=True, ignore_whitespace=True, ignore_punctuation=True, unicode_form="NFKC"
)


class ExtractionResult(msgspec.Struct, frozen=True, gc=False):
    """The result of extraction: an answer, or the reason for none.

    ``failed``: the text could not be searched (a pattern over its time limit).
    """

    answer: str | None
    reason: str = ""
    failed: bool = False


_UNPARSED = ExtractionResult(None, "unparsed")


class Extractor(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Steps from a text to its answer; the steps that are given run in the order below.

    Attributes:
        regex: a pattern; its match (``group``) goes on.
        group: number or name of the group; by default the first group that took part in the match,
            or the whole match where the pattern has none.
        which: the ``last`` match, since answers are mostly at the end, or the ``first``.
        json: path into the text's JSON (``result.items[0]``; empty for all of it); JSON in a
            Markdown code block is read, too. Texts are taken as they are, other values as JSON;
            null is no answer.
        last_number: the last number, in one spelling (``1,234.50`` → ``1234.5``).
        locale: with ``last_number``, a language tag (``de``, ``pt-BR``) that says which sign is the
            decimal one; None: the point.
        choice: the chosen label: true for the letters A to H, or a list of labels.
        normalise: ignore case, white space, punctuation around words and Unicode's
            compatibility forms.
        timeout_s: processor seconds for the pattern on one text.
        reasoning: ``strip``: reasoning that the text begins with is not searched.

    White space around an answer is dropped; an empty answer counts as none.

    """

    regex: str | None = None
    group: int | str | None = None
    which: Literal["last", "first"] = "last"
    json: str | None = None
    last_number: bool = False
    locale: str | None = None
    choice: bool | list[str] = False
    normalise: bool = False
    timeout_s: Seconds = DEFAULT_TIMEOUT_S
    reasoning: ReasoningMode = "strip"

    def __post_init__(self) -> None:
        if self.regex is not None:
            try:
                pattern = compile_pattern(self.regex)
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
        self._check_locale()
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

    def _check_locale(self) -> None:
        if self.locale is not None and not self.last_number:
            raise ValueError("`locale`: needs `last_number`")
        try:
            number_locale(self.locale)
        except ValueError as error:
            raise ValueError(f"`locale`: {error}") from None

    def extract(self, text: str | None) -> ExtractionResult:
        """Find the answer; a result without one has the reason. Never raises."""
        if text is None:
            return ExtractionResult(None, "no text")
        try:
            answer = self._run_steps(scored_text(text, self.reasoning) or "")
        except PatternTimeoutError:
            return ExtractionResult(None, TIMED_OUT, failed=True)
        except MemoryError:
            return ExtractionResult(None, REASON_NO_MEMORY, failed=True)
        except (LookupError, NotJSONError) as error:
            return ExtractionResult(None, f"unparsed: {error}")
        except Exception as error:
            return ExtractionResult(None, f"{type(error).__name__}: {error}", failed=True)
        answer = None if answer is None else answer.strip()
        return ExtractionResult(answer) if answer else _UNPARSED

    def bounds(self) -> Bounds:
        """What one text may cost, and where it is searched; :meth:`extract` holds no limit."""
        return Bounds() if self.regex is None else pattern_bounds(self.timeout_s)

    def _run_steps(self, text: str) -> str | None:
        answer: str | None = text
        if self.regex is not None:
            answer = self._match_group(self.regex, text)
        if answer is not None and self.json is not None:
            answer = _json_at(answer, self.json)
        if answer is not None and self.last_number:
            answer = last_number_text(answer, number_locale(self.locale))
        if answer is not None and self.choice is not False:
            labels = LETTERS if self.choice is True else tuple(self.choice)
            answer = find_label(answer, labels)
        if answer is not None and self.normalise:
            answer = _NORMALISED.apply(answer)
        return answer

    def _match_group(self, regex: str, text: str) -> str | None:
        pattern = compile_pattern(regex)
        match = search(pattern, text, which=self.which, timeout_s=self.timeout_s)
        if match is None:
            return None
        if self.group is not None:
            return match[self.group]
        # Of an alternation's groups, the one that took part.
        return next(
            (part for part in match.groups() if part is not None),
            None if pattern.groups else match[0],
        )


def _json_at(text: str, path: str) -> str | None:
    value = value_at(parse_json(text, allow_code_fence=True), parse_path(path))
    if value is None or isinstance(value, str):
        return value
    return canonical_text(value)


_SHORT_FORMS: dict[str, dict[str, Any]] = {
    "last_number": {"last_number": True},
    "choice": {"choice": True},
    "normalise": {"normalise": True},
    "json": {"json": ""},
}


def parse_answer_spec(raw: dict[str, Any] | str | None) -> Extractor | None:
    """Read the ``answer`` part of a configuration; None where no answer is extracted.

    One of the words ``last_number``, ``choice``, ``normalise``, ``json``, or the fields of
    :class:`Extractor`. ``reasoning`` alone extracts nothing (:func:`parse_reasoning`).

    Raises:
        ConfigError: an unknown key, a wrong type, or no step that finds an answer.

    """
    if raw is None:
        return None
    if isinstance(raw, str):
        if raw not in _SHORT_FORMS:
            raise ConfigError(
                f"configuration key `answer`: no extraction is called {raw!r}",
                hint=suggest_name(raw, [*_SHORT_FORMS, "regex"]),
            )
        raw = _SHORT_FORMS[raw]
    if not isinstance(raw, dict):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigError(f"configuration key `answer`: must be an object, got {json_type(raw)}")
    if [*raw] == ["reasoning"]:
        parse_reasoning(raw)
        return None
    return convert(raw, Extractor, "answer")


class _ReasoningKey(msgspec.Struct, frozen=True):
    reasoning: ReasoningMode = "strip"


def parse_reasoning(raw: dict[str, Any] | str | None) -> ReasoningMode:
    """Read what the ``answer`` part of a configuration says of reasoning in texts.

    Raises:
        ConfigError: neither ``strip`` nor ``keep``.

    """
    return convert(raw, _ReasoningKey, "answer").reasoning if isinstance(raw, dict) else "strip"
