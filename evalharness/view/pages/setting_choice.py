"""``?setting=ID&setting=ID``: the settings of a run that a page is restricted to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple
from urllib.parse import urlencode

from evalharness.errors import EvalharnessError
from evalharness.store.folder.run import Run
from evalharness.view.pages.setting_labels import setting_labels
from evalharness.view.queries.record_filter import BadParameterError


class SettingChoice(NamedTuple):
    """What there is to choose from, and what is chosen.

    Attributes:
        labels: of the settings by id, in the order of the run.
        earlier: ids of those that are no longer in its plan, and so not in its report.
        chosen: ids in the same order; empty for all.
    """

    labels: Mapping[str, str]
    earlier: frozenset[str]
    chosen: tuple[str, ...]

    @property
    def query(self) -> str:
        """What an address needs to say the same, with its question mark; empty for all."""
        return "?" + urlencode([("setting", key) for key in self.chosen]) if self.chosen else ""

    @property
    def names(self) -> list[str]:
        """The labels of those chosen."""
        return [self.labels[key] for key in self.chosen]

    @property
    def planned(self) -> dict[str, str]:
        """The labels of those in the plan, by id."""
        return {key: label for key, label in self.labels.items() if key not in self.earlier}

    def is_of(self, setting_id: str) -> bool:
        """Whether what belongs to a setting is shown."""
        return not self.chosen or setting_id in self.chosen


def setting_choice(run: Run, wanted: Sequence[str], *, reported: bool = False) -> SettingChoice:
    """The settings that an address names.

    Args:
        run: the run.
        wanted: ids; empty ones do not count, and all of the settings are as none.
        reported: those of earlier plans cannot be chosen.

    Raises:
        BadParameterError: the run has no such setting; the hint names those it has.
    """
    try:
        table = run.table("settings")
        labels = setting_labels(run.setting_list)
    except EvalharnessError:  # the report says what is wrong with the file
        return SettingChoice({}, frozenset(), ())
    ids = [str(key) for key in table["setting_id"].to_pylist()]
    planned = dict(zip(ids, table["in_current_plan"].to_pylist(), strict=True))
    earlier = frozenset(key for key in ids if not planned[key])
    known = [key for key in ids if not (reported and key in earlier)]
    for key in filter(None, wanted):
        if key not in known:
            named = [f"{each} ({labels[each]})" for each in known]
            raise BadParameterError("setting", key, named or "the run lists none")
    chosen = tuple(key for key in known if key in wanted)
    return SettingChoice(labels, earlier, () if len(chosen) == len(known) else chosen)
