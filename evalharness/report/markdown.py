"""The report as Markdown, for a pull request or the summary of a CI job.

It has figures and names, but no texts of models.
"""

from __future__ import annotations

from evalharness.report.registry import SECTIONS
from evalharness.report.section import ReportData


def as_markdown(report: ReportData) -> str:
    """The report of one run as GitHub-flavoured Markdown."""
    blocks = [
        block
        for section in SECTIONS
        if section.markdown is not None
        for block in section.markdown(report)
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"
