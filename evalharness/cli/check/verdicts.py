"""A verdict that names prompts, or that compares a run with its baseline."""

from __future__ import annotations

from typing import NamedTuple

from evalharness.cli.gates import with_verdict

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
    def finding(self) -> str:
        """What was found and what is needed; the first prompts are named."""
        more = len(self.prompts) - _NAMED
        named = ", ".join(self.prompts[:_NAMED]) + (f" and {more} more" if more > 0 else "")
        prompts = f"; {self.prompts_are}: {named}" if self.prompts else ""
        return f"{self.name} {self.figures}{prompts}"

    @property
    def sentence(self) -> str:
        """The finding, behind ``ok`` or ``FAIL``."""
        return with_verdict(self.finding, holds=self.holds)

    @property
    def detail(self) -> tuple[str, ...]:
        """What is said of prompts, then every one of them; empty without any."""
        return (f"{self.prompts_are}:", *self.prompts) if self.prompts else ()


def unknown_verdict(label: str, what: str, reason: str) -> CheckVerdict:
    """What is unknown does not hold."""
    return CheckVerdict(label, what, holds=False, figures=f"unknown: {reason}")
