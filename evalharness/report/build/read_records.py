"""The records of a run as they are read: chosen, numbered and judged part by part."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from evalharness.columnar.row_store import Codes, Held
from evalharness.columnar.text_pool import OUTPUTS, Texts
from evalharness.report.build.load_points import Loaded
from evalharness.scoring.run_scores import Grader
from evalharness.scoring.unique_outputs import KEYS, TEXTS
from evalharness.store.folder.current_plan import Asked, Chosen
from evalharness.store.parts.streaming_read import Snapshot, key_columns

if TYPE_CHECKING:
    import pyarrow as pa

_TURN_S = 0.0005  # how long a thread may keep the interpreter's lock when another wants it


class Reader:
    """Reads the records that are reported.

    Args:
        load: says which of a benchmark's records are in figures.
        asked: the newest plan; None takes everything.
        texts: numbers the outputs.

    Attributes:
        held: the records read; columns of outputs hold numbers of the texts.
        outside: records that the plan does not ask for.
    """

    def __init__(self, load: Loaded, asked: Asked | None, texts: Texts, columns: list[str]) -> None:
        self._load = load
        self._chosen = None if asked is None else Chosen(asked)
        self._texts = texts
        self._columns = columns
        self.held = Held(key_columns("records", columns))
        self.outside = 0

    def read(self, stored: Snapshot, grader: Grader, *, numbered: bool) -> None:
        """Read all records, and judge them.

        Raises:
            StorageError: a file is damaged.
        """
        with _short_turns():
            for part in stored.parts(self._columns, numbered=numbered):
                kept = self._load.kept(part, lambda: bool(stored.filled(["phase"])))
                if kept is not None:
                    part = part.filter(kept)
                if len(part):
                    self._add(part, grader)

    def _add(self, part: pa.Table, grader: Grader) -> None:
        keys = self.held.keys
        codes = {name: keys[name].codes(part[name].combine_chunks()) for name in keys}
        if self._chosen is not None:
            asked = self._chosen.rows(keys, codes, part["repeat"])
            if not asked.all():
                self.outside += int((~asked).sum())
                part = part.filter(asked)
                codes = {name: column[asked] for name, column in codes.items()}
        if not len(part):
            return
        for place, name in enumerate(part.column_names):
            if name in OUTPUTS:
                part = part.set_column(place, name, self._texts.add(part[name]))
        self.held.add(part, codes)
        grader.add({**_of(codes), **grader.coded(part.select(_TEXTS), numbered=True)})


_TEXTS = list(TEXTS)


def _of(codes: dict[str, Codes]) -> dict[str, Codes]:
    return {name: codes[name] for name in KEYS}


@contextmanager
def _short_turns() -> Generator[None]:
    """Let the thread that reads have the interpreter's lock when it needs it, which is seldom.

    Judging texts never waits for anything, so it would keep the lock for 5 ms at a time; the next
    part, read meanwhile, would not be there when this one is done.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(_TURN_S)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
