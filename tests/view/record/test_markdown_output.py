"""Markdown of a model is laid out and does nothing."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalharness.view.record.markdown_output import markdown_html
from evalharness.view.record.texts import cut
from tests.report.runs import PAYLOADS
from tests.view.record_runs import HOSTILE_MARKDOWN

ALLOWED = {
    "p", "h3", "h4", "h5", "h6", "ul", "ol", "li", "blockquote", "pre", "code", "em", "strong",
    "s", "hr", "br", "span", "table", "thead", "tbody", "tr", "th", "td",
}  # fmt: skip
PIECES = ["[", "](", ")", "!", "<", ">", "javascript:x", "http://127.0.0.1:9/", '"', "'", "`", "#",
          " ", "\n", "\n\n", "|", "|--|", "---:", "*", "_", "~~", "data:text/html,x", "&lt;", "a",
          "\\", "]: ", "<script>", "onload=1", "1. ", "- ", "    ", "```"]  # fmt: skip


class Tags(HTMLParser):
    """The tags and attributes of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}


def check(text: str) -> None:
    tags = Tags(str(markdown_html(cut(text))))
    assert tags.tags <= ALLOWED, text
    assert tags.attributes <= {"class", "start"}, text


@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=3)).map("".join))
def test_no_tag_and_no_attribute_of_an_output(text: str) -> None:
    check(text)


@pytest.mark.parametrize("text", [*PAYLOADS, HOSTILE_MARKDOWN])
def test_hostile_outputs(text: str) -> None:
    check(text)


def test_addresses_are_shown() -> None:
    """What a link would have led to is there as a text; so is the address of an image."""
    page = str(markdown_html(cut("[a](javascript:x) ![b *c*](http://h/x.png) <http://h/>")))
    assert '<span class="inert-link">a</span><span class="address"> (javascript:x)</span>' in page
    assert "[image: b *c*]" in page
    assert "(http://h/x.png)" in page
