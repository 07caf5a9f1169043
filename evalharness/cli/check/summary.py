"""The verdicts of ``check`` as Markdown, for a pull request or the summary of a CI job.

It has figures and names, but no texts of models.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

from evalharness.cli.junit import CheckCase
from evalharness.report.words.sanitize import printable

_MAX_PROMPTS = 200  # in all: GitHub takes no comment above 65,536 characters


def check_markdown(
    run: str, cases: Sequence[CheckCase], unfinished: str | None, baseline: str | None
) -> str:
    """A heading, a table with what fails first, and the prompts that are at fault.

    ``unfinished`` is why the run as a whole fails, ``baseline`` what it was compared with; None
    where there is nothing to say.
    """
    failed = [case for case in cases if not case.holds]
    held = [case for case in cases if case.holds]
    total, bad = len(cases) + (unfinished is not None), len(failed) + (unfinished is not None)
    verdict = f"{bad} of {total} checks fail" if bad else f"all {total} checks hold"
    lines = [f"### {_cell(run)}: {verdict}", ""]
    if baseline is not None:
        lines += [_cell(baseline), ""]
    lines += ["| | Check |", "|---|---|"]
    if unfinished is not None:
        lines.append(f"| ❌ | the run: {_cell(unfinished)} |")
    for mark, group in (("❌", failed), ("✅", held)):
        lines += [f"| {mark} | {_cell(case.finding)} |" for case in group]
    left = _MAX_PROMPTS
    for case in (*failed, *held):
        if not case.detail or left <= 0:
            continue
        heading, *prompts = case.detail
        prompts_are = heading.removesuffix(":")
        shown = prompts[:left]
        left -= len(shown)
        more = len(prompts) - len(shown)
        lines += ["", f"<details><summary>{_html(case.name)}: {_html(prompts_are)}</summary>", ""]
        lines += [f"- {_cell(prompt)}" for prompt in shown]
        lines += [f"- and {more} more"] if more else []
        lines += ["", "</details>"]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    """A text that neither a table, nor HTML, nor a mention of somebody can come out of."""
    return re.sub(r"([\\`*_\[\]|#~])", r"\\\1", _html(text))


def _html(text: str) -> str:
    """A text within HTML, where no Markdown is read, and a backslash would be shown."""
    flat = " ".join(printable(text).split())
    return escape(flat, quote=False).replace("@", "@\u200b")
