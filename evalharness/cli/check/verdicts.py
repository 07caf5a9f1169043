"""A verdict that names prompts, or that compares a run with its baseline."""

from __future__ import annotations

from typing import NamedTuple

_NAMED = 10  # prompts in a sentence; the JUnit file and the summary have all


class CheckVerdict(NamedTuple):
    """Whether something held for one setting.

    ``figures`` says what was measured and needed; ``prompts`` are those at fault, each with what it
    did, under what ``prompts_are`` says of them.
    """

    label: str
    what: str
    holds: bool
    figures: str
    prompts: tuple[str, ...] = ()
    prompts_are: str = ""

    @property
    def name(self) -> str:
        """What was checked, and of which setting."""
        return f"{self.label}: {self.what}"

    @property
    def sentence(self) -> str:
        """The verdict in words, beginning with ``ok`` or ``FAIL``; the first prompts are named."""
        verdict = "ok  " if self.holds else "FAIL"
        more = len(self.prompts) - _NAMED
        named = ", ".join(self.prompts[:_NAMED]) + (f" and {more} more" if more > 0 else "")
        prompts = f"; {self.prompts_are}: {named}" if self.prompts else ""
        return f"{verdict} {self.label}: {self.what} {self.figures}{prompts}"

    @property
    def detail(self) -> str:
        """Every prompt that the verdict speaks of, one a line; empty without any."""
        if not self.prompts:
            return ""
        return "\n".join([f"{self.prompts_are}:", *self.prompts])


def unknown_verdict(label: str, what: str, reason: str) -> CheckVerdict:
    """What is unknown does not hold."""
    return CheckVerdict(label, what, holds=False, figures=f"unknown: {reason}")
