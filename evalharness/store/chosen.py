"""Which rows a plan asks for, told block by block, so that no table need be whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evalharness.held import Codes, Keys
from evalharness.store.asked import Asked

if TYPE_CHECKING:
    import pyarrow as pa

Bools = NDArray[np.bool_]


class Chosen:
    """Tells which rows a plan asks for, block by block, from the codes of their columns."""

    def __init__(self, asked: Asked) -> None:
        self._repeats = asked.repeats
        self._keys = {name: Keys() for name in ("setting_id", "prompt_id")}
        self._among = {
            "setting_id": _Among(asked.settings["setting_id"].to_pylist()),
            "prompt_id": _Among(asked.prompts["prompt_id"].to_pylist()),
        }

    def rows(self, keys: Mapping[str, Keys], codes: Mapping[str, Codes], repeat: Any) -> Bools:
        """The rows asked for.

        Args:
            keys: what the codes stand for; the same for every block.
            codes: of setting_id and prompt_id.
            repeat: column of the rows.
        """
        found = np.ones(len(codes["setting_id"]), np.bool_)
        for name, among in self._among.items():
            found &= among.rows(keys[name], codes[name])
        if self._repeats is not None:
            found &= np.asarray(repeat) < self._repeats
        return found

    def rows_of(self, rows: pa.Table) -> Bools:
        """The same from the columns themselves, dictionaries of texts."""
        codes = {
            name: keys.codes(rows.column(name).combine_chunks())
            for name, keys in self._keys.items()
        }
        return self.rows(self._keys, codes, rows["repeat"])


class _Among:
    """Whether a value is among some, by its code."""

    def __init__(self, wanted: Iterable[Any]) -> None:
        self._wanted = set(wanted)
        self._found = np.zeros(0, np.bool_)  # by code

    def rows(self, keys: Keys, codes: Codes) -> Bools:
        new = [value in self._wanted for value in keys.values[len(self._found) :]]
        self._found = np.append(self._found, np.array(new, np.bool_))
        return self._found[codes]
