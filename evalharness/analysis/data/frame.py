"""A run as numpy arrays: what every analysis starts from.

Rows are records in a fixed order (setting, prompt, repeat), whatever order the table had, so that
no figure depends on the order of the rows. A *cell* is one prompt under one setting.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from evalharness.analysis.data import encode, variants
from evalharness.analysis.data.encode import UNKNOWN, Bools, Floats, Ints
from evalharness.analysis.data.json_values import JsonValues
from evalharness.analysis.data.rate_samples import SettingRates
from evalharness.analysis.data.statuses import ERROR, STATUSES
from evalharness.records import Variant

if TYPE_CHECKING:
    from evalharness.columnar.record_store import RecordStore
    from evalharness.store.parts.streaming_read import LazyColumns

_T = TypeVar("_T", bound=np.generic)

#: The record columns that an analysis reads; a reader may leave the others on disk.
COLUMNS = (
    "prompt_id", "setting_id", "repeat", "status", "text", "refusal", "tool_calls_json",
    "finish_reason", "logprobs_json", "seed", "response_model", "system_fingerprint",
    "prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens", "cache_write_tokens",
    "cache_write_1h_tokens", "reasoning_tokens", "audio_prompt_tokens", "audio_completion_tokens",
    "billed_usd", "sent_at", "latency_s", "ttft_s", "last_content_s", "in_flight", "answer",
    "score", "cost_usd_imported", "batch_id", "request_json",
)  # fmt: skip

#: Those of them that stay on disk, and are read for a few records only.
LAZY_COLUMNS = ("logprobs_json", "request_json")

_CACHE_BYTES = 64 * 2**20  # of decoded columns of numbers


class RunFrame(msgspec.Struct, frozen=True, eq=False, dict=True, kw_only=True):
    """Records of one run, encoded. :func:`.frame_builder.build_frame` makes it.

    Arrays have one entry a record, in the frame's order. ``rows`` are positions in ``records``.

    Attributes:
        setting_ids: settings in the order of the settings table, then any it lacks.
        prompt_ids: prompts in the order of the prompts table, then any it lacks.
        setting, prompt, repeat: codes (indices into the two lists) and the repeat's number.
        status: index into :data:`STATUSES`.
        output: code of the whole output (text, refusal, tool calls), comparable within a prompt;
            -1 where it is not known (an import without texts).
        answer: code of the parsed answer, -1 unparsed; None when no answers were extracted.
        scores: by scorer, NaN where not scored. Errors are never scored; a refused record counts
            0 where its prompt has a target, else it is not scored. The first is the primary.
        cost_usd: cost in US dollars, NaN unknown; None when nothing was priced.
        has_target: one entry a prompt.
        clusters: one cluster number a prompt (a prompt without one is alone in its own); None
            when no prompt names a cluster.
        request_cells: of a benchmark ``goodput`` and ``itl_s`` in each cell, with how many requests
            stand behind each value (:func:`.measured_requests.request_cells`).
        rates: of a benchmark the rates of each setting's load point, by metric and setting id.
        lazy_columns: reads the columns that are too wide for memory, by the ``row`` column.
        answer_texts: the answers by code, an Arrow array; None where the codes of ``answer`` are
            numbers of the records' texts.

    """

    records: RecordStore
    setting_ids: list[str]
    prompt_ids: list[str]
    setting_rows: list[dict[str, Any]]
    rows: Ints
    setting: Ints
    prompt: Ints
    repeat: Ints
    status: Ints
    output: Ints
    answer: Ints | None
    scores: dict[str, Floats]
    cost_usd: Floats | None
    has_target: Bools
    clusters: Ints | None
    lazy_columns: LazyColumns | None = None
    request_cells: dict[str, tuple[Floats, Ints]] = {}
    answer_texts: Any = None
    rates: SettingRates = {}

    # --- settings, prompts, records ------------------------------------------------------------

    @cached_property
    def shape(self) -> tuple[int, int]:
        """``(prompts, settings)``."""
        return len(self.prompt_ids), len(self.setting_ids)

    @cached_property
    def cells(self) -> int:
        """Number of cells: prompts × settings."""
        return len(self.prompt_ids) * len(self.setting_ids)

    @cached_property
    def cell(self) -> Ints:
        """The cell of each record, ascending: ``setting * prompts + prompt``."""
        cells = self.setting.astype(np.int64)
        cells *= len(self.prompt_ids)
        cells += self.prompt
        return encode.narrow(cells)

    @cached_property
    def setting_of_cell(self) -> Ints:
        """The setting of each cell."""
        return np.repeat(np.arange(len(self.setting_ids)), len(self.prompt_ids))

    @cached_property
    def unit_of_prompt(self) -> Ints:
        """The independent unit of each prompt: its cluster, or itself where none is named."""
        return np.arange(len(self.prompt_ids)) if self.clusters is None else self.clusters

    @cached_property
    def usable(self) -> Bools:
        """Records that hold an output: every status but ``error``."""
        return self.status != ERROR

    @cached_property
    def known(self) -> Bools:
        """Usable records whose output is known (an import may have none)."""
        return self.usable & (self.output != UNKNOWN)

    def rows_of(self, setting: int | str) -> slice:
        """The records of a setting: a slice of each array here."""
        index = self.index(setting)
        return slice(*self._bounds[index : index + 2])

    @cached_property
    def _bounds(self) -> list[int]:
        """The first row of each setting, and the number of rows."""
        counts = np.bincount(self.setting, minlength=len(self.setting_ids))
        return [0, *np.cumsum(counts).tolist()]

    def index(self, setting: int | str) -> int:
        """Position of a setting given by position or id."""
        return setting if isinstance(setting, int) else self.setting_ids.index(setting)

    def label(self, setting: int | str) -> str:
        """Say what varies within the run, in words."""
        return str(self.setting_rows[self.index(setting)]["label"])

    def params(self, setting: int | str) -> JsonValues:
        """What a setting sends: parameters, ``provider``, ``model``, ``system``, ``template``.

        What stands under ``extra`` is ``extra.NAME``, as axes are called. Keys that are null are
        absent. Of an import, whose parameters may be unknown, an axis gives its value.
        """
        row = self.setting_rows[self.index(setting)]
        plain = {key: row.get(key) for key in ("provider", "model", "system", "template")}
        params: dict[str, Any] = dict(row["params"])
        extra: dict[str, Any] = params.pop("extra", None) or {}
        others = {f"extra.{name}": value for name, value in extra.items()}
        names = self.named_values(setting)
        unnamed = {key: value for key, value in row["axes"].items() if key not in names}
        merged = {**plain, **params, **others, **unnamed}
        return {key: value for key, value in merged.items() if value is not None}

    def compared_values(self, setting: int | str) -> JsonValues:
        """The same, with the name of each value that has one: what comparisons and tables show."""
        axes, values = self.axes(setting), self.params(setting)
        if "extra" in axes:  # one name stands for all of them
            values = {key: value for key, value in values.items() if not key.startswith("extra.")}
        return {key: value for key, value in {**values, **axes}.items() if value is not None}

    def named_values(self, setting: int | str) -> dict[str, Variant]:
        """The values of a setting that have a name, by axis."""
        return dict(self.setting_rows[self.index(setting)]["variants"])

    def axes(self, setting: int | str) -> dict[str, Any]:
        """Swept keys with this setting's values."""
        return dict(self.setting_rows[self.index(setting)]["axes"])

    # --- columns -------------------------------------------------------------------------------

    def values(self, column: str) -> Floats:
        """Return a numeric column in the frame's order, NaN where null or when it does not exist.

        The array is read-only. Instants are seconds since the epoch.
        """
        if column not in self.records.column_names:
            return np.broadcast_to(np.nan, len(self.rows))  # takes no memory
        if column in self._number_cache:
            return self._number_cache[column]
        values = encode.take(encode.to_floats(self.records[column]), self.rows)
        values.flags.writeable = False
        if values.nbytes * (len(self._number_cache) + 1) <= _CACHE_BYTES:
            self._number_cache[column] = values
        return values

    @cached_property
    def _number_cache(self) -> dict[str, Floats]:
        """Numeric columns decoded so far, as many as fit into :data:`_CACHE_BYTES`."""
        return {}

    def usable_values(self, column: str) -> Floats:
        """A numeric column as :meth:`values` gives it, NaN also where the status is ``error``."""
        values = self.values(column)
        return np.where(self.usable, values, np.nan) if values.strides[0] else values

    def codes(self, column: str) -> tuple[Ints, list[str]]:
        """Return a column of few distinct values as codes and names; null is -1."""
        if column not in self._code_cache:
            codes = encode.narrow(self.records.codes(column), at_least=np.int8)
            names = self.records.encoders[column].values
            self._code_cache[column] = encode.take(codes, self.rows), names
        return self._code_cache[column]

    @cached_property
    def _code_cache(self) -> dict[str, tuple[Ints, list[str]]]:
        """Text columns encoded so far: mostly a byte a record."""
        return {}

    def answers_of(self, rows: Ints) -> list[str | None]:
        """The parsed answers of a few records, by their positions here; None where unparsed."""
        if self.answer is None:
            return [None] * len(rows)
        codes = self.answer[rows]
        parsed = np.flatnonzero(codes >= 0)
        if self.answer_texts is None:
            texts = self.records.texts.take(codes[parsed])
        else:
            pa, _ = encode.import_arrow()
            texts = self.answer_texts.take(pa.array(codes[parsed].astype(np.int64))).to_pylist()
        answers: list[str | None] = [None] * len(rows)
        for index, text in zip(parsed.tolist(), texts, strict=True):
            answers[index] = text
        return answers

    # --- prompts × settings --------------------------------------------------------------------

    @cached_property
    def output_variants(self) -> variants.VariantCounts:
        """Variants of the whole output in each cell, errors left out."""
        return variants.count_variants(self.cell, self.output, self.cells, self.known)

    @cached_property
    def answer_variants(self) -> variants.VariantCounts | None:
        """Variants of the parsed answer; each unparsed one is alone. None without answers."""
        if self.answer is None:
            return None
        return variants.count_variants(self.cell, self.answer, self.cells, self.usable)

    @cached_property
    def cached_means(self) -> dict[str, tuple[Floats, Ints]]:
        """Means and repeats of cells by metric, filled by :mod:`.cell_means`."""
        return {}

    def counts(self, status: str | None = None) -> Ints:
        """Trials of each prompt under each setting, of one status or of all; prompts × settings."""
        rows = slice(None) if status is None else self.status == STATUSES.index(status)
        return self.matrix(np.bincount(self.cell[rows], minlength=self.cells))

    def matrix(self, by_cell: npt.NDArray[_T]) -> npt.NDArray[_T]:
        """One value a cell, as prompts × settings."""
        return by_cell.reshape(len(self.setting_ids), len(self.prompt_ids)).T
