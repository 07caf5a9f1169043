"""Code blocks in Markdown texts, found by a CommonMark parser, that may hold JSON."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

_FENCES = ("```", "~~~")
_JSON_WORDS = frozenset({"json", "application/json"})  # not its dialects: json5, jsonc


class _Block(NamedTuple):
    """What may be JSON, with the fence it stands in; ``language`` "" where none is named."""

    language: str
    text: str
    fence: str


def json_blocks(text: str) -> Iterator[str]:
    """The contents of blocks that may be JSON: those called ``json``, then those without a name.

    Read besides what CommonMark calls a fence: one on a single line, as models write it
    (```` ```json {} ``` ````), and one whose end stands behind the last line of its content.
    """
    blocks = list(_blocks(text))
    for named in (True, False):
        for block in blocks:
            if (block.language in _JSON_WORDS) if named else not block.language:
                yield block.text
                before_end, end, _ = block.text.partition(block.fence)
                if end:
                    yield before_end


def _blocks(text: str, depth: int = 0) -> Iterator[_Block]:
    if not any(fence in text for fence in _FENCES):
        return
    for token in _parser().parse(text):
        if token.type == "fence":
            yield _of_fence(token.info.strip(), token.content, token.markup)
        elif token.type == "code_block" and depth == 0:
            yield from _blocks(token.content, depth + 1)  # a fence that is indented as a whole
        for child in token.children or ():
            if child.type == "code_inline" and len(child.markup) >= 3:
                yield _of_fence(child.content.strip(), "", child.markup)


def _of_fence(info: str, content: str, fence: str) -> _Block:
    """A fence by its info string, in which the content begins where models write on one line."""
    start = min((at for sign in "{[" if (at := info.find(sign)) >= 0), default=len(info))
    words = info[:start].split()
    language = words[0].lower() if words else ""
    if language not in _JSON_WORDS and language and start:
        return _Block(language, content, fence)
    if start < len(info):
        return _Block(language, f"{info[start:]}\n{content}", fence)
    if not content.strip():
        return _Block(language, " ".join(words[1:]), fence)
    return _Block(language, content, fence)


@lru_cache(maxsize=1)
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    parser: Any = MarkdownIt("commonmark")
    # Texts of models have tags around blocks that are no HTML: <answer>, <tool_call>.
    return parser.disable(["html_block", "html_inline"])
