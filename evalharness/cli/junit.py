"""Verdicts of ``evalharness check`` as JUnit XML for CI servers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol
from xml.etree import ElementTree as ET

from evalharness.report.words.sanitize import printable


class CheckCase(Protocol):
    """A verdict, as the XML needs it."""

    @property
    def name(self) -> str:
        """What was checked, and of which setting."""
        ...

    @property
    def holds(self) -> bool:
        """Whether it holds."""
        ...

    @property
    def finding(self) -> str:
        """What was found and what is needed."""
        ...

    @property
    def sentence(self) -> str:
        """The finding, behind ``ok`` or ``FAIL``."""
        ...

    @property
    def detail(self) -> Sequence[str]:
        """What is said of prompts, then every one of them; empty without any."""
        ...


def junit_xml(run: str, cases: Sequence[CheckCase], unfinished: str | None) -> bytes:
    """One suite with a test case a verdict.

    Every attribute that the JUnit schemas of Ant and Jenkins ask for is there; nothing is timed, so
    ``time`` is 0. ``unfinished`` is why the run as a whole fails, None when it does not. What holds
    may name prompts that got worse, too: the suite's output has every verdict with its prompts.
    """
    failures = sum(1 for case in cases if not case.holds) + (unfinished is not None)
    counts = {
        "name": f"evalharness {_xml(run)}",
        "tests": str(len(cases) + (unfinished is not None)),
        "failures": str(failures),
        "errors": "0",
        "skipped": "0",
        "time": "0",
    }
    root = ET.Element("testsuites", {key: counts[key] for key in counts if key != "skipped"})
    suite = ET.SubElement(root, "testsuite", counts)
    for case in cases:
        _case(suite, run, case.name, None if case.holds else case.finding, case.detail)
    if unfinished is not None:
        _case(suite, run, "the run: complete", unfinished)
    lines = [line for case in cases for line in (case.sentence, *case.detail)]
    ET.SubElement(suite, "system-out").text = _xml("\n".join(lines))
    return ET.tostring(root, encoding="utf-8", xml_declaration=True)


def _case(
    suite: ET.Element, run: str, name: str, failure: str | None, detail: Sequence[str] = ()
) -> None:
    case = ET.SubElement(suite, "testcase", classname=_xml(run), name=_xml(name), time="0")
    if failure is not None:
        text = _xml(failure)
        element = ET.SubElement(case, "failure", message=text, type="gate")
        element.text = "\n".join([text, *map(_xml, detail)])


def _xml(text: str) -> str:
    """The characters that XML 1.0 can hold; it has no form for most control characters."""
    return "".join(
        c
        for c in printable(text)
        if c in "\n\t" or (" " <= c < "\ud800") or (c >= "\ue000" and c not in "\ufffe\uffff")
    )
