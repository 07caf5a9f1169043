"""What a record is compared with, word by word: another repeat, setting or run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from evalharness.errors import EvalharnessError, UnknownIdError
from evalharness.report.html.excerpts import Piece, word_diff
from evalharness.store.folder.annotations import TrialKey
from evalharness.view.links import record_url
from evalharness.view.record.read import FoundRecord, counterpart, read_record
from evalharness.view.runs import ViewedRuns

TRIAL, RUN = "trial:", "run:"
_MAX_TRIALS, _MAX_RUNS = 1_000, 500  # to choose from
MAX_WORDS = 3_000  # see word_diff
_MAX_DIFF = 200_000  # characters: words beyond 3,000 are not compared anyway


class ChoiceGroup(NamedTuple):
    """DiffChoices under a heading: value and text of each."""

    heading: str
    options: list[tuple[str, str]]


class DiffChoices(NamedTuple):
    """All that a record can be compared with; ``chosen`` is the value that is."""

    groups: list[ChoiceGroup]
    chosen: str | None


class RecordDifference(NamedTuple):
    """Two outputs word by word: ``removed`` is only in the other one.

    Attributes:
        pieces: empty where one has no text.
        problem: why there is none to compare with; None where there is.
        name: what the other is.
        url: of the other.
        is_same: whether both are equal.
        is_cut: whether more words follow that are not compared.
    """

    pieces: list[Piece]
    problem: str | None = None
    name: str = ""
    url: str = ""
    is_same: bool = False
    is_cut: bool = False


def choices(
    runs: ViewedRuns, key: str, record: FoundRecord, keys: Sequence[TrialKey], against: str | None
) -> DiffChoices:
    """What the record can be compared with: those of its prompt, and other runs."""
    labels = {setting.setting_id: setting.label for setting in record.run.setting_list}
    by_setting: dict[str, list[tuple[str, str]]] = {}
    for other in keys[:_MAX_TRIALS]:
        if other.trial_id != record.output.trial_id:
            option = (f"{TRIAL}{other.trial_id}", f"repeat {other.repeat}")
            by_setting.setdefault(other.setting_id, []).append(option)
    own = record.output.setting_id
    ordered = sorted(by_setting, key=lambda setting_id: setting_id != own)
    groups = [
        ChoiceGroup(
            "this setting" if setting_id == own else labels.get(setting_id, setting_id),
            [(value, text if setting_id == own else f"{labels.get(setting_id, setting_id)}, {text}")
             for value, text in by_setting[setting_id]],
        )
        for setting_id in ordered
    ]  # fmt: skip
    names = [run.key for run in runs.find_all() if run.key != key][:_MAX_RUNS]
    if names:
        groups.append(ChoiceGroup("runs", [(f"{RUN}{name}", name) for name in names]))
    first = groups[0].options[0][0] if groups else None
    return DiffChoices(groups, against or first)


def difference(
    runs: ViewedRuns, key: str, record: FoundRecord, chosen: str | None
) -> RecordDifference:
    """The words of the other output and of this one."""
    if chosen is None:
        return RecordDifference([], "there is no other record of this prompt, and no other run")
    try:
        other_key, other = _other(runs, key, record, chosen)
    except EvalharnessError as error:
        return RecordDifference([], error.message)
    first, second = other.output.shown, record.output.shown
    label = other.row["setting_id"] if other.setting is None else other.setting.label
    place = "" if other_key == key else f"run {other_key}: "
    pieces = word_diff(first[:_MAX_DIFF], second[:_MAX_DIFF])
    compared = [
        sum(len(piece.text) for piece in pieces if piece.kind in kinds)
        for kinds in (("same", "removed"), ("same", "added"))
    ]
    return RecordDifference(
        pieces,
        name=f"{place}{label}, repeat {other.output.repeat}",
        url=record_url(other_key, other.output.trial_id),
        is_same=first == second,
        is_cut=compared != [len(first), len(second)],
    )


def _other(runs: ViewedRuns, key: str, record: FoundRecord, chosen: str) -> tuple[str, FoundRecord]:
    if chosen.startswith(TRIAL):
        return key, read_record(record.run, chosen.removeprefix(TRIAL))
    if not chosen.startswith(RUN):
        raise UnknownIdError(f"`{chosen[:80]}` is no record and no run to compare with")
    other_key = chosen.removeprefix(RUN)
    other_run = runs.find(other_key).open()
    key_there = counterpart(other_run, record)
    if key_there is None:
        raise UnknownIdError(f"the run `{other_key}` has no record of this prompt")
    return other_key, read_record(other_run, key_there.trial_id)
