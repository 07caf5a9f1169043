"""Content that a process made, as a part of a page or alone for the script that asked for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response

from evalharness.view.content.jobs import Answer, Content, ContentPart
from evalharness.view.context import ViewContext

if TYPE_CHECKING:
    from markupsafe import Markup


def markup(answer: Answer | None) -> list[tuple[ContentPart, Markup]]:
    """The parts with what they show, where there is content."""
    from markupsafe import Markup

    if not isinstance(answer, Content):
        return []
    return [(part, Markup(part.html)) for part in answer.parts]  # noqa: S704 — of our templates


def fragment(context: ViewContext, answer: Answer | None) -> Response:
    """The parts alone."""
    return context.page("content.html", answer=answer, parts=markup(answer))
