"""The outputs of a prompt grouped by identity, across settings and runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from evalharness.errors import EvalharnessError
from evalharness.report.build.prompt_outputs import COLUMNS, ShownOutput
from evalharness.report.html.excerpts import Piece, word_diff
from evalharness.store.folder.run import Run
from evalharness.view.queries.record_lookup import find_prompt, prompt_records, unknown_prompt
from evalharness.view.record.read import plain_rows, shown_outputs
from evalharness.view.record.texts import MAX_TEXT, CutText, cut

_SHARED = 0.3  # of a text that is shown by its differences
_MAX_LINKS = 12  # records of a setting that are linked


class RunOutputs(NamedTuple):
    """The outputs of a prompt in one run.

    Attributes:
        key: of the run.
        prompt: its row of ``prompts.parquet``; None where there is none.
        outputs: by setting, in the order of the run, and repeat.
        labels: of the settings.
        problem: why they have no scores; None where they have.
    """

    key: str
    prompt: Mapping[str, Any] | None
    outputs: list[ShownOutput]
    labels: Mapping[str, str]
    problem: EvalharnessError | None


class GroupPlace(NamedTuple):
    """Where a text was said: so many times of all repeats of a setting, and by which records."""

    run: str
    label: str
    times: int
    repeats: int
    records: list[tuple[int, str]]


class TextGroup(NamedTuple):
    """Equal outputs.

    Attributes:
        text: as it is shown.
        is_text: whether it is one; else a refusal, tool calls or an error.
        status: of the records; several where they differ.
        times: how many records.
        places: run by run, setting by setting.
        example: the first of them, with its answer and scores.
        scores: of the first scorer, lowest and highest; None where none has one.
        agree: whether all have the same answer and scores.
        is_commonest: whether it is the text that others are compared with.
        is_unlike: whether it shares so little with that one that no words are marked.
        pieces: the words of the commonest text and of this one; empty where none are marked.
    """

    text: CutText
    is_text: bool
    status: str
    times: int
    places: list[GroupPlace]
    example: ShownOutput
    scores: tuple[float, float] | None
    agree: bool
    is_commonest: bool
    is_unlike: bool
    pieces: list[Piece]


class Groups(NamedTuple):
    """The outputs, the commonest first, and the errors apart; ``times`` is of all records."""

    outputs: list[TextGroup]
    errors: list[TextGroup]
    times: int


def run_outputs(key: str, run: Run, prompt_id: str, *, must_exist: bool = False) -> RunOutputs:
    """The outputs of a prompt in a run; none where it has no such prompt.

    Raises:
        UnknownIdError: the prompt ``must_exist``, and is in neither the prompts nor the records.
    """
    prompts, records = find_prompt(run, prompt_id), prompt_records(run, prompt_id, COLUMNS)
    if must_exist and not len(prompts) and not len(records):
        raise unknown_prompt(run, prompt_id)
    settings = run.setting_list
    order = {setting.setting_id: place for place, setting in enumerate(settings)}
    outputs, problem = shown_outputs(run, records, prompts)
    return RunOutputs(
        key=key,
        prompt=next(iter(plain_rows(prompts)), None),
        outputs=sorted(
            outputs, key=lambda each: (order.get(each.setting_id, len(order)), each.repeat)
        ),
        labels={setting.setting_id: setting.label for setting in settings},
        problem=problem,
    )


def group_outputs(runs: Sequence[RunOutputs]) -> Groups:
    """Equal outputs of all runs together, compared with the commonest text."""
    members_by_text: dict[tuple[str, bool, bool], list[tuple[RunOutputs, ShownOutput]]] = {}
    for run in runs:
        for output in run.outputs:
            key = (output.shown, output.is_text, output.status == "error")
            members_by_text.setdefault(key, []).append((run, output))
    ordered = sorted(members_by_text.items(), key=lambda item: -len(item[1]))
    texts = [shown for (shown, is_text, _), _ in ordered if is_text]
    commonest = texts[0] if texts else None
    sizes = _repeats(runs)
    outputs: list[TextGroup] = []
    errors: list[TextGroup] = []
    for (shown, is_text, is_error), members in ordered:
        group = _group(shown, is_text, members, sizes, commonest if is_text else None)
        (errors if is_error else outputs).append(group)
    return Groups(outputs, errors, sum(len(run.outputs) for run in runs))


def _repeats(runs: Sequence[RunOutputs]) -> dict[tuple[str, str], int]:
    """Records by run and setting."""
    sizes: dict[tuple[str, str], int] = {}
    for run in runs:
        for output in run.outputs:
            place = (run.key, output.setting_id)
            sizes[place] = sizes.get(place, 0) + 1
    return sizes


def _group(
    shown: str, is_text: bool, members: Sequence[tuple[RunOutputs, ShownOutput]],
    sizes: Mapping[tuple[str, str], int], reference: str | None,
) -> TextGroup:  # fmt: skip
    by_place: dict[tuple[str, str], list[tuple[RunOutputs, ShownOutput]]] = {}
    for run, output in members:
        by_place.setdefault((run.key, output.setting_id), []).append((run, output))
    places = [
        GroupPlace(
            run=key,
            label=own[0][0].labels.get(setting_id, setting_id),
            times=len(own),
            repeats=sizes[key, setting_id],
            records=[(output.repeat, output.trial_id) for _, output in own[:_MAX_LINKS]],
        )
        for (key, setting_id), own in by_place.items()
    ]
    outputs = [output for _, output in members]
    scores = [
        each.verdicts[0].score for each in outputs
        if each.verdicts and each.verdicts[0].score is not None
    ]  # fmt: skip
    verdicts = {
        (each.answer, tuple((v.scorer, v.score) for v in each.verdicts)) for each in outputs
    }
    is_compared = reference is not None and shown != reference
    pieces = _pieces(reference[:MAX_TEXT], shown[:MAX_TEXT]) if reference and is_compared else []
    return TextGroup(
        text=cut(shown, _chars(pieces) if pieces else MAX_TEXT),
        is_text=is_text,
        status=", ".join(dict.fromkeys(output.status for output in outputs)),
        times=len(members),
        places=places,
        example=outputs[0],
        scores=(min(scores), max(scores)) if scores else None,
        agree=len(verdicts) == 1,
        is_commonest=shown == reference,
        is_unlike=is_compared and not pieces,
        pieces=pieces,
    )


def _chars(pieces: Sequence[Piece]) -> int:
    """How much of the second text is in the pieces: words beyond some thousands are not."""
    return sum(len(piece.text) for piece in pieces if piece.kind != "removed")


def _pieces(reference: str, shown: str) -> list[Piece]:
    """The words of both; none where they share so little that one would read the other twice."""
    pieces = word_diff(reference, shown)
    same = sum(len(piece.text) for piece in pieces if piece.kind == "same")
    return pieces if same >= _SHARED * max(len(shown), 1) else []
