"""One module and one line make a section that every output shows."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence

import msgspec
import pytest
from rich.console import Console

from evalharness.report import build_report, console_report, html_report, json_schema, markdown
from evalharness.report.build.context import BuildContext
from evalharness.report.build_report import Report
from evalharness.report.json import as_json_text
from evalharness.report.registry import SECTIONS
from evalharness.report.section import ConsolePart, PagePart, Section
from evalharness.report.sections.run import RUN


class LongestPrompt(msgspec.Struct, frozen=True):
    """A prompt.

    Attributes:
        prompt_id: of the prompt.
    """

    prompt_id: str


def _build(context: BuildContext) -> LongestPrompt:
    return LongestPrompt(max(context.run_data.frame.prompt_ids, key=len))


LONGEST: Section[LongestPrompt] = Section(
    "longest",
    LongestPrompt,
    _build,
    console=lambda report, _: ConsolePart([f"longest: {report[LONGEST].prompt_id}"], ["a note"]),
    markdown=lambda report: [f"**Longest** {report[LONGEST].prompt_id}"],
    page=PagePart(
        anchor="longest",
        link="Longest",
        heading="Longest prompt",
        template="<p>{{ view.prompt_id }}</p>",
        view=lambda context: context.report[LONGEST],
    ),
    title="a prompt",
)


def test_a_section_in_the_registry_is_on_every_output(
    sweep: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    """JSON, its schema and page, console, Markdown and page show it, and nothing else is told of it."""
    sections: Sequence[Section[object]] = (*SECTIONS, LONGEST)
    for module in (build_report, console_report, html_report, json_schema, markdown):
        monkeypatch.setattr(module, "SECTIONS", sections)
    report = build_report.build_report(sweep.run).data
    name = report[LONGEST].prompt_id
    assert json.loads(as_json_text(report))["longest"] == {"prompt_id": name}
    assert "longest" in json_schema.json_schema()["properties"]
    assert "| `longest` | [LongestPrompt](#longestprompt) | a prompt |" in json_schema.markdown()
    out = io.StringIO()
    console_report.print_report(report, Console(file=out, width=100))
    assert f"longest: {name}" in out.getvalue()
    assert out.getvalue().rstrip().endswith("a note")
    assert f"**Longest** {name}" in markdown.as_markdown(report)
    page = html_report.render_report(report)
    assert '<a href="#longest">Longest</a>' in page
    assert f"<h2>Longest prompt</h2>\n<p>{name}</p>" in page


def test_sections_are_read_by_their_object(sweep: Report) -> None:
    """A section that a report does not have is a missing key."""
    assert sweep.data[RUN].name == "sweep"
    with pytest.raises(KeyError, match="longest"):
        sweep.data[LONGEST]


def test_every_section_with_data_says_what_it_is() -> None:
    """For the page about the JSON; keys are unique."""
    assert all(section.title for section in SECTIONS if section.build is not None)
    assert len({section.key for section in SECTIONS}) == len(SECTIONS)
