"""Is a JSON schema obeyed, and the choice of a tool?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

from evalharness.card.answers import CardAnswers
from evalharness.card.protocol import NAMED_TOOL
from evalharness.card.result import (
    CheckFinding,
    counted,
    share_figure,
    share_verdict,
    unmeasurable,
)

_Rule = Callable[[tuple[str, ...]], bool]


class _Thing(msgspec.Struct, forbid_unknown_fields=True):
    """What the schema of the protocol allows."""

    colour: Literal["red", "green", "blue"]
    heavy: bool


def _is_valid(text: str) -> bool:
    try:
        msgspec.json.decode(text, type=_Thing)
    except msgspec.MsgspecError:
        return False
    return True


def json_schema(answers: CardAnswers) -> CheckFinding:
    """Is every text JSON that the schema allows? Nothing in the prompt asks for JSON.

    Texts that a limit cut are not counted.
    """
    topics = answers["json_schema"].by_topic()
    valid = share_figure(
        "texts are valid by the schema",
        {t: [_is_valid(a.text or "") for a in g if not a.is_cut] for t, g in topics.items()},
    )
    cut = sum(answer.is_cut for given in topics.values() for answer in given)
    if valid is None:
        return unmeasurable("every text was cut by the limit of tokens")
    more = f"; {cut} more were cut by the limit of tokens" if cut else ""
    return CheckFinding(share_verdict(valid), counted(valid) + more, [valid])


def required_tool(answers: CardAnswers) -> CheckFinding:
    """Does ``required`` call a tool, where the prompt needs none?"""
    return _calls(answers, "tool_choice-required", "answers call a tool", bool)


def no_tool(answers: CardAnswers) -> CheckFinding:
    """Does ``none`` call no tool, where the prompt needs one?"""
    control = _calls(answers, "tool_choice-required", "", bool)
    if not control.figures or not control.figures[0].count:
        return unmeasurable("no tool is called where one is required, either")
    return _calls(answers, "tool_choice-none", "answers call no tool", lambda calls: not calls)


def named_tool(answers: CardAnswers) -> CheckFinding:
    """Is the named tool called, where the prompt needs the other one?"""
    name = f"answers call `{NAMED_TOOL}` alone"
    return _calls(answers, "tool_choice-named", name, lambda calls: set(calls) == {NAMED_TOOL})


def _calls(answers: CardAnswers, arm: str, name: str, holds: _Rule) -> CheckFinding:
    """The rule on the calls of each answer that a limit did not cut before it began."""
    figure = share_figure(
        name,
        {
            t: [holds(a.calls) for a in given if a.calls or a.text or not a.is_cut]
            for t, given in answers[arm].by_topic().items()
        },
    )
    if figure is None:
        return unmeasurable("every answer was cut before it began")
    return CheckFinding(share_verdict(figure), counted(figure), [figure])
