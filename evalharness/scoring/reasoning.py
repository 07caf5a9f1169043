"""Reasoning that a model wrote into its text, told from what it said.

A server that does not separate them delivers ``<think>Paris?</think>Lyon``. What was thought is not
what was answered, so it is neither scored nor searched for an answer unless ``answer.reasoning``
is ``keep``. Only what a text begins with is reasoning; a tag later on is text.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

ReasoningMode = Literal["strip", "keep"]
_BLANKS = re.compile(r"[\s\u200b\u2060\ufeff]*")
_FIRST = frozenset("<[◁a\u200b\u2060\ufeff")  # characters that reasoning can begin with
# What a reasoning block begins and ends with. Tags may have attributes and any case.
_TAGS = re.compile(
    r"<(?P<tag>(?:seed:)?think(?:ing)?|thoughts?|reasoning)(?:\s[^<>/]{0,200})?/?>"
    r"|\[(?P<bracket>THINK|REASONING)\]"
    r"|(?P<token>◁think▷|<\|begin_of_thought\|>|<\|START_THINKING\|>|<\|channel>thought\b)",
    re.IGNORECASE,
)
_TOKEN_ENDS = {
    "◁think▷": re.compile("◁/think▷"),
    "<|begin_of_thought|>": re.compile(r"<\|end_of_thought\|>", re.IGNORECASE),
    "<|start_thinking|>": re.compile(r"<\|END_THINKING\|>", re.IGNORECASE),
    "<|channel>thought": re.compile(r"<channel\|>", re.IGNORECASE),
}
# A template may open the block in the prompt; the text then has the end alone. Between blanks or
# in quotes the tag is a word of a sentence.
_LONE_END = re.compile(
    r"(?<![`\"'“])(?:</(?P<tag>(?:seed:)?think(?:ing)?|thoughts?|reasoning)>"
    r"|\[/(?P<bracket>THINK|REASONING)\])(?![`\"'”])"
)
_ENDS = ("</th", "</reasoning>", "</seed:think", "[/THINK]", "[/REASONING]")  # what it begins with
_IN_SENTENCE = re.compile(r"[ \t]+\S")
# Harmony: <|start|>assistant<|channel|>NAME …<|message|>TEXT<|end|>
_HARMONY = re.compile(r"(?:<\|start\|>\s*assistant\s*)?<\|channel\|>")
_HARMONY_MESSAGE = re.compile(
    r"<\|channel\|>\s*(?P<channel>\w+)(?:(?!<\|message\|>|<\|channel\|>).){0,500}?<\|message\|>"
    r"(?P<text>.*?)(?=<\|(?:end|return|call|start|channel)\|>|\Z)",
    re.DOTALL,
)
# The same of a server that drops special tokens.
_BARE_HARMONY = re.compile(r"(?:assistant)?analysis(?=\S)(?s:.*?)assistantfinal")


class SplitText(NamedTuple):
    """A text without its reasoning.

    ``rest`` is what was said, "" where the reasoning was cut off. ``has_reasoning`` tells whether
    there was any, an empty block included; ``closed`` whether it ended.
    """

    rest: str
    has_reasoning: bool
    closed: bool


def split_reasoning(text: str) -> SplitText:
    """Part a text from the reasoning that it begins with."""
    first = text[:1]
    if first not in _FIRST and not first.isspace():
        return _split_at_lone_end(text)
    start = _blanks_end(text, 0)
    first = text[start : start + 1]
    if first == "<" and _HARMONY.match(text, start) is not None:
        return _split_harmony(text)
    if first == "a" and (match := _BARE_HARMONY.match(text, start)) is not None:
        return SplitText(text[match.end() :], True, True)
    return _split_blocks(text, start, has_reasoning=False)


def _split_blocks(text: str, start: int, *, has_reasoning: bool) -> SplitText:
    """Part a text from the blocks that begin at ``start``: some models think in several."""
    while (match := _TAGS.match(text, start)) is not None:
        end = match.end() if match[0].endswith("/>") else _block_end(text, match)
        if end is None:
            return SplitText("", True, False)
        has_reasoning, start = True, _blanks_end(text, end)
    return SplitText(text[start:], True, True) if has_reasoning else _split_at_lone_end(text)


def without_reasoning(text: str) -> str:
    """What remains of a text without the reasoning that it begins with."""
    return split_reasoning(text).rest


def scored_text(text: str | None, mode: ReasoningMode) -> str | None:
    """A text as scorers, judges and the extraction of answers see it."""
    return text if text is None or mode == "keep" else without_reasoning(text)


def _block_end(text: str, opening: re.Match[str]) -> int | None:
    """Where the block ends that begins the text; None where it was cut off."""
    if opening["token"] is not None:
        end = _TOKEN_ENDS[opening["token"].lower()].search(text, opening.end())
        return None if end is None else end.end()
    name = re.escape(opening["tag"] or opening["bracket"])
    left, right = (r"\[", r"\]") if opening["tag"] is None else ("<", ">")
    tags = re.compile(rf"{left}(?P<end>/)?{name}\s{{0,8}}{right}", re.IGNORECASE)
    depth, last = 1, None
    for tag in tags.finditer(text, opening.end()):
        depth += -1 if tag["end"] else 1
        if tag["end"]:
            last = tag.end()
        if depth == 0:
            break
    return last  # of tags that do not pair up (a thought may name its own tag), the last end


def _split_at_lone_end(text: str) -> SplitText:
    """Part a text from a block whose beginning is not in it."""
    # Finding fixed texts is by far the fastest.
    has_end = ("</" in text or "[/" in text) and any(end in text for end in _ENDS)
    match = _LONE_END.search(text) if has_end else None
    if match is None:
        return SplitText(text, False, False)
    before = text[: match.start()]
    if before.endswith((" ", "\t")) and _IN_SENTENCE.match(text, match.end()) is not None:
        return SplitText(text, False, False)
    opening = rf"<{match['tag']}[\s>]" if match["tag"] else rf"\[{match['bracket']}\]"
    if re.search(opening, before, re.IGNORECASE) is not None:
        return SplitText(text, False, False)
    return _split_blocks(text, _blanks_end(text, match.end()), has_reasoning=True)


def _blanks_end(text: str, start: int) -> int:
    blanks = _BLANKS.match(text, start)
    return start if blanks is None else blanks.end()


def _split_harmony(text: str) -> SplitText:
    """Of the channels, ``final`` is what the user is told."""
    messages = list(_HARMONY_MESSAGE.finditer(text))
    final = [m["text"] for m in messages if m["channel"].lower() == "final"]
    thought = any(m["channel"].lower() != "final" for m in messages) or not messages
    return SplitText("\n".join(final), thought, bool(final))
