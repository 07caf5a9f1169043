"""An output as Markdown: laid out, and inert.

Nothing of it is a link, an image, a style or HTML: links and images are shown as their texts with
their addresses beside them, HTML as text.
"""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from evalharness.report.words.sanitize import printable
from evalharness.view.record.texts import CutText

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token
    from markupsafe import Markup

_TOP_HEADING = 3  # the level of a heading of the first level: the page has its own above


def markdown_html(text: CutText) -> Markup:
    """The text laid out; what is cut off is not in it."""
    from markupsafe import Markup

    # The renderer escapes every text, and has no other source of markup: HTML is off.
    return Markup(_parser().render(printable(text.text)))  # noqa: S704


@cache
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False, "linkify": False}).enable(
        ["table", "strikethrough"]
    )
    # Any address may stand in the text: none is ever followed.
    parser.validateLink = lambda url: True  # pyright: ignore[reportAttributeAccessIssue]
    rules: dict[str, Any] = {
        "link_open": _link_open, "link_close": _link_close, "image": _image,
        "heading_open": _heading, "heading_close": _heading, "th_open": _cell, "td_open": _cell,
        "fence": _code,
    }  # fmt: skip
    for name, rule in rules.items():
        parser.add_render_rule(name, rule)
    return parser


def _escape(text: object) -> str:
    from markupsafe import escape

    return str(escape(str(text)))


def _link_open(self: Any, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    _links(env).append(str(tokens[index].attrs.get("href", "")))
    return '<span class="inert-link">'


def _link_close(self: Any, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    links = _links(env)
    address = _escape(links.pop() if links else "")
    return f'</span><span class="address"> ({address})</span>'


def _links(env: MutableMapping[str, Any]) -> list[str]:
    return env.setdefault("open links", [])


def _image(self: Any, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    token = tokens[index]
    address = _escape(token.attrs.get("src", ""))
    named = f": {_escape(token.content)}" if token.content else ""
    return (
        f'<span class="inert-link">[image{named}]</span><span class="address"> ({address})</span>'
    )


def _heading(self: Any, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    token = tokens[index]
    level = min(6, int(token.tag[1:]) + _TOP_HEADING - 1)
    return f"<h{level}>" if token.nesting > 0 else f"</h{level}>\n"


def _cell(self: Any, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    """A cell without the style attribute of its alignment, which the content policy forbids."""
    token = tokens[index]
    is_right = "right" in str(token.attrs.get("style", ""))
    return f'<{token.tag} class="number">' if is_right else f"<{token.tag}>"


def _code(self: Any, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    return f"<pre><code>{_escape(tokens[index].content)}</code></pre>\n"
