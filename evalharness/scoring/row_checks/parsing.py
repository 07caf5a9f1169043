"""Checks per row: the scorers that a row of a dataset carries (``scoring``), each with a weight.

:mod:`.column` applies them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from evalharness.errors import ConfigError, DatasetError
from evalharness.records import Prompt, canonical_json
from evalharness.scoring import parse_scoring
from evalharness.scoring.base import Scorer, is_object, json_type
from evalharness.scoring.config_parsing import expand_entries
from evalharness.scoring.scorers.checks import NAME

if TYPE_CHECKING:
    import pyarrow as pa


class Check(NamedTuple):
    """One check of a row.

    Attributes:
        label: unique in its row.
        scorer: the index of its scorer, which has neither a label nor a target.
        target: of the check itself; None takes the row's.
        weight: above 0.
    """

    label: str
    scorer: int
    target: Any
    weight: float


class RowChecks:
    """The checks of the rows of a dataset, each different scorer once.

    Attributes:
        scorers: the different ones.
        answer_from: a row with a check of the extracted answer; None where there is none.
    """

    def __init__(self) -> None:
        self.scorers: list[Scorer] = []
        self.answer_from: str | None = None
        self._numbers: dict[bytes, int] = {}
        self._parsed: dict[bytes, list[Check]] = {}  # rows mostly have the same checks
        self._rows: dict[str, list[Check]] = {}

    def add(self, prompt_id: str, entries: Sequence[Any], where: str) -> None:
        """Add the checks of a row: scorers as in a configuration, each perhaps with a weight.

        Raises:
            DatasetError: an entry cannot be read; ``where`` names the row.
        """
        key = canonical_json(entries)
        if key not in self._parsed:
            try:
                self._parsed[key] = self._parse(entries, where)
            except ConfigError as error:
                problem = error.message.replace("configuration key ", "key ", 1)
                raise DatasetError(f"{where}: {problem}", hint=error.hint) from None
        self._rows[prompt_id] = self._parsed[key]

    def _parse(self, entries: Sequence[Any], where: str) -> list[Check]:
        weights = [_weight(entry, f"scoring[{n}]") for n, entry in enumerate(entries)]
        raw = [_without(entry, "weight") for entry in entries]
        checks: list[Check] = []
        for entry, scorer, weight in zip(raw, parse_scoring(raw), weights, strict=True):
            if entry["name"] == NAME:
                raise ConfigError(f"configuration key `scoring`: `{NAME}` is what a row comes to")
            if scorer.of == "answer" and self.answer_from is None:
                self.answer_from = where
            key = canonical_json(_without(entry, "label", "target"))
            number = self._numbers.setdefault(key, len(self.scorers))
            if number == len(self.scorers):
                self.scorers.append(msgspec.structs.replace(scorer, label=None, target=None))
            checks.append(Check(scorer.label or entry["name"], number, scorer.target, weight))
        return checks

    def replace_scorers(self, replace: Callable[[Sequence[Scorer]], list[Scorer]]) -> None:
        """Put other scorers in place, in the same order."""
        self.scorers = replace(self.scorers)

    def of(self, prompt_id: str) -> Sequence[Check]:
        """The checks of a row; none where it has none."""
        return self._rows.get(prompt_id, ())

    def require_answers(self, *, known: bool) -> None:
        """Refuse checks of answers where no answers are defined.

        Raises:
            DatasetError: naming the row.
        """
        if self.answer_from is not None and not known:
            raise DatasetError(
                f"{self.answer_from}: a check has `of: answer`, and no answer is defined",
                hint="add e.g. answer={last_number: true}",
            )

    def __len__(self) -> int:
        return len(self._rows)


def _without(entry: Any, *names: str) -> Any:
    """The entry without some keys; what is no object is refused where scorers are parsed."""
    if not is_object(entry):
        return entry
    return {key: value for key, value in entry.items() if key not in names}


def _weight(entry: Any, where: str) -> float:
    weight: Any = entry.get("weight", 1.0) if is_object(entry) else 1.0
    if isinstance(weight, bool) or not isinstance(weight, int | float):
        raise ConfigError(
            f"configuration key `{where}.weight`: must be a number, got {json_type(weight)}"
        )
    if not 0 < weight < math.inf:
        raise ConfigError(f"configuration key `{where}.weight`: must be above 0, got {weight}")
    return float(weight)


def expand_row_checks(prompts: Sequence[Prompt], *, answers_known: bool) -> list[Prompt]:
    """The prompts, with presets and names among their checks as objects; every check is read.

    Raises:
        DatasetError: a check cannot be read, or needs answers and none are defined; it names the
            row.
    """
    checks = RowChecks()
    expanded: list[Prompt] = []
    for prompt in prompts:
        if prompt.scoring:
            entries = expand_entries(prompt.scoring)
            where = prompt.source or f"prompt {prompt.prompt_id}"
            checks.add(prompt.prompt_id, entries, where)
            prompt = msgspec.structs.replace(prompt, scoring=entries)
        expanded.append(prompt)
    checks.require_answers(known=answers_known)
    return expanded


def with_checks(scoring: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """A ``scoring`` list in which ``checks`` has a place: the last, unless it has one already."""
    # What is no object is refused where scorers are parsed.
    named = any(entry.get("name") == NAME for entry in scoring if is_object(entry))
    return [*scoring] if named else [*scoring, {"name": NAME}]


def read_row_checks(prompts: pa.Table) -> RowChecks:
    """The checks in the column ``scoring_json`` of a prompts table; none where it is absent.

    Raises:
        DatasetError: a check cannot be read, or needs what is not installed here.
    """
    checks = RowChecks()
    if "scoring_json" not in prompts.column_names:
        return checks
    named = prompts.select(["prompt_id", "scoring_json", "source"])
    for row in named.filter(named["scoring_json"].is_valid()).to_pylist():
        where = row["source"] or f"prompt {row['prompt_id']}"
        checks.add(str(row["prompt_id"]), msgspec.json.decode(row["scoring_json"]), str(where))
    return checks
