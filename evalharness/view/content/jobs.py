"""What the process is asked for, and what it answers."""

from __future__ import annotations

import msgspec


class NamedRun(msgspec.Struct, frozen=True):
    """A run to open.

    Attributes:
        key: its name in addresses.
        root: its folder.
        location: what commands take for it.
    """

    key: str
    root: str
    location: str


class ReportJob(msgspec.Struct, frozen=True, tag="report"):
    """The sections of the report of a run.

    Attributes:
        run: the run.
        settings: ids of the only settings that it is about; empty for all.
    """

    run: NamedRun
    settings: tuple[str, ...] = ()


class CompareJob(msgspec.Struct, frozen=True, tag="compare"):
    """Runs compared with the first one."""

    runs: tuple[NamedRun, ...]


class ScoresJob(msgspec.Struct, frozen=True, tag="scores"):
    """The scores of every record, as a file.

    Attributes:
        run: the run.
        parts: the files of its records.
        unsealed: a file with those that only the journal holds; None without any.
        target: the file to write.
    """

    run: NamedRun
    parts: tuple[str, ...]
    unsealed: str | None
    target: str


class RegressionsJob(msgspec.Struct, frozen=True, tag="regressions"):
    """Which prompts of a run scored higher in another one, as a file."""

    run: NamedRun
    baseline: NamedRun
    target: str


Job = ReportJob | CompareJob | ScoresJob | RegressionsJob


class ContentPart(msgspec.Struct, frozen=True):
    """A part of a page.

    Attributes:
        anchor: the id of its element; empty where the markup has its own.
        link: its name among the links of the page; empty has none.
        heading: of the part; None has none.
        html: markup whose every value is escaped.
    """

    anchor: str
    link: str
    heading: str | None
    html: str


class Content(msgspec.Struct, frozen=True, tag="content"):
    """The parts in their order."""

    parts: list[ContentPart]


class Written(msgspec.Struct, frozen=True, tag="written"):
    """A file that was written: ``target`` of the job.

    Attributes:
        scorers: of scores: the scorers in the order of their columns.
        has_answers: of scores: whether there are answers.
        obstacles: of regressions: what keeps the runs from being compared.
    """

    scorers: list[str] = []
    has_answers: bool = False
    obstacles: list[str] = []


class Failure(msgspec.Struct, frozen=True, tag="failure"):
    """Why there is no content: a sentence, and what to do."""

    message: str
    hint: str | None


Answer = Content | Written | Failure
