"""Parsing a judge's reply. Without a verdict it gives None, never a middle grade or a zero."""

from __future__ import annotations

import json
import math
import re
from typing import Any, cast

from evalharness.judging.config import JudgeConfig
from evalharness.scoring.reasoning import without_reasoning

# Markdown, quotes and brackets that models put between the word and its value.
_BETWEEN = r"[\s:=*_`\"'\[\](){}]{0,12}"
_NUMBER = r"-?\d{1,9}(?:\.\d{1,9})?(?![\d.]*\d)"
_GRADE = re.compile(rf"\bgrade{_BETWEEN}(?P<value>{_NUMBER})", re.IGNORECASE)
_VERDICT = re.compile(rf"\bverdict{_BETWEEN}(?P<value>1|2|tie)\b", re.IGNORECASE)
_BARE = re.compile(rf"\s*(?P<value>{_NUMBER})\s*")
_BARE_VERDICT = re.compile(r"\s*(?P<value>1|2|tie)\s*", re.IGNORECASE)
_MAX_CHARS = 1_000_000  # characters searched, from the end


def parse_grade(text: str | None, scale: tuple[float, float]) -> float | None:
    """The grade in a reply, mapped to [0, 1]; None when there is none or it is off the scale.

    Read from JSON with a key ``grade``, else the last ``GRADE: N``, else a reply that is nothing
    but a number.
    """
    reply_value = _reply_value(text, "grade", _GRADE, _BARE)
    if isinstance(reply_value, bool) or reply_value is None:
        return None
    try:
        value = float(reply_value)
    except (TypeError, ValueError, OverflowError):
        return None
    low, high = scale
    if not math.isfinite(value) or not low <= value <= high:
        return None
    return (value - low) / (high - low)


def parse_verdict(text: str | None) -> str | None:
    """The verdict ``"1"``, ``"2"`` or ``"tie"``; None when the reply has none."""
    reply_value = _reply_value(text, "verdict", _VERDICT, _BARE_VERDICT)
    word = str(reply_value).strip().lower()
    return word if word in ("1", "2", "tie") else None


def parse_reply(text: str | None, config: JudgeConfig) -> str | None:
    """The verdict in one spelling, for comparing replies with each other."""
    if config.mode == "pairwise":
        return parse_verdict(text)
    value = parse_grade(text, config.scale)
    return None if value is None else repr(value)


def _reply_value(
    text: str | None, key: str, pattern: re.Pattern[str], bare: re.Pattern[str]
) -> Any:
    if text is None:
        return None
    text = without_reasoning(text)[-_MAX_CHARS:]
    try:
        decoded = json.loads(text)
    except (ValueError, RecursionError):
        decoded = None
    if isinstance(decoded, dict):
        return cast("dict[str, Any]", decoded).get(key)
    matches = list(pattern.finditer(text))
    if matches:
        return matches[-1]["value"]
    match = bare.fullmatch(text)
    return None if match is None else match["value"]
